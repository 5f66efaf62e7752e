//! Verb `redrive`.

use windlass::domain::{JobId, JobState, QueueName, RawJson};
use windlass::store::{Enqueued, Redriven, Scope, Store};

use crate::support::audit::{ENDING_KEYS, LINE_KEYS, Snapshot, audit, refuses_wrong_types};
use crate::support::jobs::{
    TestWorker, death, enqueue, enqueue_new, from_now, queue, shaped, spec, state, success, until_past,
};
use crate::support::redis::TestRedis;

async fn dead(store: &Store, request: &str) -> JobId {
    let id = enqueue_new(store, spec(request)).await;
    let worker = TestWorker::register(store).await;
    let claimed = worker.claim_one(store).await;
    store.progress(&claimed, &RawJson::from_compact("{\"half\":1}")).await.unwrap();
    worker.end(store, &claimed, death()).await;
    id
}

async fn redrive(store: &Store, id: JobId) -> Redriven {
    let stored = store.stored(&Scope::All, id).await.unwrap().unwrap();
    store.redrive(&queue(), id, stored.bucket).await.unwrap()
}

#[tokio::test]
async fn a_dead_job_starts_anew_and_leaves_its_group() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (id, other) = (dead(&store, "r1").await, dead(&store, "r2").await);
    assert_eq!(store.dead_groups().await.unwrap()[0].count, 2);
    assert_eq!(redrive(&store, id).await, Redriven::Now);
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt, job.crashes), (JobState::Pending, 0, 0));
    assert_eq!(job.failure.unwrap().message, "it broke", "the last failure stays");
    assert!(job.progress.is_none() && job.finished_at.is_none());
    assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:dead"]), 1);
    assert_eq!(store.dead_groups().await.unwrap()[0].count, 1);
    audit(&redis);
    assert_eq!(redrive(&store, other).await, Redriven::Now);
    assert!(store.dead_groups().await.unwrap().is_empty());
    let worker = TestWorker::register(&store).await;
    assert_eq!(worker.work_off(&store, 5).await.len(), 2);
    audit(&redis);
}

#[tokio::test]
async fn a_cancelled_and_an_expired_job_start_anew() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let cancelled = enqueue_new(&store, spec("r1")).await;
    store.cancel(&queue(), cancelled).await.unwrap();
    let end = from_now(&store, 5).await;
    let expired = enqueue_new(&store, shaped("ws", "r2", |s| s.expires_at = Some(end))).await;
    until_past(&store, end).await;
    let worker = TestWorker::register(&store).await;
    worker.claims(&store, 0).await;
    for id in [cancelled, expired] {
        assert_eq!(redrive(&store, id).await, Redriven::Now);
        let job = store.job(&Scope::All, id).await.unwrap().unwrap();
        assert_eq!((job.state, job.input.is_some()), (JobState::Pending, true));
        assert!(job.expires_at > store.now().await.unwrap(), "it has time in line again");
        audit(&redis);
    }
    assert_eq!(worker.work_off(&store, 5).await, [cancelled, expired]);
    audit(&redis);
}

#[tokio::test]
async fn a_repeat_and_a_job_that_did_not_fail_change_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = dead(&store, "dead").await;
    redrive(&store, id).await;
    let done = enqueue_new(&store, spec("succeeded")).await;
    let worker = TestWorker::register(&store).await;
    let mut claimed = worker.claim(&store, 2).await;
    let at = claimed.iter().position(|c| c.job.id == done).unwrap();
    worker.end(&store, &claimed.remove(at), success()).await;
    let before = Snapshot::take(&redis).contents();
    assert_eq!(redrive(&store, id).await, Redriven::NotRedrivable, "it runs");
    assert_eq!(redrive(&store, done).await, Redriven::NotRedrivable, "a succeeded job never runs again");
    assert_eq!(store.redrive(&queue(), JobId::new(1, 0), None).await.unwrap(), Redriven::NotRedrivable);
    assert_eq!(store.redrive(&queue(), JobId::new(1, 0), Some(5)).await.unwrap(), Redriven::NotRedrivable);
    assert_eq!(Snapshot::take(&redis).contents(), before);
}

#[tokio::test]
async fn a_job_of_another_queue_is_not_found() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = dead(&store, "r1").await;
    let other = QueueName::new("other").unwrap();
    assert_eq!(store.redrive(&other, id, None).await.unwrap(), Redriven::NotRedrivable);
    assert_eq!(state(&store, id).await, JobState::Dead);
}

#[tokio::test]
async fn a_superseded_job_names_the_one_that_has_its_request() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = dead(&store, "r1").await;
    let cancelled = enqueue_new(&store, spec("r2")).await;
    store.cancel(&queue(), cancelled).await.unwrap();
    for (old, request) in [(id, "r1"), (cancelled, "r2")] {
        // A day later the key is free.
        redis.cli(&["DEL", &format!("ai:idempotency:ws:{request}")]);
        let Enqueued::New(new) = enqueue(&store, spec(request)).await else { panic!("the key was free") };
        let before = Snapshot::take(&redis).contents();
        assert_eq!(redrive(&store, old).await, Redriven::Superseded(new.id));
        assert_eq!(Snapshot::take(&redis).contents(), before);
    }
}

#[tokio::test]
async fn a_redrive_takes_the_key_for_its_new_life() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = dead(&store, "r1").await;
    assert!(redis.cli_int(&["TTL", "ai:idempotency:ws:r1"]) <= 86_400);
    redis.cli(&["DEL", "ai:idempotency:ws:r1"]);
    redrive(&store, id).await;
    assert!(redis.cli_int(&["TTL", "ai:idempotency:ws:r1"]) > 7 * 86_400);
    assert!(
        matches!(enqueue(&store, spec("r1")).await, Enqueued::Replay(owner) if owner == id),
        "with its fingerprint"
    );
    let other = shaped("ws", "r1", |s| s.fingerprint = "other".into());
    assert!(matches!(enqueue(&store, other).await, Enqueued::OtherBody(_)));
}

#[tokio::test]
async fn many_redrives_of_one_job_revive_it_once() {
    let redis = TestRedis::start().await;
    let stores = [redis.store().await, redis.store().await];
    let id = dead(&stores[0], "r1").await;
    let mut calls = tokio::task::JoinSet::new();
    for i in 0..20 {
        let store = stores[i % 2].clone();
        calls.spawn(async move { store.redrive(&queue(), id, None).await.unwrap() });
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.iter().filter(|found| **found == Redriven::Now).count(), 1);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 1);
    audit(&redis);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    store.cancel(&queue(), id).await.unwrap();
    let bucket = store.stored(&Scope::All, id).await.unwrap().unwrap().bucket.unwrap();
    let done = format!("ai:done:{bucket}");
    let keys = [LINE_KEYS, ENDING_KEYS, &[done.as_str()]].concat();
    refuses_wrong_types(&redis, &keys, async || store.redrive(&queue(), id, Some(bucket)).await).await;
    assert_eq!(store.redrive(&queue(), id, Some(bucket)).await.unwrap(), Redriven::Now);
}
