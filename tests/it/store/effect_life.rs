//! How long a record of effects lives: as long as somebody may ask for it, and no longer.

use std::time::Duration;

use windlass::domain::{EffectClass, EffectState, HeldReason, JobId, JobState, RawJson};
use windlass::store::{Claimed, EffectBegun, Ending, Redriven, Scope, Store};

use crate::support::audit::{assert_no_leak, audit};
use crate::support::calls::START;
use crate::support::jobs::{
    TestWorker, death, enqueue_new, from_now, hold, queue, retry, shaped, spec, state, success,
};
use crate::support::redis::TestRedis;

async fn begin(store: &Store, claimed: &Claimed, step: &str, class: EffectClass) -> EffectBegun {
    store.effect_begin(claimed, step, class, false, "").await.unwrap()
}

async fn began(store: &Store, worker: &TestWorker, request: &str) -> Claimed {
    enqueue_new(store, spec(request)).await;
    let claimed = worker.claim_one(store).await;
    assert_eq!(begin(store, &claimed, "send", EffectClass::Once).await, EffectBegun::Fresh);
    claimed
}

async fn redrive(store: &Store, id: JobId) {
    let stored = store.stored(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!(store.redrive(&queue(), id, stored.bucket).await.unwrap(), Redriven::Now);
}

#[tokio::test]
async fn a_success_takes_its_record_along() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let claimed = began(&store, &worker, "r1").await;
    let other = began(&store, &worker, "r2").await;
    worker.end(&store, &claimed, success()).await;
    assert!(store.effects(claimed.job.id, None).await.unwrap().is_empty());
    assert_eq!(store.effects(other.job.id, None).await.unwrap().len(), 1, "its neighbour's stays");
    worker.end(&store, &other, success()).await;
    assert_no_leak(&redis);
    assert_eq!(redis.cli(&["KEYS", "ai:effects*"]), "");
}

#[tokio::test]
async fn a_redriven_job_finds_what_it_did_before_it_was_cancelled_or_died() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let cancelled = began(&store, &worker, "r1").await;
    store.effect_receipt(&cancelled, "send", &RawJson::from_compact("1")).await.unwrap();
    store.cancel(&queue(), cancelled.job.id).await.unwrap();
    audit(&redis);
    let dead = began(&store, &worker, "r2").await;
    store.effect_receipt(&dead, "send", &RawJson::from_compact("2")).await.unwrap();
    worker.end(&store, &dead, death()).await;
    for (before, receipt) in [(&cancelled, "1"), (&dead, "2")] {
        redrive(&store, before.job.id).await;
        audit(&redis);
        let claimed = worker.claim_one(&store).await;
        assert_eq!(claimed.job.id, before.job.id);
        let EffectBegun::Found(found) = begin(&store, &claimed, "send", EffectClass::Once).await else {
            panic!("the receipt was there")
        };
        assert_eq!((found.state, found.document.as_str()), (EffectState::Done, receipt));
        worker.end(&store, &claimed, success()).await;
    }
    assert_no_leak(&redis);
}

#[tokio::test]
async fn a_job_that_expires_between_attempts_keeps_its_intent_for_a_redrive() {
    let redis = TestRedis::start_halted(START).await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let end = from_now(&store, 300).await;
    let id = enqueue_new(&store, shaped("ws", "r1", |s| s.expires_at = Some(end))).await;
    let claimed = worker.claim_one(&store).await;
    begin(&store, &claimed, "send", EffectClass::Once).await;
    worker.end(&store, &claimed, retry(Duration::ZERO)).await;
    redis.set_clock(end.unix_ms() + 1);
    worker.claims(&store, 1).await;
    assert_eq!(state(&store, id).await, JobState::Expired);
    let bucket = store.stored(&Scope::All, id).await.unwrap().unwrap().bucket.unwrap();
    let ttl = |name: &str| redis.cli_int(&["PTTL", &format!("ai:{name}:{bucket}")]);
    assert!((ttl("done") - ttl("effects")).abs() < 1000, "the two buckets end together");
    redrive(&store, id).await;
    let claimed = worker.claim_one(&store).await;
    assert!(matches!(begin(&store, &claimed, "send", EffectClass::Once).await, EffectBegun::Found(_)));
}

#[tokio::test]
async fn a_dead_letter_that_is_removed_takes_its_record_along() {
    let redis = TestRedis::start().await;
    let store = redis.store_with(|o| o.dead_retention = Duration::ZERO).await;
    let worker = TestWorker::register(&store).await;
    enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    begin(&store, &claimed, "send", EffectClass::Keyed).await;
    worker.end(&store, &claimed, death()).await;
    assert_eq!(store.effects(claimed.job.id, None).await.unwrap().len(), 1);
    assert_eq!(store.tend(&queue()).await.unwrap().removed, 1);
    assert_eq!(redis.cli(&["KEYS", "ai:effects*"]), "");
}

#[tokio::test]
async fn a_job_that_is_given_up_over_the_doubt_of_an_earlier_attempt_is_held() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let first = began(&store, &worker, "r1").await;
    worker.end(&store, &first, retry(Duration::ZERO)).await;
    // It never came to its effect: its credential could not be read, say.
    let second = worker.claim_one(&store).await;
    worker.end(&store, &second, death()).await;
    let job = store.job(&Scope::All, first.job.id).await.unwrap().unwrap();
    assert_eq!((job.state, job.held_reason), (JobState::Held, Some(HeldReason::OutcomeUnknown)));
    audit(&redis);
}

#[tokio::test]
async fn an_attempt_whose_effects_certainly_did_not_happen_drops_its_own_intents_only() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let endings = [retry(Duration::ZERO), Ending::Released, death(), hold()];
    for (i, ending) in endings.into_iter().enumerate() {
        let first = began(&store, &worker, &format!("r{i}")).await;
        begin(&store, &first, "done", EffectClass::Once).await;
        store.effect_receipt(&first, "done", &RawJson::from_compact("1")).await.unwrap();
        worker.end(&store, &first, retry(Duration::ZERO)).await;
        let second = worker.claim_one(&store).await;
        begin(&store, &second, "tell", EffectClass::Once).await;
        worker.end(&store, &second, Ending::Cleared(Box::new(ending))).await;
        let left = store.effects(first.job.id, None).await.unwrap();
        let steps: Vec<&str> = left.iter().map(|effect| effect.step.as_str()).collect();
        assert_eq!(steps, ["send", "done"], "round {i}");
        let all = audit(&redis);
        if all.members("ai:queue:pending").is_empty() && state(&store, first.job.id).await == JobState::Pending {
            panic!("not in line");
        }
        store.cancel(&queue(), first.job.id).await.unwrap();
    }
}

#[tokio::test]
async fn a_third_crash_within_an_effect_is_held_and_no_poison() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let cases = [
        (Some(EffectClass::Once), JobState::Held),
        (Some(EffectClass::Reconcilable), JobState::Held),
        (Some(EffectClass::Keyed), JobState::Dead),
        (None, JobState::Dead),
    ];
    for (i, (class, ends)) in cases.into_iter().enumerate() {
        let id = enqueue_new(&store, spec(&format!("r{i}"))).await;
        for crash in 0..3 {
            let crashing = TestWorker::register(&store).await;
            let claimed = crashing.claim_and_lose(&store, 1).await.remove(0);
            if let Some(class) = class.filter(|_| crash == 0) {
                begin(&store, &claimed, "send", class).await;
            }
            redis.forget_worker(crashing.id);
        }
        TestWorker::register(&store).await.claims(&store, 0).await;
        let job = store.job(&Scope::All, id).await.unwrap().unwrap();
        assert_eq!((job.state, job.crashes), (ends, 3), "{class:?}");
        let reason = job.failure.unwrap().reason.as_str();
        assert_eq!(reason, if ends == JobState::Held { "outcome_unknown" } else { "poison" });
        audit(&redis);
    }
    assert_eq!(redis.cli_int(&["HGET", "ai:queue:stats", "held:outcome_unknown"]), 2);
    assert_eq!(redis.cli_int(&["HGET", "ai:queue:stats", "outcome_unknown"]), 2);
}
