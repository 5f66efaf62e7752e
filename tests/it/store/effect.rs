//! Verb `effect`.

use std::time::Duration;

use windlass::domain::{AttemptId, EffectClass, EffectRecord, EffectState, JobId, RawJson};
use windlass::store::{Claimed, EffectBegun, Store, StoreError};

use crate::support::audit::{Snapshot, audit, refuses_wrong_types};
use crate::support::jobs::{TestWorker, enqueue_new, queue, retry, spec, success, until_past};
use crate::support::redis::TestRedis;

fn json(text: &str) -> RawJson {
    RawJson::from_compact(text)
}

async fn running(redis: &TestRedis) -> (Store, TestWorker, Claimed) {
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    (store, worker, claimed)
}

async fn begin(store: &Store, claimed: &Claimed, again: bool) -> EffectBegun {
    store.effect_begin(claimed, "send", EffectClass::Keyed, again, "").await.unwrap()
}

/// The next attempt, once `claimed` has been given back.
async fn next(store: &Store, worker: &TestWorker, claimed: &Claimed) -> Claimed {
    worker.end(store, claimed, retry(Duration::ZERO)).await;
    worker.claim_one(store).await
}

async fn only(store: &Store, id: JobId) -> EffectRecord {
    let mut all = store.effects(id, None).await.unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[tokio::test]
async fn an_intent_is_on_record_then_its_note_then_its_receipt() {
    let redis = TestRedis::start().await;
    let (store, _, claimed) = running(&redis).await;
    let id = claimed.job.id;
    assert!(store.effects(id, None).await.unwrap().is_empty());
    assert_eq!(begin(&store, &claimed, false).await, EffectBegun::Fresh);
    let intent = only(&store, id).await;
    assert_eq!((intent.step.as_str(), intent.state), ("send", EffectState::Intent));
    assert_eq!((intent.class, intent.attempt, intent.document.as_str()), (EffectClass::Keyed, 1, "null"));
    assert!(store.effect_note(&claimed, "send", &json("{\"draft\":1}")).await.unwrap());
    assert_eq!(only(&store, id).await.document.as_str(), "{\"draft\":1}");
    assert!(store.effect_receipt(&claimed, "send", &json("{\"id\":\"m\\t1\"}")).await.unwrap());
    let done = only(&store, id).await;
    assert_eq!((done.state, done.document.as_str()), (EffectState::Done, "{\"id\":\"m\\t1\"}"));
    assert!(done.by.is_empty() && !done.state_lost);
    assert_eq!(store.effect_begin(&claimed, "tell", EffectClass::Once, false, "").await.unwrap(), EffectBegun::Fresh);
    assert_eq!(store.effects(id, None).await.unwrap().len(), 2, "steps stand beside each other");
    audit(&redis);
}

#[tokio::test]
async fn a_repeat_by_the_same_attempt_answers_the_same_and_changes_nothing() {
    let redis = TestRedis::start().await;
    let (store, _, claimed) = running(&redis).await;
    assert_eq!(begin(&store, &claimed, false).await, EffectBegun::Fresh);
    let before = Snapshot::take(&redis).contents();
    for again in [false, true] {
        assert_eq!(begin(&store, &claimed, again).await, EffectBegun::Fresh);
    }
    assert_eq!(Snapshot::take(&redis).contents(), before);
    assert!(store.effect_receipt(&claimed, "send", &json("1")).await.unwrap());
    let before = Snapshot::take(&redis).contents();
    assert!(store.effect_receipt(&claimed, "send", &json("2")).await.unwrap());
    assert_eq!(Snapshot::take(&redis).contents(), before, "a receipt stays");
    assert!(!store.effect_note(&claimed, "send", &json("2")).await.unwrap(), "what is done needs no lookup");
    let EffectBegun::Found(found) = begin(&store, &claimed, true).await else { panic!("done is never done again") };
    assert_eq!(found.state, EffectState::Done);
    assert_eq!(Snapshot::take(&redis).contents(), before);
}

#[tokio::test]
async fn what_an_earlier_attempt_left_is_found_and_done_again_only_when_asked() {
    let redis = TestRedis::start().await;
    let (store, worker, first) = running(&redis).await;
    begin(&store, &first, false).await;
    store.effect_note(&first, "send", &json("\"noted\"")).await.unwrap();
    let began = only(&store, first.job.id).await;
    until_past(&store, began.at).await;
    let second = next(&store, &worker, &first).await;
    let before = Snapshot::take(&redis).contents();
    let EffectBegun::Found(found) = begin(&store, &second, false).await else { panic!("an intent was there") };
    assert_eq!((found.attempt, found.at, found.document.as_str()), (1, began.at, "\"noted\""));
    assert!(found.age > Duration::ZERO && found.first_age >= found.age);
    assert!(!store.effect_note(&second, "send", &json("2")).await.unwrap(), "it has no intent of its own");
    assert_eq!(Snapshot::take(&redis).contents(), before);
    assert_eq!(begin(&store, &second, true).await, EffectBegun::Fresh);
    let again = only(&store, first.job.id).await;
    assert_eq!((again.attempt, again.document.as_str()), (2, "\"noted\""));
    assert!(again.at > began.at && again.first_age > again.age, "the first moment stays");
    audit(&redis);
}

#[tokio::test]
async fn a_receipt_found_by_asking_stands_in_the_place_of_an_earlier_intent() {
    let redis = TestRedis::start().await;
    let (store, worker, first) = running(&redis).await;
    begin(&store, &first, false).await;
    let second = next(&store, &worker, &first).await;
    assert!(store.effect_receipt(&second, "send", &json("7")).await.unwrap());
    let done = only(&store, first.job.id).await;
    assert_eq!((done.state, done.attempt, done.class), (EffectState::Done, 2, EffectClass::Keyed));
    let third = next(&store, &worker, &second).await;
    assert!(matches!(begin(&store, &third, false).await, EffectBegun::Found(_)));
}

#[tokio::test]
async fn a_receipt_is_kept_where_its_intent_was_lost() {
    let redis = TestRedis::start().await;
    let (store, _, claimed) = running(&redis).await;
    begin(&store, &claimed, false).await;
    redis.cli(&["DEL", "ai:effects"]);
    assert!(!store.effect_note(&claimed, "send", &json("1")).await.unwrap(), "the effect must not go on");
    assert!(store.effect_receipt(&claimed, "send", &json("1")).await.unwrap());
    assert_eq!(only(&store, claimed.job.id).await.state, EffectState::Done);
}

#[tokio::test]
async fn a_stale_or_unknown_attempt_changes_nothing() {
    let redis = TestRedis::start().await;
    let (store, worker, claimed) = running(&redis).await;
    begin(&store, &claimed, false).await;
    let mut foreign = claimed.clone();
    foreign.attempt_id = AttemptId::random();
    worker.end(&store, &claimed, retry(Duration::ZERO)).await;
    let second = worker.claim_one(&store).await;
    let before = Snapshot::take(&redis).contents();
    for stale in [&claimed, &foreign] {
        for again in [false, true] {
            assert_eq!(begin(&store, stale, again).await, EffectBegun::Stale);
        }
        assert!(!store.effect_note(stale, "send", &json("1")).await.unwrap());
        assert!(!store.effect_receipt(stale, "send", &json("1")).await.unwrap());
    }
    assert_eq!(Snapshot::take(&redis).contents(), before);
    worker.end(&store, &second, success()).await;
    assert_eq!(begin(&store, &second, false).await, EffectBegun::Stale, "of a job that is gone");
    assert_eq!(redis.cli_int(&["EXISTS", "ai:effects"]), 0);
}

#[tokio::test]
async fn an_intent_judged_by_other_rules_is_not_written() {
    let redis = TestRedis::start().await;
    let (store, _, claimed) = running(&redis).await;
    redis.cli(&["HSET", "ai:policy", "rev", "r7"]);
    let before = Snapshot::take(&redis).contents();
    for revision in ["", "r6"] {
        let begun = store.effect_begin(&claimed, "send", EffectClass::Once, false, revision).await.unwrap();
        assert_eq!(begun, EffectBegun::PolicyChanged("r7".into()));
    }
    assert_eq!(Snapshot::take(&redis).contents(), before);
    let begun = store.effect_begin(&claimed, "send", EffectClass::Once, false, "r7").await.unwrap();
    assert_eq!(begun, EffectBegun::Fresh);
    redis.cli(&["DEL", "ai:policy"]);
    let begun = store.effect_begin(&claimed, "more", EffectClass::Once, false, "r7").await.unwrap();
    assert_eq!(begun, EffectBegun::PolicyChanged(String::new()));
}

#[tokio::test]
async fn an_intent_of_before_a_loss_of_state_says_so() {
    let redis = TestRedis::start().await;
    let (store, worker, first) = running(&redis).await;
    redis.cli(&["SET", "ai:epoch", "before"]);
    begin(&store, &first, false).await;
    assert!(!only(&store, first.job.id).await.state_lost);
    redis.cli(&["SET", "ai:epoch", "after"]);
    assert!(only(&store, first.job.id).await.state_lost);
    let second = next(&store, &worker, &first).await;
    let EffectBegun::Found(found) = begin(&store, &second, false).await else { panic!("an intent was there") };
    assert!(found.state_lost);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_it_is_sent() {
    let redis = TestRedis::start().await;
    let (store, _, claimed) = running(&redis).await;
    begin(&store, &claimed, false).await;
    let before = Snapshot::take(&redis).contents();
    let long = json(&format!("\"{}\"", "x".repeat(4095)));
    for document in [&long, &json("{\n}"), &json("{\t}")] {
        let answer = store.effect_receipt(&claimed, "send", document).await;
        assert!(matches!(answer, Err(StoreError::Corrupt(_))), "{answer:?}");
        assert!(store.effect_note(&claimed, "send", document).await.is_err());
    }
    for step in ["", "*approval", "Send", "a b", "0123456789012345678901234567890123"] {
        assert!(store.effect_begin(&claimed, step, EffectClass::Once, false, "").await.is_err(), "{step:?}");
    }
    assert_eq!(Snapshot::take(&redis).contents(), before);
    let fits = json(&format!("\"{}\"", "x".repeat(4094)));
    assert!(store.effect_receipt(&claimed, "send", &fits).await.unwrap());
}

#[tokio::test]
async fn writes_race_the_end_of_the_job_and_leave_nothing_behind() {
    let redis = TestRedis::start().await;
    let (store, other) = (redis.store().await, redis.store().await);
    let worker = TestWorker::register(&store).await;
    for i in 0..20 {
        enqueue_new(&store, spec(&format!("r{i}"))).await;
        let claimed = worker.claim_one(&store).await;
        let line = queue();
        let (begun, cancelled) = tokio::join!(begin(&other, &claimed, false), store.cancel(&line, claimed.job.id));
        assert!(matches!(begun, EffectBegun::Fresh | EffectBegun::Stale), "{begun:?}");
        cancelled.unwrap();
    }
    assert_eq!(redis.cli_int(&["EXISTS", "ai:effects"]), 0);
    audit(&redis);
}

#[tokio::test]
async fn a_full_redis_lets_effects_that_began_be_finished() {
    let redis = TestRedis::start().await;
    let (store, _, claimed) = running(&redis).await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "1mb"]);
    assert_eq!(begin(&store, &claimed, false).await, EffectBegun::Fresh);
    assert!(store.effect_receipt(&claimed, "send", &json("1")).await.unwrap());
    redis.cli(&["CONFIG", "SET", "maxmemory", "256mb"]);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let (store, _, claimed) = running(&redis).await;
    redis.cli(&["HSET", "ai:policy", "rev", "r7"]);
    let keys = ["ai:queue:running", "ai:effects", "ai:policy"];
    let call = async || store.effect_begin(&claimed, "send", EffectClass::Once, false, "r7").await;
    refuses_wrong_types(&redis, &keys, call).await;
    refuses_wrong_types(&redis, &keys, async || store.effect_receipt(&claimed, "send", &json("1")).await).await;
    redis.cli(&["RPUSH", "ai:epoch", "of a wrong type"]);
    let before = Snapshot::take(&redis).contents();
    assert!(matches!(store.effect_receipt(&claimed, "send", &json("1")).await, Err(StoreError::Corrupt(_))));
    assert_eq!(Snapshot::take(&redis).contents(), before);
}
