//! Verb `progress`.

use std::time::Duration;

use windlass::domain::{AttemptId, JobState, RawJson};
use windlass::store::Scope;

use crate::support::audit::{Snapshot, audit, refuses_wrong_types};
use crate::support::jobs::{TestWorker, enqueue_new, retry, spec, success};
use crate::support::redis::TestRedis;

fn document(n: usize) -> RawJson {
    RawJson::from_compact(format!("{{\"done\":{n}}}"))
}

#[tokio::test]
async fn the_latest_document_is_kept_and_announced() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let id = enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    for n in [1, 2, 2] {
        assert!(store.progress(&claimed, &document(n)).await.unwrap());
    }
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!(job.progress.unwrap().as_str(), "{\"done\":2}");
    let (told, complete) = store.events_after(id, "0-0").await.unwrap();
    let running = told.iter().filter(|event| (event.state, event.attempt) == (JobState::Running, 1)).count();
    assert!(complete || !told.is_empty());
    assert_eq!(running, 4, "the claim and three reports: {told:?}");
    worker.end(&store, &claimed, retry(Duration::ZERO)).await;
    audit(&redis);
}

#[tokio::test]
async fn a_stale_or_unknown_attempt_changes_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    let mut foreign = claimed.clone();
    foreign.attempt_id = AttemptId::random();
    let before = Snapshot::take(&redis).contents();
    assert!(!store.progress(&foreign, &document(1)).await.unwrap());
    assert_eq!(Snapshot::take(&redis).contents(), before);
    worker.end(&store, &claimed, success()).await;
    let before = Snapshot::take(&redis).contents();
    assert!(!store.progress(&claimed, &document(1)).await.unwrap());
    assert_eq!(Snapshot::take(&redis).contents(), before);
}

#[tokio::test]
async fn a_document_over_four_kibibytes_is_refused() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    let long = RawJson::from_compact(format!("\"{}\"", "x".repeat(4095)));
    assert!(store.progress(&claimed, &long).await.is_err());
    let fits = RawJson::from_compact(format!("\"{}\"", "x".repeat(4094)));
    assert!(store.progress(&claimed, &fits).await.unwrap());
}

#[tokio::test]
async fn reports_race_the_end_of_the_job_and_leave_nothing_behind() {
    let redis = TestRedis::start().await;
    let (store, other) = (redis.store().await, redis.store().await);
    let worker = TestWorker::register(&store).await;
    for i in 0..20 {
        enqueue_new(&store, spec(&format!("r{i}"))).await;
        let claimed = worker.claim_one(&store).await;
        let document = document(i);
        let (reported, _) = tokio::join!(other.progress(&claimed, &document), worker.end(&store, &claimed, success()));
        reported.unwrap();
    }
    assert_eq!(redis.cli_int(&["EXISTS", "ai:progress"]), 0);
    audit(&redis);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    let keys = ["ai:queue:running", "ai:progress", "ai:events"];
    refuses_wrong_types(&redis, &keys, async || store.progress(&claimed, &document(1)).await).await;
}
