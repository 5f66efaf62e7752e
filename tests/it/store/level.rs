//! Verb `level`.

use std::time::Duration;

use windlass::store::{Shards, Standing};

use crate::support::audit::refuses_wrong_types;
use crate::support::redis::TestRedis;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn the_latest_order_stands_until_it_is_ended_and_names_its_end_by_redis() {
    let redis = TestRedis::start().await;
    let shards = Shards::from(redis.store().await);
    assert_eq!(shards.first().standing().await.unwrap(), Standing::default());
    let before = shards.now().await.unwrap();
    shards.set_level("trace", HOUR, "bob").await.unwrap();
    let order = shards.set_level("info,windlass::http=debug", HOUR, "ann\tb").await.unwrap();
    let after = shards.now().await.unwrap();
    assert!((before.plus(HOUR)..=after.plus(HOUR)).contains(&order.until), "{order:?}");
    let standing = shards.first().standing().await.unwrap();
    assert_eq!((standing.revision.as_str(), standing.level), ("", Some(order)));
    for _ in 0..2 {
        shards.end_level().await.unwrap();
        assert_eq!(shards.first().standing().await.unwrap(), Standing::default());
    }
}

#[tokio::test]
async fn rules_for_actions_and_levels_do_not_touch_each_other() {
    let redis = TestRedis::start().await;
    let shards = Shards::from(redis.store().await);
    let order = shards.set_level("debug", HOUR, "ann").await.unwrap();
    let change = windlass::store::PolicyChange { workspace: None, document: Some("{}".to_owned()) };
    let revision = shards.set_policy(&change).await.unwrap();
    assert_eq!(shards.first().standing().await.unwrap(), Standing { revision, level: Some(order) });
    assert_eq!(shards.first().policies().await.unwrap().documents.len(), 1);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let shards = Shards::from(redis.store().await);
    refuses_wrong_types(&redis, &["ai:policy"], async || shards.set_level("debug", HOUR, "ann").await).await;
}
