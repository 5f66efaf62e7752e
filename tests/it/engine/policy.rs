//! Rules for actions, as workers keep them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use windlass::domain::{
    ActionFacts, Decision, Denial, EffectClass, FailureReason, HeldReason, Job, JobState, PolicyDocument, Verdict,
    arguments_digest,
};
use windlass::engine::{Control, Decider, JobContext, Policies, Refusal, Registry, TypeInfo, from_fn};
use windlass::store::{Scope, Shards, Store, Unhold};

use crate::support::action::{letter, mail};
use crate::support::fleet::{options, reaches, start, until};
use crate::support::jobs::{TestWorker, enqueue_new, from_now, kind, queue, retry, spec, workspace};
use crate::support::operations::carried;
use crate::support::outside::{Outside, Request};
use crate::support::redis::TestRedis;

fn document(text: &str) -> PolicyDocument {
    serde_json::from_str(text).unwrap()
}

/// Sets a document as an API process would.
async fn set(store: &Store, name: Option<&str>, text: &str) {
    let policies = Policies::start(store.clone(), mail(true).0.allow_list().clone(), CancellationToken::new());
    let name = name.map(workspace);
    policies.put(name.as_ref(), Some(&document(text)), "tester").await.unwrap();
}

fn digest(job: &Job) -> String {
    arguments_digest(&job.workspace, &job.job_type, job.input.as_ref().unwrap())
}

const BY: Decider<'_> = Decider { key: "key-of-ann", name: "ann", note: "" };

#[tokio::test]
async fn a_change_of_the_rules_reaches_other_processes() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let allow = mail(true).0.allow_list().clone();
    let policies = Policies::start(store.clone(), allow, CancellationToken::new());
    policies.first_look().await;
    let (ws, facts) = (workspace("ws"), ActionFacts::default());
    let before = policies.judge(&ws, "mail.send", &facts).unwrap();
    assert_eq!((before, policies.revision().as_str()), (Verdict::Allow { max_per_hour: None }, ""));
    set(&store, Some("ws"), r#"{"rules":{"*":{"decision":"dry_run"}}}"#).await;
    until("the other process knows", async || {
        (policies.accepts(Some(&ws), "mail.send") == Ok(Decision::DryRun)).then_some(())
    })
    .await;
    assert_eq!(policies.judge(&ws, "mail.send", &facts), Ok(Verdict::DryRun));
    assert_eq!(policies.revision(), store.policy_revision().await.unwrap());
    assert_eq!(policies.accepts(Some(&workspace("other")), "mail.send"), Ok(Decision::Allow));
}

#[tokio::test]
async fn rules_that_cannot_be_read_deny_everything_and_none_are_known_without_redis() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    redis.cli(&["HSET", "ai:policy", "w:ws", r#"{"rules":{},"since":"version 9"}"#, "rev", "r"]);
    let allow = mail(true).0.allow_list().clone();
    let policies = Policies::start(store.clone(), allow.clone(), CancellationToken::new());
    policies.first_look().await;
    let refused = policies.accepts(Some(&workspace("ws")), "mail.send");
    assert!(matches!(refused, Err(Refusal::Denied(Denial::NotAllowed(_)))), "{refused:?}");
    assert!(policies.accepts(Some(&workspace("other")), "mail.send").is_ok());
    let nowhere = windlass::store::StoreOptions::new("redis://127.0.0.1:1");
    let nowhere = Shards::connect(nowhere).await.unwrap();
    let blind = Policies::start(nowhere, allow, CancellationToken::new());
    assert_eq!(blind.accepts(None, "mail.send"), Err(Refusal::NotKnown));
}

#[tokio::test]
async fn what_is_switched_off_is_set_aside_uncharged_and_comes_back() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (registry, ran) = mail(true);
    set(&store, Some("ws"), r#"{"enabled":false}"#).await;
    let worker = start(&store, &registry, options());
    let id = enqueue_new(&store, letter("ws", "r1", &["a@example.org"])).await;
    let held = reaches(&store, id, JobState::Held).await;
    assert_eq!((held.held_reason, held.attempt), (Some(HeldReason::ActionsDisabled), 0), "{held:?}");
    assert!(held.failure.unwrap().message.contains("`ws`"));
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    let free = enqueue_new(&store, letter("other", "r1", &["a@example.org"])).await;
    reaches(&store, free, JobState::Succeeded).await;
    set(&store, Some("ws"), r#"{"enabled":true}"#).await;
    let (_operations, _guard) = carried(store.clone());
    Control::new(store.clone()).judge_anew(Some(workspace("ws")));
    let done = reaches(&store, id, JobState::Succeeded).await;
    assert_eq!((done.attempt, ran.load(Ordering::SeqCst)), (1, 2));
    worker.stop().await;
}

#[tokio::test]
async fn a_dry_run_succeeds_without_running_and_says_what_it_would_have_done() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (registry, ran) = mail(true);
    set(&store, None, r#"{"rules":{"mail.send":{"decision":"dry_run"}}}"#).await;
    let worker = start(&store, &registry, options());
    let spec = letter("ws", "r1", &["a@example.org"]);
    let expected = arguments_digest(&spec.workspace, &spec.job_type, &spec.input);
    let id = enqueue_new(&store, spec).await;
    let result = reaches(&store, id, JobState::Succeeded).await.result.unwrap().to_value();
    assert_eq!((&result["dry_run"], &result["digest"]), (&true.into(), &expected.into()), "{result}");
    assert_eq!(result["would"]["recipients"], serde_json::json!(["a@example.org"]));
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    worker.stop().await;
}

#[tokio::test]
async fn a_dry_run_does_not_hide_what_an_earlier_attempt_began() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (registry, ran) = mail(true);
    let id = enqueue_new(&store, letter("ws", "r1", &["a@example.org"])).await;
    let earlier = TestWorker::offering(&store, &["mail.send"]).await;
    let claimed = earlier.claim_one(&store).await;
    store.effect_begin(&claimed, "send", EffectClass::Once, false, "").await.unwrap();
    earlier.end(&store, &claimed, retry(Duration::ZERO)).await;
    set(&store, None, r#"{"rules":{"mail.send":{"decision":"dry_run"}}}"#).await;
    let worker = start(&store, &registry, options());
    let held = reaches(&store, id, JobState::Held).await;
    assert_eq!((held.held_reason, ran.load(Ordering::SeqCst)), (Some(HeldReason::OutcomeUnknown), 0));
    worker.stop().await;
}

#[tokio::test]
async fn an_approval_of_exactly_these_arguments_lets_a_job_run() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (registry, ran) = mail(true);
    set(&store, Some("ws"), r#"{"rules":{"*":{"decision":"approve"}}}"#).await;
    let worker = start(&store, &registry, options());
    let id = enqueue_new(&store, letter("ws", "r1", &["a@example.org"])).await;
    let held = reaches(&store, id, JobState::Held).await;
    assert_eq!((held.held_reason, held.attempt), (Some(HeldReason::Approval), 0));
    assert_eq!(held.failure.as_ref().unwrap().reason, FailureReason::ApprovalRequired);
    let reason = Some(HeldReason::Approval);
    // Neither one for something else nor one that is over is good enough.
    let (past, soon) = (from_now(&store, -1).await, from_now(&store, 60_000).await);
    for (digest, expires_at) in [("0".repeat(64), soon), (digest(&held), past)] {
        let approved = Unhold::Approved { by: "ann".to_owned(), digest, expires_at };
        store.unhold(&queue(), id, reason, approved).await.unwrap();
        until("it is held again", async || {
            let job = store.job(&Scope::All, id).await.unwrap().unwrap();
            (job.state == JobState::Held).then_some(())
        })
        .await;
    }
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    let control = Control::new(store.clone());
    control.approve(&Scope::All, id, &digest(&held), BY, |_| Duration::from_secs(60)).await.unwrap();
    reaches(&store, id, JobState::Succeeded).await;
    assert_eq!(ran.load(Ordering::SeqCst), 1);
    worker.stop().await;
}

#[tokio::test]
async fn beyond_its_number_an_hour_a_job_waits_uncharged() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (registry, ran) = mail(true);
    set(&store, Some("ws"), r#"{"rules":{"mail.send":{"decision":"allow","max_per_hour":2}}}"#).await;
    let worker = start(&store, &registry, options());
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(enqueue_new(&store, letter("ws", &format!("r{n}"), &["a@example.org"])).await);
    }
    let waiting = until("one waits", async || {
        for id in &ids {
            let job = store.job(&Scope::All, *id).await.unwrap().unwrap();
            if job.state == JobState::Scheduled && ran.load(Ordering::SeqCst) == 2 {
                return Some(job);
            }
        }
        None
    })
    .await;
    assert_eq!((waiting.attempt, waiting.failure.unwrap().reason), (0, FailureReason::RateLimited));
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_offers_what_its_settings_or_the_default_rules_name() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (registry, ran) = mail(false);
    set(&store, Some("ws"), r#"{"rules":{"mail.send":{"decision":"allow"}}}"#).await;
    let worker = start(&store, &registry, options());
    let id = enqueue_new(&store, letter("ws", "r1", &["a@example.org"])).await;
    let other = enqueue_new(&store, spec("r2")).await;
    reaches(&store, other, JobState::Succeeded).await;
    let waiting = store.job(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!((waiting.state, waiting.attempt), (JobState::Pending, 0), "a workspace cannot widen");
    set(&store, None, r#"{"rules":{"mail.send":{"decision":"allow"}}}"#).await;
    reaches(&store, id, JobState::Succeeded).await;
    assert_eq!(ran.load(Ordering::SeqCst), 1);
    worker.stop().await;
}

#[tokio::test]
async fn a_change_between_the_judgement_and_the_effect_is_seen_and_judged_again() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let outside = Outside::that(&[]);
    let request = Request::new(EffectClass::Once, &outside);
    let (gate, began) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (held, told) = (Arc::clone(&gate), Arc::clone(&began));
    let mut info = TypeInfo::new(kind("mail.send"), "Waits, then does one effect.");
    (info.is_action, info.effect) = (true, EffectClass::Once);
    let mut registry = Registry::new(mail(true).0.allow_list().clone());
    let run = move |context: JobContext| {
        let (request, gate, told) = (request.clone(), Arc::clone(&held), Arc::clone(&told));
        async move {
            told.add_permits(1);
            gate.acquire().await.unwrap().forget();
            context.effect(&request).await
        }
    };
    registry.register(from_fn(info, run)).unwrap();
    let worker = start(&store, &Arc::new(registry), options());
    let off = enqueue_new(&store, letter("ws", "r1", &["a@example.org"])).await;
    let on = enqueue_new(&store, letter("other", "r1", &["a@example.org"])).await;
    began.acquire_many(2).await.unwrap().forget();
    set(&store, Some("ws"), r#"{"enabled":false}"#).await;
    gate.add_permits(2);
    let held = reaches(&store, off, JobState::Held).await;
    assert_eq!((held.held_reason, held.attempt), (Some(HeldReason::ActionsDisabled), 0), "{held:?}");
    reaches(&store, on, JobState::Succeeded).await;
    assert_eq!(outside.done(), [format!("{on}.send")], "the other one is judged anew and goes on");
    worker.stop().await;
}
