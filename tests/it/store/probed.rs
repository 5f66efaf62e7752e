//! Verb `probed`.

use std::time::Duration;

use windlass::domain::ProviderName;
use windlass::store::{Found, Store, Turn};

use crate::support::audit::refuses_wrong_types;
use crate::support::redis::TestRedis;

fn openai() -> ProviderName {
    ProviderName::new("openai").unwrap()
}

async fn turn(store: &Store) -> Turn {
    store.take_turn(&openai(), Duration::from_secs(60)).await.unwrap().unwrap()
}

fn well(models: &[&str]) -> Found {
    let models = models.iter().map(|name| (*name).to_owned()).collect();
    Found { failure: None, took: Duration::from_millis(120), models: Some(models) }
}

#[tokio::test]
async fn what_a_probe_found_is_kept_until_the_next_one() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    assert_eq!(store.provider_health(&openai()).await.unwrap(), None);
    let first = turn(&store).await;
    for _ in 0..2 {
        assert!(store.probed(&first, &well(&["gpt", "gpt-mini"])).await.unwrap(), "the same again changes nothing");
    }
    let (health, models) = store.provider_models(&openai()).await.unwrap().unwrap();
    assert_eq!(models, ["gpt", "gpt-mini"]);
    assert_eq!((health.at, health.took, health.models), (first.at, Duration::from_millis(120), Some(2)));
    assert!(health.is_ok());
    assert_eq!(store.provider_health(&openai()).await.unwrap(), Some(health));
    let left = redis.cli_int(&["TTL", "ai:llm:health:openai"]);
    assert!((1..=300).contains(&left), "{left}");

    redis.cli(&["DEL", "ai:llm:probe:openai"]);
    let refused = Found { failure: Some("refused"), took: Duration::from_millis(9), models: None };
    assert!(store.probed(&turn(&store).await, &refused).await.unwrap());
    let (health, models) = store.provider_models(&openai()).await.unwrap().unwrap();
    assert_eq!((health.failure.as_deref(), health.models, models), (Some("refused"), None, Vec::new()));
}

#[tokio::test]
async fn a_provider_without_models_is_not_one_that_does_not_say() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let turn = turn(&store).await;
    assert!(store.probed(&turn, &well(&[])).await.unwrap());
    let (health, models) = store.provider_models(&openai()).await.unwrap().unwrap();
    assert_eq!((health.models, models), (Some(0), Vec::new()));
    assert!(store.probed(&turn, &Found { models: None, ..well(&[]) }).await.unwrap());
    assert_eq!(store.provider_health(&openai()).await.unwrap().unwrap().models, None);
}

#[tokio::test]
async fn who_lost_the_turn_records_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let lost = turn(&store).await;
    redis.cli(&["DEL", "ai:llm:probe:openai"]);
    assert!(!store.probed(&lost, &well(&["old"])).await.unwrap(), "nobody has it");
    let mine = turn(&store).await;
    assert!(store.probed(&mine, &well(&["new"])).await.unwrap());
    assert!(!store.probed(&lost, &well(&["old"])).await.unwrap(), "another has it");
    assert_eq!(store.provider_models(&openai()).await.unwrap().unwrap().1, ["new"]);
}

#[tokio::test]
async fn keys_of_other_types_are_refused_before_anything_is_written() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let turn = turn(&store).await;
    assert!(store.probed(&turn, &well(&["m"])).await.unwrap());
    refuses_wrong_types(&redis, &["ai:llm:health:openai"], async || store.probed(&turn, &well(&["m"])).await).await;
}
