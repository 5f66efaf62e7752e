//! Verb `compact`.

use windlass::store::Store;

use crate::support::audit::{Snapshot, refuses_wrong_types};
use crate::support::jobs::{TestWorker, enqueue_many, queue};
use crate::support::redis::TestRedis;

/// Makes the index of this hour one of `age` hours ago.
async fn grow_old(redis: &TestRedis, store: &Store, age: i64) -> String {
    let hour = store.now().await.unwrap().unix_ms() / 3_600_000;
    for now in [hour, hour - 1] {
        redis.cli(&["RENAME", &format!("ai:index:ws:{now}"), &format!("ai:index:ws:{}", hour - age)]);
        redis.cli(&["ZREM", "ai:indexes", &format!("ws:{now}")]);
    }
    redis.cli(&["ZADD", "ai:indexes", &(hour - age).to_string(), &format!("ws:{}", hour - age)]);
    format!("ai:index:ws:{}", hour - age)
}

#[tokio::test]
async fn an_old_hour_keeps_its_live_ids_in_their_order() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let made = enqueue_many(&store, "ws", "r", 450, |_| {}).await;
    for id in made.iter().step_by(3) {
        store.cancel(&queue(), *id).await.unwrap();
    }
    let key = grow_old(&redis, &store, 100).await;
    let mut steps = 0;
    while store.compact().await.unwrap() {
        steps += 1;
        let all = Snapshot::take(&redis);
        assert!(all.items(&key).len() >= 300, "an hour is replaced only when it is fully sifted");
    }
    assert_eq!(steps, 4, "200 ids a step and one to end");
    let live: Vec<String> = made.iter().enumerate().filter(|(i, _)| i % 3 != 0).map(|(_, id)| id.to_string()).collect();
    let all = Snapshot::take(&redis);
    assert_eq!(all.items(&key), live);
    assert!(all.keys[&key].pttl > 0, "it runs out by itself");
    assert!(!all.keys.contains_key("ai:sifting") && !all.keys.contains_key("ai:indexes"));
    assert!(!store.compact().await.unwrap(), "nothing is left to do");
}

#[tokio::test]
async fn an_hour_without_live_jobs_goes_and_a_young_one_is_left_alone() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    enqueue_many(&store, "ws", "r", 10, |_| {}).await;
    assert!(!store.compact().await.unwrap(), "this hour is young");
    TestWorker::register(&store).await.work_off(&store, 10).await;
    assert!(!store.compact().await.unwrap());
    let key = grow_old(&redis, &store, 49).await;
    while store.compact().await.unwrap() {}
    assert_eq!(redis.cli_int(&["EXISTS", &key]), 0);
}

#[tokio::test]
async fn several_janitors_sift_one_hour_together() {
    let redis = TestRedis::start().await;
    let stores = [redis.store().await, redis.store().await, redis.store().await];
    let made = enqueue_many(&stores[0], "ws", "r", 900, |_| {}).await;
    let key = grow_old(&redis, &stores[0], 60).await;
    let mut calls = tokio::task::JoinSet::new();
    for store in stores.clone() {
        calls.spawn(async move { while store.compact().await.unwrap() {} });
    }
    calls.join_all().await;
    assert_eq!(Snapshot::take(&redis).items(&key), made.iter().map(ToString::to_string).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    let key = grow_old(&redis, &store, 60).await;
    let sifted = format!("{key}:sifted");
    let keys = ["ai:indexes", "ai:sifting", "ai:jobs", &key, &sifted];
    refuses_wrong_types(&redis, &keys, async || store.compact().await).await;
}
