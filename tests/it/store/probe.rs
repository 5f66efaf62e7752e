//! Verb `probe`, and the turn that it takes away.

use std::time::Duration;

use windlass::domain::ProviderName;
use windlass::store::{Found, Message};

use crate::support::audit::{Snapshot, refuses_wrong_types};
use crate::support::jobs::TestWorker;
use crate::support::redis::TestRedis;

const LIFE: Duration = Duration::from_secs(60);

fn openai() -> ProviderName {
    ProviderName::new("openai").unwrap()
}

#[tokio::test]
async fn of_all_processes_one_has_the_turn_and_each_provider_has_its_own() {
    let redis = TestRedis::start().await;
    let stores = [redis.store().await, redis.store().await];
    let mut asked = tokio::task::JoinSet::new();
    for i in 0..20 {
        let store = stores[i % 2].clone();
        asked.spawn(async move { store.take_turn(&openai(), LIFE).await.unwrap() });
    }
    let turns: Vec<_> = asked.join_all().await.into_iter().flatten().collect();
    assert_eq!(turns.len(), 1);
    assert!(turns[0].at <= stores[0].now().await.unwrap());
    let grok = ProviderName::new("grok").unwrap();
    assert!(stores[1].take_turn(&grok, LIFE).await.unwrap().is_some());
}

#[tokio::test]
async fn a_turn_is_free_again_when_its_life_is_over() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    assert!(store.take_turn(&openai(), LIFE).await.unwrap().is_some());
    let left = redis.cli_int(&["PTTL", "ai:llm:probe:openai"]);
    assert!((1..=60_000).contains(&left), "{left}");
    redis.cli(&["PEXPIRE", "ai:llm:probe:openai", "0"]);
    assert!(store.take_turn(&openai(), LIFE).await.unwrap().is_some());
}

#[tokio::test]
async fn live_workers_are_told_and_the_turn_is_free() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (one, other) = (TestWorker::register(&store).await, TestWorker::register(&store).await);
    let gone = TestWorker::unregistered();
    let old = store.take_turn(&openai(), LIFE).await.unwrap().unwrap();
    let asked = store.probe(&openai()).await.unwrap();
    assert_eq!(asked.told, 2);
    for worker in [&one, &other] {
        let told = store.inbox(worker.id).unwrap().wait(Duration::from_secs(5)).await.unwrap();
        assert_eq!(told, Some(Message::Probe(openai())));
    }
    assert!(!Snapshot::take(&redis).keys.keys().any(|key| key.contains(&gone.id.to_string())));
    let turn = store.take_turn(&openai(), LIFE).await.unwrap().unwrap();
    assert!(turn.at >= asked.at);
    let found = Found { failure: None, took: Duration::ZERO, models: None };
    assert!(!store.probed(&old, &found).await.unwrap(), "what was under way does not count");
    assert!(store.probed(&turn, &found).await.unwrap());
}

#[tokio::test]
async fn without_a_worker_nobody_is_told() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let before = Snapshot::take(&redis).contents();
    assert_eq!(store.probe(&openai()).await.unwrap().told, 0);
    assert_eq!(Snapshot::take(&redis).contents(), before);
}

#[tokio::test]
async fn an_inbox_that_nobody_reads_runs_out() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    store.probe(&openai()).await.unwrap();
    let left = redis.cli_int(&["TTL", &format!("ai:worker:{}:inbox", worker.id)]);
    assert!((1..=60).contains(&left), "{left}");
}

#[tokio::test]
async fn keys_of_other_types_are_refused_before_anything_is_written() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    store.probe(&openai()).await.unwrap();
    let inbox = format!("ai:worker:{}:inbox", worker.id);
    let keys = ["ai:workers", inbox.as_str()];
    refuses_wrong_types(&redis, &keys, async || store.probe(&openai()).await).await;
}
