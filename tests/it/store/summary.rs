//! Verb `summary`.

use std::time::Duration;

use windlass::domain::QueueName;
use windlass::store::Switch;

use crate::support::audit::Snapshot;
use crate::support::jobs::{
    TestWorker, death, enqueue_ago, enqueue_many, enqueue_new, from_now, hold, kind, queue, shaped, success, workspace,
};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn a_queue_that_never_was_is_zeros_and_default_is_always_there() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let other = QueueName::new("other").unwrap();
    assert!(store.queue(&other).await.unwrap().is_none());
    let all = store.queues().await.unwrap();
    assert_eq!(all.iter().map(|q| q.name.as_str()).collect::<Vec<_>>(), ["default"]);
    let one = &all[0];
    assert_eq!((one.depth, one.enqueued_total, one.dequeued_total, one.workers), (0, 0, 0, 0));
    assert_eq!(one.finished_total.values().sum::<u64>(), 0);
    assert_eq!(one.finished_total.len(), 4, "every outcome exists at 0");
    assert_eq!(one.held_by.len(), 5, "every reason exists at 0");
    assert_eq!((one.held_by.values().sum::<u64>(), one.outcome_unknown_total), (0, 0));
    assert_eq!(redis.cli_int(&["DBSIZE"]), 0, "a read writes nothing");
}

#[tokio::test]
async fn every_figure_is_right() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let far = from_now(&store, 60_000).await;
    enqueue_new(&store, shaped("ws", "later", |s| s.run_at = Some(far))).await;
    enqueue_many(&store, "ws", "r", 8, |_| {}).await;
    let claimed = worker.claim(&store, 5).await;
    for (claimed, ending) in claimed.iter().zip([success(), death(), hold()]) {
        worker.end(&store, claimed, ending).await;
    }
    store.cancel(&queue(), claimed[3].job.id).await.unwrap();
    store.pause(&queue(), &Switch::Type(kind("slow")), "op", "").await.unwrap();
    enqueue_new(&store, shaped("ws", "slow", |s| s.job_type = kind("slow"))).await;
    let before = Snapshot::take(&redis).contents();
    let s = store.summary(&queue()).await.unwrap();
    assert_eq!((s.depth, s.parked, s.scheduled, s.running, s.held, s.dead, s.workers), (4, 1, 1, 1, 1, 1, 1));
    assert_eq!((s.enqueued_total, s.dequeued_total, s.lease_expiries_total), (10, 5, 0));
    let ended: Vec<_> = ["succeeded", "dead", "cancelled", "expired"].map(|name| s.finished_total[name]).to_vec();
    assert_eq!(ended, [1, 1, 1, 0]);
    assert_eq!((s.held_by["outcome_unknown"], s.held_by["approval"], s.outcome_unknown_total), (1, 0, 1));
    assert!(s.oldest_pending.is_some() && s.paused.is_none() && s.draining.is_none());
    assert_eq!(s.depth, redis.cli_int(&["LLEN", "ai:queue:pending"]) as u64);
    assert_eq!(Snapshot::take(&redis).contents(), before, "a read writes nothing");
}

#[tokio::test]
async fn queues_are_listed_by_name_once_they_had_a_job_or_a_worker() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    enqueue_new(&store, shaped("ws", "r", |s| s.queue = QueueName::new("zoo").unwrap())).await;
    let mut worker = TestWorker::unregistered();
    worker.queue = QueueName::new("aviary").unwrap();
    worker.heartbeat(&store, std::time::Duration::from_secs(60)).await;
    let names: Vec<_> = store.queues().await.unwrap().iter().map(|q| q.name.to_string()).collect();
    assert_eq!(names, ["aviary", "default", "zoo"]);
}

#[tokio::test]
async fn figures_read_under_load_add_up_at_every_moment() {
    let redis = TestRedis::start().await;
    let (store, other) = (redis.store().await, redis.store().await);
    enqueue_many(&store, "ws", "r", 200, |_| {}).await;
    let worker = TestWorker::register(&store).await;
    let reads = async {
        for _ in 0..100 {
            let s = other.summary(&queue()).await.unwrap();
            let ended: u64 = s.finished_total.values().sum();
            assert_eq!(s.depth + s.scheduled + s.running + s.held + ended, s.enqueued_total);
            assert_eq!(s.enqueued_total - s.depth, s.dequeued_total);
        }
    };
    tokio::join!(reads, worker.work_off(&store, 3));
}

#[tokio::test]
async fn a_job_is_as_old_as_it_could_run_and_not_as_it_was_made() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let (day, minute) = (Duration::from_secs(86_400), Duration::from_secs(60));
    let oldest = async || store.summary(&queue()).await.unwrap().oldest_pending.unwrap();
    let id = enqueue_ago(&redis, &store, "r", day).await.to_string();
    assert!(oldest().await >= day);
    // Made yesterday, for a minute ago.
    let due = from_now(&store, -60_000).await.unix_ms();
    let record = redis.cli(&["HGET", "ai:jobs", &id]);
    redis.cli(&["HSET", "ai:jobs", &id, &record.replace("\tr\n", &format!("\tR{due}\tr\n"))]);
    assert!(oldest().await >= minute && oldest().await < day / 2, "{:?}", oldest().await);
    let claimed = worker.claim_one(&store).await;
    assert!(claimed.is_new);
    // Dead, and redriven: it waits since then.
    worker.end(&store, &claimed, death()).await;
    store.redrive(&queue(), claimed.job.id, None).await.unwrap();
    assert!(oldest().await < minute, "{:?}", oldest().await);
    let again = worker.claim_one(&store).await;
    assert_eq!((again.job.attempt, again.job.crashes, again.is_new), (1, 0, false));
}

#[tokio::test]
async fn jobs_behind_a_pause_are_told_from_those_behind_a_cap() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let slow = |request: &str| shaped("ws", request, |s| s.job_type = kind("slow"));
    enqueue_new(&store, slow("before")).await;
    store.pause(&queue(), &Switch::Type(kind("slow")), "op", "").await.unwrap();
    store.pause(&queue(), &Switch::Workspace(workspace("away")), "op", "").await.unwrap();
    enqueue_new(&store, slow("after")).await;
    enqueue_many(&store, "away", "r", 3, |_| {}).await;
    let s = store.summary(&queue()).await.unwrap();
    assert_eq!((s.depth, s.parked, s.behind_pause), (5, 4, 4), "one was in line before, and nobody has met it yet");
    // A worker that does not know the type meets it all the same.
    assert!(TestWorker::register(&store).await.claim(&store, 5).await.is_empty());
    let s = store.summary(&queue()).await.unwrap();
    assert_eq!((s.depth, s.behind_pause), (5, 5));
    store.resume(&queue(), &[Switch::Type(kind("slow"))]).await.unwrap();
    assert_eq!(store.summary(&queue()).await.unwrap().behind_pause, 3);
}
