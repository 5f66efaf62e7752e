//! Verb `read`.

use windlass::domain::{JobId, JobState, Priority, RawJson, RequestId};
use windlass::store::Scope;

use crate::support::audit::Snapshot;
use crate::support::jobs::{
    TestWorker, enqueue_many, enqueue_new, from_now, queue, shaped, spec, spec_of, success, workspace,
};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn every_field_comes_back_as_it_was_sent() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (run_at, expires_at) = (from_now(&store, 60_000).await, from_now(&store, 120_000).await);
    let sent = shaped("ws-1.a", "req: \"ä\" 1", |s| {
        s.priority = Priority::High;
        s.run_at = Some(run_at);
        s.expires_at = Some(expires_at);
        s.timeout = std::time::Duration::from_millis(1234);
        s.max_attempts = 7;
        s.callback_url = Some("https://example.com/done?a=b".into());
        s.metadata = RawJson::from_compact("{\"k\":\"v\\n\\t\"}");
        s.input = RawJson::from_compact("{\"big\":9007199254740993,\"text\":\"ä\\u0000\"}");
    });
    let id = enqueue_new(&store, sent.clone()).await;
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!((job.workspace, job.request_id, job.job_type), (sent.workspace, sent.request_id, sent.job_type));
    assert_eq!((job.queue, job.priority, job.state), (sent.queue, Priority::High, JobState::Scheduled));
    assert_eq!((job.run_at, job.expires_at), (Some(run_at), expires_at));
    assert_eq!((job.timeout, job.max_attempts, job.callback_url), (sent.timeout, 7, sent.callback_url));
    assert_eq!((job.metadata, job.input), (sent.metadata, Some(sent.input)));
}

#[tokio::test]
async fn many_ids_are_answered_in_the_order_asked() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let made = enqueue_many(&store, "ws", "r", 4, |_| {}).await;
    let claimed = worker.claim_one(&store).await;
    worker.end(&store, &claimed, success()).await;
    store.cancel(&queue(), made[1]).await.unwrap();
    let asked = [made[3], JobId::new(1, 0), made[1], made[0], made[3]];
    let before = Snapshot::take(&redis).contents();
    let found = store.jobs(&asked).await.unwrap();
    let states: Vec<_> = found.iter().map(|stored| stored.as_ref().map(|s| (s.job.id, s.job.state))).collect();
    let expected = [
        Some((made[3], JobState::Pending)),
        None,
        Some((made[1], JobState::Cancelled)),
        Some((made[0], JobState::Succeeded)),
        Some((made[3], JobState::Pending)),
    ];
    assert_eq!(states, expected);
    assert!(found[2].as_ref().unwrap().bucket.is_some() && found[0].as_ref().unwrap().bucket.is_none());
    assert!(store.jobs(&[]).await.unwrap().is_empty());
    assert!(store.jobs(&[made[0]; 101]).await.is_err());
    assert_eq!(Snapshot::take(&redis).contents(), before, "a read writes nothing");
}

#[tokio::test]
async fn another_workspace_sees_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec_of("theirs", "r1")).await;
    assert!(store.job(&Scope::Workspace(workspace("mine")), id).await.unwrap().is_none());
    let request = RequestId::new("r1").unwrap();
    assert_eq!(store.job_of_request(&workspace("mine"), &request).await.unwrap(), None);
    assert_eq!(store.job_of_request(&workspace("theirs"), &request).await.unwrap(), Some(id));
}

#[tokio::test]
async fn a_job_that_ended_in_an_earlier_hour_is_found() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let hour = store.now().await.unwrap().unix_ms() / 3_600_000;
    // Made ten hours ago, ended three hours ago.
    let id = JobId::new(((hour - 10) * 3_600_000) as u64, 0);
    store.enqueue(&queue(), &[(id, spec("r1"))]).await.unwrap();
    store.cancel(&queue(), id).await.unwrap();
    let bucket = store.stored(&Scope::All, id).await.unwrap().unwrap().bucket.unwrap();
    redis.cli(&["RENAME", &format!("ai:done:{bucket}"), &format!("ai:done:{}", hour - 3)]);
    let stored = store.stored(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!((stored.bucket, stored.job.state), (Some(hour - 3), JobState::Cancelled));
}

#[tokio::test]
async fn a_job_read_while_it_changes_is_always_in_one_state() {
    let redis = TestRedis::start().await;
    let (store, other) = (redis.store().await, redis.store().await);
    let made = enqueue_many(&store, "ws", "r", 60, |_| {}).await;
    let worker = TestWorker::register(&store).await;
    let reads = async {
        for _ in 0..30 {
            let found = other.jobs(&made).await.unwrap();
            assert!(found.iter().all(Option::is_some), "no job is missing at any moment");
        }
    };
    tokio::join!(reads, worker.work_off(&store, 3));
}
