//! Verb `cancel`.

use std::time::Duration;

use windlass::domain::{JobId, JobState, QueueName};
use windlass::store::{Cancelled, Message, Scope, Switch, WorkspaceLimits};

use crate::support::audit::{ENDING_KEYS, LINE_KEYS, Snapshot, assert_no_leak, audit, refuses_wrong_types};
use crate::support::jobs::{
    TestWorker, death, enqueue_many, enqueue_new, from_now, hold, kind, queue, retry, shaped, spec, state, success,
    workspace,
};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn a_job_is_cancelled_wherever_it_waits() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let far = from_now(&store, 3_600_000).await;
    let mut ids = vec![
        enqueue_new(&store, shaped("ws", "scheduled", |s| s.run_at = Some(far))).await,
        enqueue_new(&store, shaped("ws", "expiring", |s| (s.expires_at, s.job_type) = (Some(far), kind("x")))).await,
        enqueue_new(&store, shaped("ws", "foreign", |s| s.job_type = kind("y"))).await,
    ];
    for (request, ending) in [("backoff", retry(Duration::from_secs(60))), ("held", hold())] {
        ids.push(enqueue_new(&store, spec(request)).await);
        let claimed = worker.claim_one(&store).await;
        worker.end(&store, &claimed, ending).await;
    }
    store.pause(&queue(), &Switch::Type(kind("z")), "op", "").await.unwrap();
    ids.push(enqueue_new(&store, shaped("ws", "paused", |s| s.job_type = kind("z"))).await);
    store.pause(&queue(), &Switch::Workspace(workspace("closed")), "op", "").await.unwrap();
    ids.push(enqueue_new(&store, shaped("closed", "r", |_| {})).await);
    ids.push(enqueue_new(&store, spec("in order")).await);
    for id in ids {
        assert_eq!(store.cancel(&queue(), id).await.unwrap(), Cancelled::Now);
        assert_eq!(state(&store, id).await, JobState::Cancelled);
        audit(&redis);
    }
    assert_eq!(redis.cli_int(&["HGET", "ai:queue:stats", "cancelled"]), 8);
    assert_no_leak(&redis);
}

#[tokio::test]
async fn a_running_attempt_loses_its_lease_and_its_worker_is_told() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let inbox = store.inbox(worker.id).unwrap();
    enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    assert_eq!(store.cancel(&queue(), claimed.job.id).await.unwrap(), Cancelled::Now);
    let told = inbox.wait(Duration::from_secs(5)).await.unwrap();
    assert_eq!(told, Some(Message::Cancel(claimed.job.id, claimed.attempt_id)));
    let job = store.job(&Scope::All, claimed.job.id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt), (JobState::Cancelled, 1));
    assert_no_leak(&redis);
}

#[tokio::test]
async fn a_repeat_and_a_job_that_ended_change_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    let [one, two, three] = &worker.claim(&store, 3).await[..] else { panic!("three jobs") };
    worker.end(&store, one, success()).await;
    worker.end(&store, two, death()).await;
    store.cancel(&queue(), three.job.id).await.unwrap();
    let before = Snapshot::take(&redis).contents();
    for (claimed, found) in [(one, Cancelled::NotLive), (two, Cancelled::Dead), (three, Cancelled::NotLive)] {
        assert_eq!(store.cancel(&queue(), claimed.job.id).await.unwrap(), found);
    }
    assert_eq!(store.cancel(&queue(), JobId::new(5, 0)).await.unwrap(), Cancelled::NotLive, "unknown");
    assert_eq!(Snapshot::take(&redis).contents(), before);
}

#[tokio::test]
async fn a_job_of_another_queue_is_not_found() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    let other = QueueName::new("other").unwrap();
    let before = Snapshot::take(&redis).contents();
    assert_eq!(store.cancel(&other, id).await.unwrap(), Cancelled::NotLive);
    assert_eq!(Snapshot::take(&redis).contents(), before);
}

#[tokio::test]
async fn many_cancels_of_one_job_cancel_it_once() {
    let redis = TestRedis::start().await;
    let stores = [redis.store().await, redis.store().await];
    let id = enqueue_new(&stores[0], spec("r1")).await;
    let mut calls = tokio::task::JoinSet::new();
    for i in 0..40 {
        let store = stores[i % 2].clone();
        calls.spawn(async move { store.cancel(&queue(), id).await.unwrap() });
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.iter().filter(|found| **found == Cancelled::Now).count(), 1);
    assert_eq!(redis.cli_int(&["HGET", "ai:queue:stats", "cancelled"]), 1);
    assert_no_leak(&redis);
}

#[tokio::test]
async fn cancels_race_claims_and_each_job_ends_once() {
    let redis = TestRedis::start().await;
    let (store, other) = (redis.store().await, redis.store().await);
    let ids = enqueue_many(&store, "ws", "r", 100, |_| {}).await;
    let worker = TestWorker::register(&store).await;
    let cancels = async {
        let mut now = 0;
        for id in ids.iter().rev() {
            now += usize::from(other.cancel(&queue(), *id).await.unwrap() == Cancelled::Now);
        }
        now
    };
    let claims = async {
        let mut done = 0;
        loop {
            let Some(claimed) = worker.claim(&store, 1).await.pop() else { return done };
            done += usize::from(worker.end(&store, &claimed, success()).await == windlass::store::Answer::Done);
        }
    };
    let (cancelled, succeeded) = tokio::join!(cancels, claims);
    assert_eq!(cancelled + succeeded, 100);
    assert_no_leak(&redis);
}

#[tokio::test]
async fn a_cancelled_capped_attempt_frees_its_slot() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let limits = WorkspaceLimits { weight: 1, max_running: Some(1) };
    store.set_workspace_limits(&workspace("ws"), limits).await.unwrap();
    let ids = enqueue_many(&store, "ws", "r", 2, |_| {}).await;
    worker.claim_one(&store).await;
    assert!(worker.claim(&store, 1).await.is_empty());
    redis.cli(&["DEL", "ai:queue:wake"]);
    store.cancel(&queue(), ids[0]).await.unwrap();
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:wake"]), 1, "there is something to claim now");
    assert_eq!(worker.claim_one(&store).await.job.id, ids[1]);
    audit(&redis);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    let inbox = format!("ai:worker:{}:inbox", worker.id);
    let done = format!("ai:done:{}", from_now(&store, 0).await.unix_ms() / 3_600_000);
    let keys = [LINE_KEYS, ENDING_KEYS, &[done.as_str(), inbox.as_str()]].concat();
    refuses_wrong_types(&redis, &keys, async || store.cancel(&queue(), claimed.job.id).await).await;
    assert_eq!(store.cancel(&queue(), claimed.job.id).await.unwrap(), Cancelled::Now);
}
