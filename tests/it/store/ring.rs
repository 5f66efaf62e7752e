//! Verb `ring`, and the bell it rings.

use std::time::Duration;

use windlass::domain::QueueName;

use crate::support::jobs::{TestWorker, enqueue_new, queue, shaped, until_past};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn there_are_never_more_tokens_than_live_workers() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    store.ring(&queue()).await.unwrap();
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:wake"]), 0);
    for _ in 0..3 {
        TestWorker::register(&store).await;
    }
    let brief = TestWorker::unregistered();
    brief.heartbeat(&store, Duration::from_millis(1)).await;
    let beat = store.now().await.unwrap();
    until_past(&store, beat.plus(Duration::from_millis(2))).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        calls.spawn(async move { store.ring(&queue()).await });
    }
    assert!(calls.join_all().await.iter().all(Result::is_ok));
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:wake"]), 3, "a registration that ran out counts for nothing");
}

#[tokio::test]
async fn a_token_wakes_a_worker_that_waits_on_its_queue() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let other = QueueName::new("other").unwrap();
    let mut worker = TestWorker::unregistered();
    worker.queue = other.clone();
    worker.heartbeat(&store, Duration::from_secs(60)).await;
    let bell = store.bell(&[queue(), other.clone()]).unwrap();
    let enqueue = enqueue_new(&store, shaped("ws", "r1", |s| s.queue = other.clone()));
    let (woken, _) = tokio::join!(bell.wait(Duration::from_secs(5)), enqueue);
    assert_eq!(woken.unwrap(), Some(other.clone()));
    store.ring(&other).await.unwrap();
    assert_eq!(bell.wait(Duration::from_secs(5)).await.unwrap(), Some(other), "a token put back wakes the next");
    assert_eq!(bell.wait(Duration::from_millis(10)).await.unwrap(), None);
}
