//! What one attempt does with an effect, without a worker and without Redis.

use std::sync::Arc;
use std::time::Duration;

use windlass::domain::{EffectClass, EffectState, HeldReason, JobType};
use windlass::engine::{Disposition, ExecutionError, Executor, KEY_LIFE, Lookup, TypeInfo, from_fn};

use crate::support::context::{Failed, FakeJob, run_job};
use crate::support::outside::{Act, Outside, Request, receipt};

const HELD: Disposition = Disposition::Hold(HeldReason::OutcomeUnknown);

fn executor(requests: Vec<Request>) -> Arc<dyn Executor> {
    let info = TypeInfo::new(JobType::new("echo").unwrap(), "");
    from_fn(info, move |context| {
        let requests = requests.clone();
        async move {
            let mut last = context.raw_input().clone();
            for request in &requests {
                last = context.effect(request).await?;
            }
            Ok(last)
        }
    })
}

async fn attempt(job: &FakeJob, requests: &[Request]) -> Result<serde_json::Value, Failed> {
    run_job(job, executor(requests.to_vec()).as_ref(), serde_json::json!({})).await
}

fn disposition(outcome: Result<serde_json::Value, Failed>) -> Disposition {
    outcome.expect_err("it fails").1
}

#[tokio::test]
async fn a_keyed_effect_is_not_done_again_when_its_key_may_be_forgotten() {
    let outside = Outside::that(&[Act::Lose]);
    let request = [Request::new(EffectClass::Keyed, &outside)];
    let mut job = FakeJob::new();
    assert!(matches!(disposition(attempt(&job, &request).await), Disposition::Retry { .. }));
    job.attempt = 2;
    job.effects.age(KEY_LIFE);
    let (_, disposition, message) = attempt(&job, &request).await.unwrap_err();
    assert_eq!(disposition, HELD);
    assert!(message.contains("its key"), "{message}");
    assert_eq!(outside.done().len(), 1);
}

#[tokio::test]
async fn a_receipt_is_on_record_before_the_next_effect_begins() {
    let (first, second) = (Outside::that(&[]), Outside::that(&[Act::Refuse]));
    let tell = Request { step: "tell", ..Request::new(EffectClass::Once, &second) };
    let requests = [Request::new(EffectClass::Once, &first), tell];
    let mut job = FakeJob::new();
    assert!(attempt(&job, &requests).await.is_err());
    let record = job.effects.get("send").unwrap();
    assert_eq!((record.state, record.document), (EffectState::Done, receipt(&first.done()[0])));
    job.effects.clear("tell"); // as a worker does after a refusal
    job.attempt = 2;
    attempt(&job, &requests).await.unwrap();
    assert_eq!((first.done().len(), second.done().len()), (1, 1));
}

#[tokio::test]
async fn what_was_looked_up_is_on_record_before_the_next_effect_begins() {
    let (first, second) = (Outside::that(&[Act::Lose]), Outside::that(&[]));
    let tell = Request { step: "tell", ..Request::new(EffectClass::Once, &second) };
    let requests = [Request::new(EffectClass::Reconcilable, &first), tell];
    let mut job = FakeJob::new();
    assert!(attempt(&job, &requests).await.is_err());
    job.attempt = 2;
    attempt(&job, &requests).await.unwrap();
    assert_eq!(job.effects.get("send").unwrap().state, EffectState::Done);
    assert_eq!((first.done().len(), second.done().len()), (1, 1));
}

#[tokio::test]
async fn an_attempt_that_swallows_a_lost_answer_does_not_ask_a_second_time() {
    for class in [EffectClass::Once, EffectClass::Reconcilable] {
        let outside = Outside::that(&[Act::Lose]);
        let request = Request::new(class, &outside);
        let info = TypeInfo::new(JobType::new("echo").unwrap(), "");
        let stubborn = from_fn(info, move |context| {
            let request = request.clone();
            async move {
                let _: Result<_, ExecutionError> = context.effect(&request).await;
                context.effect(&request).await
            }
        });
        let outcome = run_job(&FakeJob::new(), stubborn.as_ref(), serde_json::json!({})).await;
        assert_eq!(disposition(outcome) == HELD, class == EffectClass::Once);
        assert_eq!(outside.done().len(), 1, "{class}");
    }
}

#[tokio::test]
async fn a_lookup_that_cannot_tell_is_left_to_a_person_and_one_too_early_waits() {
    let outside = Outside::that(&[Act::Lose]);
    outside.will_say([Ok(Lookup::Unknown("it shows two".to_owned()))]);
    let patient = Request { settles: Duration::from_secs(60), ..Request::new(EffectClass::Reconcilable, &outside) };
    let mut job = FakeJob::new();
    assert!(attempt(&job, std::slice::from_ref(&patient)).await.is_err());
    job.attempt = 2;
    job.effects.age(Duration::from_secs(20));
    let waits = disposition(attempt(&job, std::slice::from_ref(&patient)).await);
    assert_eq!(waits, Disposition::Postpone { after: Duration::from_secs(40) });
    job.effects.age(Duration::from_secs(40));
    assert_eq!(disposition(attempt(&job, &[patient]).await), HELD);
    assert_eq!(outside.done().len(), 1);
}

#[tokio::test]
async fn no_effect_begins_when_the_lease_may_be_lost() {
    let outside = Outside::that(&[]);
    let job = FakeJob::new();
    job.gate.close();
    assert!(attempt(&job, &[Request::new(EffectClass::Once, &outside)]).await.is_err());
    assert!(outside.done().is_empty() && job.effects.get("send").is_none());
}
