//! Verb `confirm`. What it is for needs a replica: `tests/it/topology/strict.rs`.

use crate::support::redis::TestRedis;
use crate::topology::pair::strict_of;

#[tokio::test]
async fn without_replicas_to_wait_for_there_is_nothing_to_do() {
    let redis = TestRedis::start().await;
    redis.store().await.confirm().await.unwrap();
    strict_of(&redis, 0).await.confirm().await.unwrap();
    assert_eq!(redis.ask(&["EXISTS", "ai:confirmed"]), "0");
}

#[tokio::test]
async fn a_full_redis_still_confirms() {
    let redis = TestRedis::start().await;
    let store = strict_of(&redis, 1).await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    // Nobody follows, so it is refused for that, and not for want of memory.
    let refusal = store.confirm().await.unwrap_err().to_string();
    assert!(refusal.contains("0 of 1 replicas"), "{refusal}");
    assert_eq!(redis.ask(&["EXISTS", "ai:confirmed"]), "1");
}
