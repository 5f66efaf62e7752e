//! Verb `retire`.

use windlass::domain::QueueName;

use crate::support::audit::{Snapshot, audit, refuses_wrong_types};
use crate::support::jobs::{TestWorker, enqueue_new, queue, spec, success};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn a_retired_worker_is_off_every_list_and_keeps_its_leases() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (gone, stays) = (TestWorker::register(&store).await, TestWorker::register(&store).await);
    enqueue_new(&store, spec("r1")).await;
    let claimed = gone.claim_one(&store).await;
    redis.cli(&["DEL", "ai:queue:wake"]);
    let other = QueueName::new("other").unwrap();
    for _ in 0..2 {
        store.retire(gone.id, &[queue(), other.clone()]).await.unwrap();
    }
    let fleet: Vec<_> = store.workers().await.unwrap().iter().map(|w| w.id).collect();
    assert_eq!(fleet, [stays.id]);
    assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:workers"]), 1);
    assert!(!Snapshot::take(&redis).keys.keys().any(|key| key.contains(&gone.id.to_string())));
    audit(&redis);
    assert_eq!(
        gone.end(&store, &claimed, success()).await,
        windlass::store::Answer::Done,
        "its last report still counts"
    );
}

#[tokio::test]
async fn an_unknown_worker_changes_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    TestWorker::register(&store).await;
    let before = Snapshot::take(&redis).contents();
    store.retire(TestWorker::unregistered().id, &[queue()]).await.unwrap();
    assert_eq!(Snapshot::take(&redis).contents(), before);
}

#[tokio::test]
async fn workers_come_and_go_at_once() {
    let redis = TestRedis::start().await;
    let stores = [redis.store().await, redis.store().await];
    let mut calls = tokio::task::JoinSet::new();
    for i in 0..20 {
        let store = stores[i % 2].clone();
        calls.spawn(async move {
            let worker = TestWorker::register(&store).await;
            if i % 4 != 0 {
                store.retire(worker.id, &[queue()]).await.unwrap();
            }
        });
    }
    calls.join_all().await;
    assert_eq!(stores[0].workers().await.unwrap().len(), 5);
    assert_eq!(stores[0].summary(&queue()).await.unwrap().workers, 5);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let keys = ["ai:workers", "ai:queue:workers"];
    refuses_wrong_types(&redis, &keys, async || store.retire(worker.id, &[queue()]).await).await;
}
