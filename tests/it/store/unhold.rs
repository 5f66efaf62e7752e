//! Verb `unhold`, and which jobs are held.

use std::time::Duration;

use windlass::domain::{
    EffectClass, EffectState, Failure, FailureReason, HeldReason, JobId, JobState, QueueName, RawJson, Timestamp,
};
use windlass::store::{Claimed, EffectBegun, Ending, Scope, Shards, Store, StoreError, Unheld, Unhold};

use crate::support::audit::{LINE_KEYS, Snapshot, assert_no_leak, audit, refuses_wrong_types};
use crate::support::calls::START;
use crate::support::jobs::{TestWorker, enqueue_new, from_now, hold, queue, shaped, spec, spec_of, state, workspace};
use crate::support::redis::TestRedis;

fn held_for(reason: HeldReason) -> Ending {
    let failure = Failure::new(FailureReason::ApprovalRequired, "someone decides", Timestamp::from_unix_ms(1));
    Ending::Held { reason, failure }
}

/// A job that began an effect of class `once` and is held.
async fn in_doubt(store: &Store, request: &str) -> (JobId, TestWorker) {
    let id = enqueue_new(store, spec(request)).await;
    let worker = TestWorker::register(store).await;
    let claimed = worker.claim_one(store).await;
    store.effect_begin(&claimed, "send", EffectClass::Once, false, "").await.unwrap();
    worker.end(store, &claimed, hold()).await;
    (id, worker)
}

fn not_happened() -> Unhold {
    Unhold::NotHappened { by: "ann".into() }
}

async fn begin(store: &Store, claimed: &Claimed) -> EffectBegun {
    store.effect_begin(claimed, "send", EffectClass::Once, false, "").await.unwrap()
}

#[tokio::test]
async fn a_released_job_is_in_line_again_and_is_run() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (id, worker) = in_doubt(&store, "r1").await;
    assert_eq!(redis.cli_int(&["TTL", "ai:idempotency:ws:r1"]), -1);
    let found = store.unhold(&queue(), id, Some(HeldReason::OutcomeUnknown), Unhold::Release).await.unwrap();
    assert_eq!(found, Unheld::Now);
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt, job.held_reason), (JobState::Pending, 1, None));
    let ttl = redis.cli_int(&["TTL", "ai:idempotency:ws:r1"]);
    assert!((7 * 86_400..=8 * 86_400).contains(&ttl), "its last moment in line and a day: {ttl}");
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:wake"]), 1, "a worker is rung");
    audit(&redis);
    let claimed = worker.claim_one(&store).await;
    assert_eq!(claimed.job.attempt, 2);
    assert!(matches!(begin(&store, &claimed).await, EffectBegun::Found(_)), "its intent is as it was");
}

#[tokio::test]
async fn what_happened_is_a_receipt_with_the_name_of_who_says_so() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (id, worker) = in_doubt(&store, "r1").await;
    let receipt = RawJson::from_compact("{\"seen\":\"in the mailbox\"}");
    let happened = Unhold::Happened { step: "send".into(), by: "ann\tof\nops".into(), receipt: receipt.clone() };
    assert_eq!(store.unhold(&queue(), id, None, happened).await.unwrap(), Unheld::Now);
    let claimed = worker.claim_one(&store).await;
    let EffectBegun::Found(found) = begin(&store, &claimed).await else { panic!("it was decided") };
    assert_eq!((found.state, found.class, found.by.as_str()), (EffectState::Done, EffectClass::Once, "ann of ops"));
    assert_eq!(found.document, receipt);
    audit(&redis);
}

#[tokio::test]
async fn what_did_not_happen_begins_anew() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (id, worker) = in_doubt(&store, "r1").await;
    assert_eq!(store.unhold(&queue(), id, None, not_happened()).await.unwrap(), Unheld::Now);
    assert!(store.effects(id, None).await.unwrap().is_empty());
    let claimed = worker.claim_one(&store).await;
    assert_eq!(begin(&store, &claimed).await, EffectBegun::Fresh);
    audit(&redis);
    worker.work_off(&store, 1).await;
}

#[tokio::test]
async fn an_approval_is_on_record_beside_the_effects() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    let worker = TestWorker::register(&store).await;
    for (round, by) in ["ann", "bob"].into_iter().enumerate() {
        let claimed = worker.claim_one(&store).await;
        assert_eq!(claimed.job.attempt, 1, "a hold for an approval is not charged");
        worker.end(&store, &claimed, held_for(HeldReason::Approval)).await;
        let expires_at = from_now(&store, 60_000).await;
        let digest = format!("d{round}");
        let approved = Unhold::Approved { by: by.into(), digest: digest.clone(), expires_at };
        let found = store.unhold(&queue(), id, Some(HeldReason::Approval), approved).await.unwrap();
        assert_eq!(found, Unheld::Now);
        let approval = store.approval(id).await.unwrap().unwrap();
        assert_eq!((approval.by.as_str(), approval.digest, approval.expires_at), (by, digest, expires_at));
        assert!(approval.at < expires_at);
    }
    assert!(store.effects(id, None).await.unwrap().is_empty(), "an approval is no effect");
    worker.work_off(&store, 1).await;
    assert_no_leak(&redis);
}

#[tokio::test]
async fn a_repeat_and_a_job_that_is_not_held_change_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (id, worker) = in_doubt(&store, "r1").await;
    let other = QueueName::new("other").unwrap();
    let before = Snapshot::take(&redis).contents();
    assert_eq!(store.unhold(&other, id, None, not_happened()).await.unwrap(), Unheld::NotHeld, "of another queue");
    let asked = store.unhold(&queue(), id, Some(HeldReason::Approval), not_happened()).await.unwrap();
    assert_eq!(asked, Unheld::OtherReason(Some(HeldReason::OutcomeUnknown)));
    assert_eq!(store.unhold(&queue(), JobId::new(1, 0), None, not_happened()).await.unwrap(), Unheld::NotHeld);
    let long = RawJson::from_compact(format!("\"{}\"", "x".repeat(4095)));
    let happened = Unhold::Happened { step: "send".into(), by: String::new(), receipt: long };
    assert!(matches!(store.unhold(&queue(), id, None, happened).await, Err(StoreError::Corrupt(_))));
    assert_eq!(Snapshot::take(&redis).contents(), before);
    store.unhold(&queue(), id, None, Unhold::Release).await.unwrap();
    let before = Snapshot::take(&redis).contents();
    assert_eq!(store.unhold(&queue(), id, None, not_happened()).await.unwrap(), Unheld::NotHeld);
    worker.claim_one(&store).await;
    assert_eq!(store.unhold(&queue(), id, None, not_happened()).await.unwrap(), Unheld::NotHeld, "it runs");
    assert_ne!(Snapshot::take(&redis).contents(), before);
    assert_eq!(store.effects(id, None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_out_of_attempts_gets_one_more() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    for (request, most) in [("r1", 1), ("r3", 3), ("r9", 9)] {
        let id = enqueue_new(&store, shaped("ws", request, |s| s.max_attempts = most)).await;
        let mut claimed = worker.claim_one(&store).await;
        for _ in 1..most {
            worker.end(&store, &claimed, crate::support::jobs::retry(Duration::ZERO)).await;
            claimed = worker.claim_one(&store).await;
        }
        assert_eq!(claimed.job.attempt, most);
        worker.end(&store, &claimed, hold()).await;
        assert_eq!(store.job(&Scope::All, id).await.unwrap().unwrap().attempt, most);
        store.unhold(&queue(), id, None, Unhold::Release).await.unwrap();
        let claimed = worker.claim_one(&store).await;
        assert_eq!(claimed.job.attempt, most, "its last one again");
        worker.end(&store, &claimed, crate::support::jobs::success()).await;
    }
}

#[tokio::test]
async fn many_decisions_at_once_are_one() {
    let redis = TestRedis::start().await;
    let stores = [redis.store().await, redis.store().await];
    let (id, _) = in_doubt(&stores[0], "r1").await;
    let mut calls = tokio::task::JoinSet::new();
    for i in 0..20 {
        let store = stores[i % 2].clone();
        let change = if i % 3 == 0 { Unhold::Release } else { not_happened() };
        calls.spawn(async move { store.unhold(&queue(), id, None, change).await.unwrap() });
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.iter().filter(|found| **found == Unheld::Now).count(), 1);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 1);
    audit(&redis);
}

#[tokio::test]
async fn a_decision_that_comes_too_late_does_not_run_the_job_unless_its_effect_happened() {
    let redis = TestRedis::start_halted(START).await;
    let store = redis.store().await;
    let end = from_now(&store, 300).await;
    let mut ids = Vec::new();
    let worker = TestWorker::register(&store).await;
    for request in ["r1", "r2"] {
        ids.push(enqueue_new(&store, shaped("ws", request, |s| s.expires_at = Some(end))).await);
        let claimed = worker.claim_one(&store).await;
        begin(&store, &claimed).await;
        worker.end(&store, &claimed, hold()).await;
    }
    redis.set_clock(end.unix_ms() + 1);
    store.unhold(&queue(), ids[0], None, not_happened()).await.unwrap();
    let receipt = RawJson::from_compact("1");
    let happened = Unhold::Happened { step: "send".into(), by: "ann".into(), receipt };
    store.unhold(&queue(), ids[1], None, happened).await.unwrap();
    audit(&redis);
    assert_eq!(worker.work_off(&store, 5).await, [ids[1]]);
    assert_eq!(state(&store, ids[0]).await, JobState::Expired);
    assert_no_leak(&redis);
}

#[tokio::test]
async fn a_job_that_waits_again_expires_at_its_time_again() {
    let redis = TestRedis::start_halted(START).await;
    let store = redis.store().await;
    let end = from_now(&store, 400).await;
    let id = enqueue_new(&store, shaped("ws", "r1", |s| s.expires_at = Some(end))).await;
    let worker = TestWorker::register(&store).await;
    let claimed = worker.claim_one(&store).await;
    worker.end(&store, &claimed, hold()).await;
    store.unhold(&queue(), id, None, Unhold::Release).await.unwrap();
    assert_eq!(redis.cli_int(&["ZSCORE", "ai:queue:expiring", &id.to_string()]), end.unix_ms());
    audit(&redis);
    redis.set_clock(end.unix_ms() + 1);
    worker.claims(&store, 0).await;
    assert_eq!(state(&store, id).await, JobState::Expired);
}

#[tokio::test]
async fn held_jobs_are_listed_by_reason_and_workspace_and_counted_by_reason() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let mut ids = Vec::new();
    for (ws, request, reason) in
        [("a", "r1", HeldReason::Approval), ("b", "r2", HeldReason::NeedsReauth), ("a", "r3", HeldReason::NeedsReauth)]
    {
        ids.push(enqueue_new(&store, spec_of(ws, request)).await);
        let claimed = worker.claim_one(&store).await;
        worker.end(&store, &claimed, held_for(reason)).await;
    }
    let shards = Shards::from(store.clone());
    let held = async |reason, ws: Option<&str>, limit| {
        let ws = ws.map(workspace);
        let found = shards.held(reason, ws.as_ref(), limit).await.unwrap();
        found.into_iter().map(|(_, id)| id).collect::<Vec<_>>()
    };
    assert_eq!(held(HeldReason::NeedsReauth, None, 10).await, ids[1..]);
    assert_eq!(held(HeldReason::NeedsReauth, None, 1).await, ids[1..2]);
    assert_eq!(held(HeldReason::NeedsReauth, Some("a"), 10).await, ids[2..]);
    assert!(held(HeldReason::OutcomeUnknown, None, 10).await.is_empty());
    let count = |reason: &str| redis.cli(&["HGET", "ai:queue:stats", &format!("held:{reason}")]);
    assert_eq!((count("needs_reauth"), count("approval")), ("2".into(), "1".into()));
    store.cancel(&queue(), ids[1]).await.unwrap();
    store.unhold(&queue(), ids[2], None, Unhold::Release).await.unwrap();
    assert_eq!((count("needs_reauth"), count("approval")), ("0".into(), "1".into()));
    audit(&redis);
}

#[tokio::test]
async fn a_job_that_an_older_version_held_makes_no_count_negative() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (id, _) = in_doubt(&store, "r1").await;
    redis.cli(&["HDEL", "ai:queue:stats", "held:outcome_unknown"]);
    store.unhold(&queue(), id, None, Unhold::Release).await.unwrap();
    assert_eq!(redis.cli_int(&["HGET", "ai:queue:stats", "held:outcome_unknown"]), 0);
}

#[tokio::test]
async fn a_full_redis_lets_a_decision_through() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (id, _) = in_doubt(&store, "r1").await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "1mb"]);
    assert_eq!(store.unhold(&queue(), id, None, not_happened()).await.unwrap(), Unheld::Now);
    redis.cli(&["CONFIG", "SET", "maxmemory", "256mb"]);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (id, _) = in_doubt(&store, "r1").await;
    let keys = [LINE_KEYS, &["ai:effects", "ai:queue:held"]].concat();
    refuses_wrong_types(&redis, &keys, async || store.unhold(&queue(), id, None, not_happened()).await).await;
    assert_eq!(store.unhold(&queue(), id, None, not_happened()).await.unwrap(), Unheld::Now);
}
