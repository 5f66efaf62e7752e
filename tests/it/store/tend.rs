//! Verb `tend`.

use std::time::Duration;

use windlass::domain::{EffectClass, RawJson};
use windlass::store::{Tended, WorkspaceLimits};

use crate::support::audit::{ENDING_KEYS, LINE_KEYS, Snapshot, assert_no_leak, audit, refuses_wrong_types};
use crate::support::jobs::{TestWorker, death, enqueue_many, enqueue_new, queue, spec, until_past, workspace};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn dead_letters_go_after_their_retention_with_everything_of_theirs() {
    let redis = TestRedis::start().await;
    let store = redis.store_with(|o| o.dead_retention = Duration::from_millis(1)).await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 150, |_| {}).await;
    for _ in 0..2 {
        for claimed in worker.claim(&store, 75).await {
            store.progress(&claimed, &RawJson::from_compact("{}")).await.unwrap();
            worker.end(&store, &claimed, death()).await;
        }
    }
    let patient = redis.store().await;
    assert_eq!(patient.tend(&queue()).await.unwrap(), Tended::default(), "30 days are not over");
    until_past(&store, store.now().await.unwrap().plus(Duration::from_millis(2))).await;
    assert_eq!(store.tend(&queue()).await.unwrap().removed, 100, "a bounded part");
    audit_groups(&store, 50).await;
    assert_eq!(store.tend(&queue()).await.unwrap().removed, 50);
    assert_eq!(store.tend(&queue()).await.unwrap(), Tended::default());
    assert!(store.dead_groups().await.unwrap().is_empty());
    assert_no_leak(&redis);
}

async fn audit_groups(store: &windlass::store::Store, count: u64) {
    assert_eq!(store.dead_groups().await.unwrap()[0].count, count);
}

#[tokio::test]
async fn jobs_whose_block_is_gone_come_back() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let limits = WorkspaceLimits { weight: 1, max_running: Some(1) };
    store.set_workspace_limits(&workspace("capped"), limits).await.unwrap();
    enqueue_many(&store, "capped", "r", 5, |_| {}).await;
    redis.cli(&["HSET", "ai:queue:blocked", "w:ws", "1\top\t", "t:slow", "1\top\t"]);
    enqueue_many(&store, "ws", "r", 130, |_| {}).await;
    assert_eq!(worker.claim(&store, 10).await.len(), 1);
    assert_eq!(store.tend(&queue()).await.unwrap(), Tended::default(), "what is blocked stays");
    // As if the process that lifted the pause and the cap had died half-way.
    redis.cli(&["HDEL", "ai:queue:blocked", "w:ws"]);
    redis.cli(&["HSET", "ai:limits", "capped", "1\t3"]);
    redis.cli(&["DEL", "ai:queue:wake"]);
    let mut back = 0;
    loop {
        let step = store.tend(&queue()).await.unwrap();
        audit(&redis);
        if step.brought_back == 0 || back > 200 {
            break;
        }
        back += step.brought_back;
    }
    assert!((132..=134).contains(&back), "130 and as many as the cap has room for: {back}");
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:wake"]), 1);
    assert_eq!(worker.claim(&store, 100).await.len() + worker.claim(&store, 100).await.len(), 132);
}

#[tokio::test]
async fn several_janitors_do_the_work_once() {
    let redis = TestRedis::start().await;
    let store = redis.store_with(|o| o.dead_retention = Duration::ZERO).await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 60, |_| {}).await;
    for claimed in worker.claim(&store, 60).await {
        worker.end(&store, &claimed, death()).await;
    }
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let store = store.clone();
        calls.spawn(async move { store.tend(&queue()).await.unwrap().removed });
    }
    assert_eq!(calls.join_all().await.iter().sum::<i64>(), 60);
    let before = Snapshot::take(&redis).contents();
    store.tend(&queue()).await.unwrap();
    assert_eq!(Snapshot::take(&redis).contents(), before);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store_with(|o| o.dead_retention = Duration::ZERO).await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    let claimed = worker.claim_one(&store).await;
    worker.end(&store, &claimed, death()).await;
    let keys = [LINE_KEYS, ENDING_KEYS].concat();
    refuses_wrong_types(&redis, &keys, async || store.tend(&queue()).await).await;
}

#[tokio::test]
async fn what_an_older_version_left_on_record_of_a_finished_job_goes_and_what_a_live_one_has_stays() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let id = enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    store.effect_begin(&claimed, "send", EffectClass::Once, false, "").await.unwrap();
    let intent = redis.cli(&["HGET", "ai:effects", &id.to_string()]);
    redis.ask(&["HSET", "ai:effects", "01dYiJO7Xvh8Bs9c0h9F00", &intent]);
    store.tend(&queue()).await.unwrap();
    assert_eq!(redis.cli(&["HGETALL", "ai:effects"]), format!("{id}\n{intent}"));
    audit(&redis);
}
