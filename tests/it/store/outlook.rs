//! Verb `outlook`: what the jobs of a queue wait for.

use std::time::Duration;

use windlass::domain::{JobId, QueueName, WorkerState};
use windlass::store::{Blocker, QueueWhy, Shards, Store, Switch, WorkspaceLimits};

use crate::support::audit::Snapshot;
use crate::support::jobs::{
    TestWorker, enqueue_ago, enqueue_many, enqueue_new, from_now, kind, queue, shaped, spec, workspace,
};
use crate::support::redis::TestRedis;

async fn why(store: &Store) -> QueueWhy {
    Shards::from(store.clone()).queue_why(&queue()).await.unwrap().unwrap()
}

/// Blocker, subject and count of every part.
fn parts(why: &QueueWhy) -> Vec<(Blocker, Option<&str>, u64)> {
    why.waiting.iter().map(|part| (part.blocker.clone(), part.subject.as_deref(), part.jobs)).collect()
}

#[tokio::test]
async fn what_holds_up_the_whole_line_is_counted_for_all_of_it() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let ids = enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    assert_eq!(parts(&why(&store).await), [(Blocker::NoWorker, None, 3)]);
    let mut worker = TestWorker::unregistered();
    worker.state = WorkerState::Quiet;
    worker.heartbeat(&store, Duration::from_secs(60)).await;
    assert_eq!(parts(&why(&store).await), [(Blocker::NotClaiming(WorkerState::Quiet), None, 3)]);
    worker.state = WorkerState::Active;
    worker.heartbeat(&store, Duration::from_secs(60)).await;
    let in_line = why(&store).await;
    assert_eq!(parts(&in_line), [(Blocker::InLine, None, 3)]);
    assert!(in_line.waiting[0].sample.is_some_and(|id| ids.contains(&id)));
    store.pause(&queue(), &Switch::Queue, "op", "q").await.unwrap();
    assert!(matches!(&parts(&why(&store).await)[..], [(Blocker::QueuePaused(by), None, 3)] if by.reason == "q"));
}

#[tokio::test]
async fn parked_jobs_are_counted_by_what_they_are_parked_behind() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let limits = WorkspaceLimits { weight: 1, max_running: Some(1) };
    store.set_workspace_limits(&workspace("capped"), limits).await.unwrap();
    enqueue_many(&store, "capped", "c", 6, |_| {}).await;
    enqueue_many(&store, "ws", "slow", 3, |s| s.job_type = kind("slow")).await;
    enqueue_many(&store, "ws", "odd", 2, |s| s.job_type = kind("odd")).await;
    store.pause(&queue(), &Switch::Type(kind("slow")), "op", "t").await.unwrap();
    assert_eq!(worker.claim(&store, 10).await.len(), 1);
    let found = why(&store).await;
    let parts = parts(&found);
    assert_eq!(parts[0], (Blocker::WorkspaceCap { max_running: 1 }, Some("capped"), 5));
    assert!(matches!(&parts[1], (Blocker::TypePaused(by), Some("slow"), 3) if by.reason == "t"), "{parts:?}");
    assert_eq!(parts[2], (Blocker::TypeNotOffered, Some("odd"), 2));
    assert_eq!((parts.len(), found.summary.depth, found.summary.parked), (3, 10, 10), "all are parked");
}

#[tokio::test]
async fn a_type_that_nobody_offers_is_named_before_a_worker_met_it() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "odd", 2, |s| s.job_type = kind("odd")).await;
    enqueue_many(&store, "ws", "slow", 30, |s| s.job_type = kind("slow")).await;
    enqueue_many(&store, "ws", "r", 1, |s| s.priority = windlass::domain::Priority::High).await;
    store.pause(&queue(), &Switch::Type(kind("slow")), "op", "t").await.unwrap();
    let found = why(&store).await;
    let parts = parts(&found);
    assert!(matches!(&parts[0], (Blocker::TypePaused(_), Some("slow"), 30)), "those behind count with most: {parts:?}");
    assert_eq!(parts[1..], [(Blocker::TypeNotOffered, Some("odd"), 2), (Blocker::InLine, None, 1)]);
}

#[tokio::test]
async fn full_slots_the_next_due_time_and_the_oldest_are_told() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let at = from_now(&store, 60_000).await;
    enqueue_new(&store, shaped("ws", "later", |s| s.run_at = Some(at))).await;
    let nothing = why(&store).await;
    assert_eq!((nothing.waiting.len(), nothing.next_due, nothing.oldest), (0, Some(at), None));
    enqueue_many(&store, "ws", "r", 4, |_| {}).await;
    assert_eq!(worker.claim(&store, 4).await.len(), 4);
    enqueue_ago(&redis, &store, "old", Duration::from_secs(90)).await;
    let full = why(&store).await;
    assert_eq!(parts(&full), [(Blocker::SlotsBusy, None, 1)]);
    assert_eq!((full.crew.slots, full.crew.busy, &full.crew.running[..]), (4, 4, &[(kind("echo"), 4)][..]));
    assert!(full.oldest.is_some_and(|age| age >= Duration::from_secs(89)), "{:?}", full.oldest);
}

#[tokio::test]
async fn a_queue_that_never_was_is_none_and_a_look_writes_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id: JobId = enqueue_new(&store, spec("r")).await;
    let before = Snapshot::take(&redis).contents();
    let shards = Shards::from(store.clone());
    assert!(shards.queue_why(&QueueName::new("other").unwrap()).await.unwrap().is_none());
    assert_eq!(why(&store).await.waiting[0].sample, Some(id));
    assert_eq!(Snapshot::take(&redis).contents(), before);
}
