//! No silent second effect: what a worker does with an effect whose outcome it may not know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use windlass::domain::{
    EffectClass, EffectState, FailureReason, HeldReason, Job, JobId, JobSpec, JobState, RawJson, bounds,
};
use windlass::engine::{Disposition, ExecutionError, Judgement, Lookup, Registry, Rules, WorkerOptions};
use windlass::store::{Redriven, Scope, Store, Unheld, Unhold};

use crate::support::audit::{assert_no_leak, audit};
use crate::support::fleet::{options, reaches, registry, short_lease, start};
use crate::support::jobs::{TestWorker, enqueue_new, queue, spec};
use crate::support::outside::{Act, Outside, Request, receipt};
use crate::support::processes::stat;
use crate::support::proxy::Proxy;
use crate::support::redis::TestRedis;

const ONCE: EffectClass = EffectClass::Once;
const KEYED: EffectClass = EffectClass::Keyed;
const RECONCILABLE: EffectClass = EffectClass::Reconcilable;

/// Jobs that do one request and end with its receipt.
fn requests(class: EffectClass, outside: &Arc<Outside>) -> Arc<Registry> {
    let request = Request::new(class, outside);
    registry(move |context| {
        let request = request.clone();
        async move { context.effect(&request).await }
    })
}

fn brief(request: &str, max_attempts: u32) -> JobSpec {
    JobSpec { max_attempts, ..spec(request) }
}

/// Runs one job until it is in `state`; its key, and the job.
async fn run(store: &Store, registry: &Arc<Registry>, spec: JobSpec, state: JobState) -> (String, Job) {
    let worker = start(store, registry, options());
    let id = enqueue_new(store, spec).await;
    let job = reaches(store, id, state).await;
    worker.stop().await;
    (format!("{id}.send"), job)
}

fn assert_held(job: &Job) {
    assert_eq!((job.state, job.held_reason), (JobState::Held, Some(HeldReason::OutcomeUnknown)), "{:?}", job.failure);
    assert_eq!(job.failure.as_ref().unwrap().reason, FailureReason::OutcomeUnknown);
}

#[tokio::test]
async fn a_lost_answer_of_a_keyed_effect_is_asked_for_again_with_the_same_key() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let outside = Outside::that(&[Act::Lose, Act::Answer]);
    let (key, job) = run(&store, &requests(KEYED, &outside), spec("r"), JobState::Succeeded).await;
    assert_eq!((job.attempt, job.result), (2, Some(receipt(&key))));
    assert_eq!(outside.done(), [key.clone(), key]);
    assert_no_leak(&redis);
}

#[tokio::test]
async fn a_lost_answer_of_a_reconcilable_effect_is_looked_up_and_the_effect_is_done_once() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let outside = Outside::that(&[Act::Lose]);
    let (key, job) = run(&store, &requests(RECONCILABLE, &outside), spec("r"), JobState::Succeeded).await;
    assert_eq!((job.attempt, job.result), (2, Some(receipt(&key))));
    assert_eq!(outside.done(), [key]);
    assert_no_leak(&redis);
}

#[tokio::test]
async fn a_lost_answer_that_nobody_can_look_up_is_left_to_a_person() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let outside = Outside::that(&[Act::Lose]);
    let registry = requests(ONCE, &outside);
    let (key, job) = run(&store, &registry, spec("r"), JobState::Held).await;
    assert_held(&job);
    assert_eq!((job.attempt, outside.done()), (1, vec![key.clone()]));
    assert_eq!((stat(&redis, "held:outcome_unknown"), stat(&redis, "outcome_unknown")), (1, 1));
    audit(&redis);
    let happened = Unhold::Happened { step: "send".into(), by: "ann".into(), receipt: RawJson::from_compact("7") };
    assert_eq!(store.unhold(&queue(), job.id, None, happened).await.unwrap(), Unheld::Now);
    let worker = start(&store, &registry, options());
    let job = reaches(&store, job.id, JobState::Succeeded).await;
    assert_eq!((job.result, outside.done()), (Some(RawJson::from_compact("7")), vec![key]));
    worker.stop().await;
    assert_eq!((stat(&redis, "held:outcome_unknown"), stat(&redis, "outcome_unknown")), (0, 1));
    assert_no_leak(&redis);
}

#[tokio::test]
async fn what_a_person_says_did_not_happen_is_done_again() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let outside = Outside::that(&[Act::Lose]);
    let registry = requests(ONCE, &outside);
    let (key, job) = run(&store, &registry, brief("r", 1), JobState::Held).await;
    store.unhold(&queue(), job.id, None, Unhold::NotHappened { by: "ann".into() }).await.unwrap();
    let worker = start(&store, &registry, options());
    let job = reaches(&store, job.id, JobState::Succeeded).await;
    worker.stop().await;
    assert_eq!((job.attempt, outside.done().len()), (1, 2), "one more attempt than it had");
    assert_eq!(job.result, Some(receipt(&key)));
}

#[tokio::test]
async fn a_deadline_and_a_panic_within_an_effect_leave_the_same_doubt() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    for (i, act) in [Act::Hang, Act::Panic].into_iter().enumerate() {
        let timed = |request: String, most| JobSpec { timeout: Duration::from_millis(200), ..brief(&request, most) };
        let outside = Outside::that(&[act]);
        let (_, job) = run(&store, &requests(ONCE, &outside), timed(format!("o{i}"), 3), JobState::Held).await;
        assert_held(&job);
        assert_eq!(outside.done().len(), 1);
        let outside = Outside::that(&[act]);
        let (_, job) =
            run(&store, &requests(RECONCILABLE, &outside), timed(format!("r{i}"), 3), JobState::Succeeded).await;
        assert_eq!((job.attempt, outside.done().len()), (2, 1));
        let outside = Outside::that(&[act]);
        let (_, job) = run(&store, &requests(RECONCILABLE, &outside), timed(format!("l{i}"), 1), JobState::Held).await;
        assert_held(&job);
        assert!(job.failure.unwrap().message.contains("may have happened"), "it had no attempt left to look");
        let outside = Outside::that(&[act]);
        let (_, job) = run(&store, &requests(KEYED, &outside), timed(format!("k{i}"), 3), JobState::Succeeded).await;
        assert_eq!((job.attempt, outside.done().len()), (2, 2));
    }
    audit(&redis);
}

#[tokio::test]
async fn an_effect_that_was_refused_is_tried_again_and_leaves_no_doubt() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    for (i, class) in [ONCE, RECONCILABLE, KEYED].into_iter().enumerate() {
        let outside = Outside::that(&[Act::Refuse, Act::Refuse]);
        let (key, job) = run(&store, &requests(class, &outside), spec(&format!("r{i}")), JobState::Succeeded).await;
        assert_eq!((job.attempt, outside.done()), (3, vec![key]));
        let outside = Outside::that(&[Act::Refuse; 3]);
        let (_, job) = run(&store, &requests(class, &outside), spec(&format!("d{i}")), JobState::Dead).await;
        assert!(store.effects(job.id, None).await.unwrap().is_empty(), "{class}: nothing happened");
    }
    audit(&redis);
}

#[tokio::test]
async fn an_attempt_that_fails_after_its_effect_leaves_the_receipt_to_the_next() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    for (i, class) in [ONCE, RECONCILABLE, KEYED].into_iter().enumerate() {
        let outside = Outside::that(&[]);
        let (request, failed) = (Request::new(class, &outside), Arc::new(AtomicBool::new(false)));
        let registry = registry(move |context| {
            let (request, failed) = (request.clone(), Arc::clone(&failed));
            async move {
                let receipt = context.effect(&request).await?;
                assert_eq!(context.effect(&request).await?, receipt, "asked twice, done once");
                match failed.swap(true, Ordering::SeqCst) {
                    true => Ok(receipt),
                    false => Err(ExecutionError::retryable(FailureReason::Error, "something else broke")),
                }
            }
        });
        let (key, job) = run(&store, &registry, spec(&format!("r{i}")), JobState::Succeeded).await;
        assert_eq!((job.attempt, job.result), (2, Some(receipt(&key))), "{class}");
        assert_eq!(outside.done(), [key]);
    }
    assert_no_leak(&redis);
}

#[tokio::test]
async fn a_result_that_is_too_large_does_not_lose_the_receipt_and_a_redrive_finds_it() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let outside = Outside::that(&[]);
    let (request, mended) = (Request::new(ONCE, &outside), Arc::new(AtomicBool::new(false)));
    let fits = Arc::clone(&mended);
    let registry = registry(move |context| {
        let (request, fits) = (request.clone(), fits.load(Ordering::SeqCst));
        async move {
            let receipt = context.effect(&request).await?;
            let long = RawJson::from_compact(format!("\"{}\"", "x".repeat(bounds::RESULT)));
            Ok(if fits { receipt } else { long })
        }
    });
    let (key, job) = run(&store, &registry, spec("r"), JobState::Dead).await;
    let left = store.effects(job.id, None).await.unwrap();
    assert_eq!((left[0].state, &left[0].document), (EffectState::Done, &receipt(&key)));
    mended.store(true, Ordering::SeqCst);
    assert_eq!(store.redrive(&queue(), job.id, None).await.unwrap(), Redriven::Now);
    let worker = start(&store, &registry, options());
    let job = reaches(&store, job.id, JobState::Succeeded).await;
    worker.stop().await;
    assert_eq!((job.result, outside.done()), (Some(receipt(&key)), vec![key]));
    assert_no_leak(&redis);
}

/// A worker process that dies within its effect, once the request is out.
async fn crash_within(redis: &TestRedis, store: &Store, class: EffectClass, outside: &Outside) -> JobId {
    let id = enqueue_new(store, spec(class.as_str())).await;
    let crashing = TestWorker::register(store).await;
    let claimed = crashing.claim_and_lose(store, 1).await.remove(0);
    store.effect_begin(&claimed, "send", class, false, "").await.unwrap();
    outside.did_by_another(&format!("{id}.send"));
    redis.forget_worker(crashing.id);
    id
}

#[tokio::test]
async fn an_effect_that_a_worker_died_within_goes_by_its_class() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let cases = [(ONCE, JobState::Held, 1), (RECONCILABLE, JobState::Succeeded, 1), (KEYED, JobState::Succeeded, 2)];
    for (class, ends, times) in cases {
        let outside = Outside::that(&[]);
        let id = crash_within(&redis, &store, class, &outside).await;
        let worker = start(&store, &requests(class, &outside), options());
        let job = reaches(&store, id, ends).await;
        worker.stop().await;
        assert_eq!((job.crashes, outside.done().len()), (1, times), "{class}");
        audit(&redis);
    }
}

#[tokio::test]
async fn what_is_not_found_after_redis_lost_state_is_not_done_again() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    for (class, ends) in [(RECONCILABLE, JobState::Held), (KEYED, JobState::Succeeded)] {
        redis.cli(&["SET", "ai:epoch", "before"]);
        let outside = Outside::that(&[]);
        outside.will_say([Ok(Lookup::NotDone)]);
        let id = crash_within(&redis, &store, class, &outside).await;
        redis.cli(&["SET", "ai:epoch", "after"]);
        let worker = start(&store, &requests(class, &outside), options());
        let job = reaches(&store, id, ends).await;
        worker.stop().await;
        assert_eq!(outside.done().len(), if ends == JobState::Held { 1 } else { 2 }, "{:?}", job.failure);
    }
}

#[tokio::test]
async fn a_lookup_that_fails_each_time_ends_in_a_doubt_and_not_in_a_grave() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let outside = Outside::that(&[Act::Lose]);
    let away = || Err(ExecutionError::retryable(FailureReason::Error, "the other side is away"));
    outside.will_say([away(), away(), away()]);
    let (_, job) = run(&store, &requests(RECONCILABLE, &outside), spec("r"), JobState::Held).await;
    assert_held(&job);
    assert_eq!((job.attempt, outside.done().len()), (3, 1));
    let outside = Outside::that(&[Act::Lose]);
    outside.will_say([Ok(Lookup::Unknown("two of them look like it".to_owned()))]);
    let (_, job) = run(&store, &requests(RECONCILABLE, &outside), spec("u"), JobState::Held).await;
    assert_held(&job);
    assert!(job.failure.unwrap().message.contains("two of them"));
}

#[tokio::test]
async fn a_lookup_waits_until_the_other_side_has_settled() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let outside = Outside::that(&[Act::Lose]);
    let request = Request { settles: Duration::from_millis(700), ..Request::new(RECONCILABLE, &outside) };
    let registry = registry(move |context| {
        let request = request.clone();
        async move { context.effect(&request).await }
    });
    let (key, job) = run(&store, &registry, brief("r", 2), JobState::Succeeded).await;
    assert_eq!((job.attempt, outside.done()), (2, vec![key]), "the wait is not charged");
    assert!(stat(&redis, "released") >= 1);
}

#[tokio::test]
async fn a_shutdown_within_an_effect_leaves_the_intent_to_the_next_worker() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    for (class, ends, times) in [(ONCE, JobState::Held, 1), (RECONCILABLE, JobState::Succeeded, 1)] {
        let outside = Outside::that(&[Act::Hang]);
        let mut brief_grace = options();
        brief_grace.drain_grace = Duration::from_millis(10);
        let worker = start(&store, &requests(class, &outside), brief_grace);
        let id = enqueue_new(&store, spec(class.as_str())).await;
        outside.did.notified().await;
        worker.stop().await;
        let job = store.job(&Scope::All, id).await.unwrap().unwrap();
        assert_eq!((job.state, job.attempt), (JobState::Pending, 0), "given back, uncharged");
        assert_eq!(store.effects(id, None).await.unwrap()[0].state, EffectState::Intent);
        let worker = start(&store, &requests(class, &outside), options());
        reaches(&store, id, ends).await;
        worker.stop().await;
        assert_eq!(outside.done().len(), times, "{class}");
        audit(&redis);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_whose_answer_was_lost_is_put_on_record_again_and_the_effect_is_done_once() {
    let redis = TestRedis::start().await;
    let mut proxy = Proxy::start(&redis).await;
    let (store, through) = (redis.store().await, proxy.store().await);
    let outside = Outside::that(&[]);
    proxy.swallow_reply_to("\r\nbegin\r\n");
    let worker = start(&through, &requests(ONCE, &outside), short_lease(5000));
    let id = enqueue_new(&store, spec("r")).await;
    proxy.swallowed().await;
    let job = reaches(&store, id, JobState::Succeeded).await;
    worker.stop().await;
    assert_eq!((job.attempt, outside.done().len()), (1, 1));
}

#[derive(Debug)]
struct Refusing(&'static str);

impl Rules for Refusing {
    fn revision(&self) -> String {
        self.0.to_owned()
    }

    fn judge<'a>(&'a self, _: &'a Job, revision: &'a str) -> Judgement<'a> {
        let reason = FailureReason::ApprovalRequired;
        let message = format!("revision {revision} wants an approval");
        let disposition = Disposition::Hold(HeldReason::Approval);
        Box::pin(async move { Err(ExecutionError { reason, message, disposition }) })
    }
}

#[tokio::test]
async fn rules_that_changed_since_the_job_was_judged_are_asked_again_before_an_effect() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    redis.cli(&["HSET", "ai:policy", "rev", "r2"]);
    let outside = Outside::that(&[]);
    let registry = requests(ONCE, &outside);
    let by = |rev| WorkerOptions { rules: Some(Arc::new(Refusing(rev))), ..options() };
    let worker = start(&store, &registry, by("r1"));
    let id = enqueue_new(&store, spec("changed")).await;
    let job = reaches(&store, id, JobState::Held).await;
    worker.stop().await;
    assert_eq!((job.held_reason, job.attempt), (Some(HeldReason::Approval), 0), "not charged");
    assert!(job.failure.unwrap().message.contains("revision r2"));
    assert!(outside.done().is_empty() && store.effects(id, None).await.unwrap().is_empty());
    let worker = start(&store, &registry, by("r2"));
    let id = enqueue_new(&store, spec("as judged")).await;
    reaches(&store, id, JobState::Succeeded).await;
    worker.stop().await;
    let worker = start(&store, &registry, options());
    let id = enqueue_new(&store, spec("without rules")).await;
    reaches(&store, id, JobState::Succeeded).await;
    worker.stop().await;
    assert_eq!(outside.done().len(), 2);
    audit(&redis);
}

/// The demonstration of what the guard is for: the same histories without it.
#[cfg(feature = "chaos")]
#[tokio::test]
async fn without_the_guard_there_are_silent_second_effects() {
    let redis = TestRedis::start().await;
    let store = redis.store_with(|o| o.planted = windlass::store::planted::named("effect_guard_off")).await;
    for class in [ONCE, RECONCILABLE] {
        let outside = Outside::that(&[]);
        let id = crash_within(&redis, &store, class, &outside).await;
        let worker = start(&store, &requests(class, &outside), options());
        let job = reaches(&store, id, JobState::Succeeded).await;
        worker.stop().await;
        assert_eq!((job.crashes, outside.done().len()), (1, 2), "{class}");
    }
}
