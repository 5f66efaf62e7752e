//! Verb `locate`: why a job waits.

use std::time::Duration;

use windlass::domain::{JobId, JobState, Priority, WorkerState};
use windlass::store::{Blocker, Scope, Shards, Store, Switch, WorkspaceLimits};

use crate::support::audit::Snapshot;
use crate::support::jobs::{
    TestWorker, enqueue_many, enqueue_new, from_now, hold, kind, queue, retry, shaped, spec, spec_of, success,
    until_past, workspace,
};
use crate::support::redis::TestRedis;

async fn blocker(store: &Store, id: JobId) -> Blocker {
    store.why(&Scope::All, id).await.unwrap().unwrap().blocker
}

#[tokio::test]
async fn a_job_in_line_has_a_position_in_its_band() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "high", 5, |s| s.priority = Priority::High).await;
    let ids = enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    for (position, id) in ids.iter().enumerate() {
        let why = store.why(&Scope::All, *id).await.unwrap().unwrap();
        assert_eq!((why.blocker, why.position, why.workers), (Blocker::InLine, Some(position as u64), 1));
    }
}

#[tokio::test]
async fn each_block_is_named() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let first = enqueue_new(&store, spec("r1")).await;
    assert_eq!(blocker(&store, first).await, Blocker::NoWorker);
    let worker = TestWorker::register(&store).await;
    let foreign = enqueue_new(&store, shaped("ws", "foreign", |s| s.job_type = kind("other"))).await;
    assert_eq!(blocker(&store, foreign).await, Blocker::TypeNotOffered);
    let at = from_now(&store, 60_000).await;
    let later = enqueue_new(&store, shaped("ws", "later", |s| s.run_at = Some(at))).await;
    assert_eq!(blocker(&store, later).await, Blocker::RunAt(at));
    let limits = WorkspaceLimits { weight: 1, max_running: Some(1) };
    store.set_workspace_limits(&workspace("ws"), limits).await.unwrap();
    let second = enqueue_new(&store, spec("r2")).await;
    let claimed = worker.claim(&store, 5).await.remove(0);
    assert_eq!(blocker(&store, claimed.job.id).await, Blocker::None);
    assert_eq!(blocker(&store, second).await, Blocker::WorkspaceCap { max_running: 1 });
    store.pause(&queue(), &Switch::Workspace(workspace("ws")), "op", "w").await.unwrap();
    assert!(matches!(blocker(&store, second).await, Blocker::WorkspacePaused(by) if by.reason == "w"));
    store.pause(&queue(), &Switch::Type(kind("echo")), "op", "t").await.unwrap();
    assert!(matches!(blocker(&store, second).await, Blocker::TypePaused(by) if by.reason == "t"));
    store.pause(&queue(), &Switch::Queue, "op", "q").await.unwrap();
    assert!(matches!(blocker(&store, second).await, Blocker::QueuePaused(by) if by.reason == "q"));
    worker.end(&store, &claimed, retry(Duration::from_secs(60))).await;
    assert!(matches!(blocker(&store, first).await, Blocker::Backoff(until) if until > at));
}

#[tokio::test]
async fn what_is_ahead_is_told_by_workspace_and_band() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    TestWorker::register(&store).await;
    let limits = WorkspaceLimits { weight: 4, max_running: None };
    store.set_workspace_limits(&workspace("heavy"), limits).await.unwrap();
    enqueue_many(&store, "ws", "high", 2, |s| s.priority = Priority::High).await;
    enqueue_many(&store, "heavy", "r", 3, |_| {}).await;
    let last = *enqueue_many(&store, "ws", "r", 2, |_| {}).await.last().unwrap();
    let why = store.why(&Scope::All, last).await.unwrap().unwrap();
    assert_eq!((why.ahead.higher, Some(why.ahead.in_band)), (2, why.position));
    let of: Vec<_> = why.ahead.of.iter().map(|(name, weight, jobs)| (name.as_str(), *weight, *jobs)).collect();
    assert_eq!(of, [("heavy", 4, 3), ("ws", 1, 1)]);
}

#[tokio::test]
async fn workers_that_do_not_claim_and_full_ones_are_told_from_none() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    let mut worker = TestWorker::unregistered();
    for state in [WorkerState::Stopping, WorkerState::Deaf, WorkerState::Quiet] {
        worker.state = state;
        worker.heartbeat(&store, Duration::from_secs(60)).await;
        assert_eq!(blocker(&store, id).await, Blocker::NotClaiming(state));
    }
    let other = TestWorker::offering(&store, &["other"]).await;
    let why = store.why(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!((why.blocker, why.crew.offered_by_others), (Blocker::TypeNotOffered, 1), "the quiet one does not count");
    assert_eq!(why.crew.told_by, ["op"]);
    worker.state = WorkerState::Active;
    worker.heartbeat(&store, Duration::from_secs(60)).await;
    assert_eq!(blocker(&store, id).await, Blocker::InLine);
    redis.forget_worker(other.id);
    enqueue_many(&store, "ws", "more", 5, |_| {}).await;
    assert_eq!(worker.claim(&store, 4).await.len(), 4);
    let waiting = enqueue_new(&store, spec("r2")).await;
    let why = store.why(&Scope::All, waiting).await.unwrap().unwrap();
    assert_eq!((why.blocker, why.crew.running), (Blocker::SlotsBusy, vec![(kind("echo"), 4)]));
}

#[tokio::test]
async fn held_ended_and_suspect_jobs_say_so() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let ids = enqueue_many(&store, "ws", "r", 2, |_| {}).await;
    let claimed = worker.claim(&store, 2).await;
    worker.end(&store, &claimed[0], hold()).await;
    worker.end(&store, &claimed[1], success()).await;
    assert_eq!(blocker(&store, ids[0]).await, Blocker::Held);
    assert_eq!(blocker(&store, ids[1]).await, Blocker::None);
    let suspects = enqueue_many(&store, "ws", "s", 2, |_| {}).await;
    for _ in 0..2 {
        let crashing = TestWorker::register(&store).await;
        assert_eq!(crashing.claim_and_lose(&store, 2).await.len(), 2);
        redis.forget_worker(crashing.id);
    }
    let running = worker.claim(&store, 5).await.remove(0).job.id;
    let waiting = suspects.into_iter().find(|id| *id != running).unwrap();
    assert_eq!(blocker(&store, waiting).await, Blocker::Suspect { crashes: 2 });
}

#[tokio::test]
async fn a_job_whose_time_came_or_whose_worker_was_lost_waits_for_what_the_line_waits_for() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let lost = enqueue_new(&store, spec("lost")).await;
    assert_eq!(worker.claim_and_lose(&store, 1).await.len(), 1);
    redis.forget_worker(worker.id);
    let why = store.why(&Scope::All, lost).await.unwrap().unwrap();
    assert_eq!((why.job.state, why.blocker), (JobState::Running, Blocker::NoWorker));
    assert!(why.lost.is_some_and(|end| end <= why.now), "{:?} {}", why.lost, why.now);
    let at = from_now(&store, 1500).await;
    let later = enqueue_new(&store, shaped("ws", "later", |s| s.run_at = Some(at))).await;
    until_past(&store, at).await;
    let why = store.why(&Scope::All, later).await.unwrap().unwrap();
    assert_eq!((why.job.state, why.blocker), (JobState::Scheduled, Blocker::NoWorker));
    let queue_why = Shards::from(store.clone()).queue_why(&queue()).await.unwrap().unwrap();
    let all: Vec<_> = queue_why.waiting.iter().map(|part| (part.blocker.clone(), part.jobs)).collect();
    assert_eq!((all, queue_why.summary.depth), (vec![(Blocker::NoWorker, 2)], 0));
    assert_eq!(queue_why.waiting[0].sample, Some(later), "there is one to ask about");
    let next = TestWorker::register(&store).await;
    assert_eq!(next.claim(&store, 5).await.len(), 2);
    let why = store.why(&Scope::All, lost).await.unwrap().unwrap();
    assert_eq!((why.blocker, why.lost), (Blocker::None, None), "it runs again");
}

#[tokio::test]
async fn a_missing_job_and_one_of_another_workspace_are_the_same() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec_of("theirs", "r1")).await;
    let before = Snapshot::take(&redis).contents();
    assert!(store.why(&Scope::Workspace(workspace("mine")), id).await.unwrap().is_none());
    assert!(store.why(&Scope::All, JobId::new(1, 0)).await.unwrap().is_none());
    assert!(store.why(&Scope::Workspace(workspace("theirs")), id).await.unwrap().is_some());
    assert_eq!(Snapshot::take(&redis).contents(), before, "a read writes nothing");
}
