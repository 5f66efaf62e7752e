//! Verb `operate`: steps that cancel, hold, release and discard.

use std::time::Duration;

use windlass::domain::{HeldReason, JobId, JobState, OperationAction, RawJson, Skipped};
use windlass::store::{Answer, Ending, Scope, Step, Store};

use crate::support::audit::{ENDING_KEYS, LINE_KEYS, audit, refuses_wrong_types};
use crate::support::jobs::{
    TestWorker, death, enqueue_many, enqueue_new, failure, from_now, kind, retry, shaped, spec, state, success,
    until_past, workspace,
};
use crate::support::operations::{begun, look, plan, planned, skipped, step, steps};
use crate::support::redis::TestRedis;

async fn held(store: &Store, request: &str, reason: HeldReason) -> JobId {
    let id = enqueue_new(store, spec(request)).await;
    let worker = TestWorker::register(store).await;
    let claimed = worker.claim_one(store).await;
    worker.end(store, &claimed, Ending::Held { reason, failure: failure() }).await;
    id
}

#[tokio::test]
async fn a_cancel_ends_jobs_wherever_they_are_and_tells_the_worker_of_a_running_one() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let held = held(&store, "held", HeldReason::Approval).await;
    let running = enqueue_new(&store, spec("running")).await;
    let worker = TestWorker::register(&store).await;
    let claimed = worker.claim_one(&store).await;
    let at = from_now(&store, 60_000).await;
    let later = enqueue_new(&store, shaped("ws", "later", |s| s.run_at = Some(at))).await;
    let waits = enqueue_new(&store, spec("waits")).await;
    let operation = begun(&store, plan(OperationAction::Cancel)).await;
    steps(&store, &operation, 0).await;
    let counts = steps(&store, &operation, 1).await;
    assert_eq!((counts.matched, counts.done), (4, 4));
    for id in [held, running, later, waits] {
        assert_eq!(state(&store, id).await, JobState::Cancelled);
    }
    assert_eq!(worker.end(&store, &claimed, success()).await, Answer::Stale);
    assert_eq!(redis.cli_int(&["LLEN", &format!("ai:worker:{}:inbox", worker.id)]), 1);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 0);
    audit(&redis);
}

#[tokio::test]
async fn only_what_the_filter_names_is_touched() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let mine = enqueue_new(&store, shaped("ws", "mine", |s| s.metadata = RawJson::from_compact("{\"run\":7}"))).await;
    let others = [
        enqueue_new(&store, shaped("other", "a", |s| s.metadata = RawJson::from_compact("{\"run\":7}"))).await,
        enqueue_new(&store, shaped("ws", "b", |s| s.job_type = kind("sleep"))).await,
        enqueue_new(&store, spec("c")).await,
    ];
    let operation = begun(
        &store,
        planned(OperationAction::Cancel, |plan| {
            plan.filter.workspace = Some(workspace("ws"));
            plan.filter.job_type = Some(kind("echo"));
            plan.filter.metadata = [("run".to_owned(), "7".to_owned())].into();
        }),
    )
    .await;
    let counts = steps(&store, &operation, 1).await;
    assert_eq!((counts.matched, counts.done), (1, 1));
    assert_eq!(state(&store, mine).await, JobState::Cancelled);
    for id in others {
        assert_eq!(state(&store, id).await, JobState::Pending);
    }
}

#[tokio::test]
async fn a_fingerprint_and_a_reason_name_jobs_by_their_last_failure() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let ids = enqueue_many(&store, "ws", "r", 2, |_| {}).await;
    let worker = TestWorker::register(&store).await;
    let claimed = worker.claim(&store, 2).await;
    let other = windlass::domain::Failure::new(windlass::domain::FailureReason::Timeout, "late", failure().at);
    worker.end(&store, &claimed[0], death()).await;
    worker.end(&store, &claimed[1], Ending::Dead { failure: other.clone() }).await;
    for change in [0, 1] {
        let operation = begun(
            &store,
            planned(OperationAction::Discard, |plan| match change {
                0 => plan.filter.fingerprint = Some(failure().fingerprint),
                _ => plan.filter.reason = Some(other.reason),
            }),
        )
        .await;
        let found = look(&store, &operation, 0, 100).await.remove(0).1;
        assert_eq!(found, [claimed[change].job.id], "{change}");
    }
    assert_eq!(ids.len(), 2);
}

#[tokio::test]
async fn a_held_job_waits_for_its_release_and_not_for_its_time_in_line() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    // Long enough for a busy machine to have held it by then.
    let end = from_now(&store, 5_000).await;
    let waits = enqueue_new(&store, shaped("ws", "waits", |s| s.expires_at = Some(end))).await;
    let at = from_now(&store, 600_000).await;
    let later = enqueue_new(&store, shaped("ws", "later", |s| s.run_at = Some(at))).await;
    let operation = begun(&store, plan(OperationAction::Hold)).await;
    assert_eq!(steps(&store, &operation, 1).await.done, 2);
    for id in [waits, later] {
        let job = store.job(&Scope::All, id).await.unwrap().unwrap();
        assert_eq!((job.state, job.held_reason), (JobState::Held, Some(HeldReason::Operator)));
    }
    audit(&redis);
    until_past(&store, end).await;
    let worker = TestWorker::register(&store).await;
    assert!(worker.claim(&store, 5).await.is_empty());
    assert_eq!(state(&store, waits).await, JobState::Held);
    let release = begun(&store, plan(OperationAction::Release)).await;
    assert_eq!(steps(&store, &release, 0).await.done, 2);
    assert_eq!(state(&store, later).await, JobState::Scheduled, "its time is still to come");
    assert_eq!(store.job(&Scope::All, later).await.unwrap().unwrap().run_at, Some(at));
    worker.claims(&store, 1).await;
    assert_eq!(state(&store, waits).await, JobState::Expired, "its time in line was over");
    audit(&redis);
}

#[tokio::test]
async fn what_someone_has_to_decide_is_not_released() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    for (i, reason) in HeldReason::ALL.iter().enumerate() {
        held(&store, &format!("r{i}"), *reason).await;
    }
    let operation = begun(&store, plan(OperationAction::Release)).await;
    let counts = steps(&store, &operation, 0).await;
    assert_eq!((counts.matched, counts.done, skipped(&counts, Skipped::Decision)), (5, 3, 2));
    assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:held"]), 2);
    let only =
        begun(&store, planned(OperationAction::Cancel, |plan| plan.filter.held_reason = Some(HeldReason::Approval)))
            .await;
    assert_eq!(steps(&store, &only, 0).await.done, 1);
    audit(&redis);
}

#[tokio::test]
async fn a_hold_leaves_whom_someone_released_since() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    let hold = begun(&store, plan(OperationAction::Hold)).await;
    assert_eq!(steps(&store, &hold, 1).await.done, 1);
    until_past(&store, hold.created_at).await;
    let release = begun(&store, plan(OperationAction::Release)).await;
    assert_eq!(steps(&store, &release, 0).await.done, 1);
    let counts = steps(&store, &hold, 2).await;
    assert_eq!((counts.matched, counts.done), (1, 1), "not again");
    assert_eq!(state(&store, id).await, JobState::Pending);
    audit(&redis);
}

#[tokio::test]
async fn a_discarded_dead_letter_leaves_nothing_and_its_request_makes_a_new_job() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    let worker = TestWorker::register(&store).await;
    let claimed = worker.claim_one(&store).await;
    store.progress(&claimed, &RawJson::from_compact("{\"half\":1}")).await.unwrap();
    worker.end(&store, &claimed, death()).await;
    let operation = begun(&store, plan(OperationAction::Discard)).await;
    let counts = steps(&store, &operation, 0).await;
    assert_eq!((counts.matched, counts.done), (1, 1));
    assert!(store.job(&Scope::All, id).await.unwrap().is_none());
    assert!(store.dead_groups().await.unwrap().is_empty());
    for key in ["ai:jobs", "ai:attempts", "ai:progress", "ai:queue:dead"] {
        assert_eq!(redis.cli_int(&["EXISTS", key]), 0, "{key}");
    }
    assert_eq!(redis.cli_int(&["EXISTS", "ai:idempotency:ws:r1"]), 0);
    assert_ne!(enqueue_new(&store, spec("r1")).await, id);
    audit(&redis);
}

#[tokio::test]
async fn a_job_in_another_state_by_then_is_left_and_counted() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let ids = enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    let operation = begun(&store, plan(OperationAction::Hold)).await;
    let (to, found) =
        look(&store, &operation, 1, 100).await.into_iter().find(|(_, found)| !found.is_empty()).expect("a line");
    assert_eq!(found.len(), 3);
    let worker = TestWorker::register(&store).await;
    let claimed = worker.claim(&store, 2).await;
    worker.end(&store, &claimed[0], retry(Duration::from_secs(60))).await;
    let part = step(&store, &operation, &to, &found).await;
    let counts = &part.counts;
    assert_eq!((counts.matched, counts.done, skipped(counts, Skipped::State)), (3, 2, 1), "a retry is held too");
    assert_eq!(state(&store, claimed[1].job.id).await, JobState::Running);
    assert_eq!(ids.len(), 3);
    audit(&redis);
}

#[tokio::test]
async fn a_full_redis_is_drained() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let operation = begun(&store, plan(OperationAction::Cancel)).await;
    assert_eq!(steps(&store, &operation, 1).await.done, 3);
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    audit(&redis);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    enqueue_new(&store, spec("r1")).await;
    let worker = TestWorker::register(&store).await;
    worker.claim_one(&store).await;
    let operation = begun(&store, plan(OperationAction::Cancel)).await;
    let (to, found) =
        look(&store, &operation, 1, 100).await.into_iter().find(|(_, found)| !found.is_empty()).expect("a lease");
    let part = store.operation_part(operation.id).await.unwrap();
    let (own, inbox) = (format!("ai:operation:{}", operation.id), format!("ai:worker:{}:inbox", worker.id));
    let keys = [LINE_KEYS, ENDING_KEYS, &[own.as_str(), inbox.as_str()]].concat();
    let call = async || store.operate(Step { operation: &operation, part: &part, to: &to, ids: &found }).await;
    refuses_wrong_types(&redis, &keys, call).await;
    assert_eq!(call().await.unwrap().counts.done, 1);
    assert_eq!(state(&store, found[0]).await, JobState::Cancelled);
}
