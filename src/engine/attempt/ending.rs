//! What an outcome means for the job, and what its effects have to say to that.

use std::any::Any;

use crate::domain::{EffectClass, Failure, FailureReason, HeldReason, RawJson, RetryPolicy, Timestamp, bounds};
use crate::store::Ending;

use super::super::effects::Effects;
use super::super::executor::{AT_ONCE, Disposition, ExecutionError};
use super::super::registry::TypeRefusal;
use super::Attempt;

impl Attempt {
    pub(super) fn conclude(
        &self,
        outcome: Result<RawJson, ExecutionError>,
        progress: Option<RawJson>,
        policy: RetryPolicy,
    ) -> (Ending, &'static str) {
        match outcome {
            Ok(result) if result.as_str().len() > bounds::RESULT => {
                let size = format!("the result has {} bytes, {} are allowed", result.as_str().len(), bounds::RESULT);
                self.failed(&ExecutionError::permanent(FailureReason::Permanent, size), policy)
            }
            Ok(result) => (Ending::Succeeded { result, progress }, "succeeded"),
            Err(error) => self.failed(&error, policy),
        }
    }

    /// What a failure means for the job. `policy` gives the backoff; the job says how many attempts.
    pub(super) fn failed(&self, error: &ExecutionError, policy: RetryPolicy) -> (Ending, &'static str) {
        let job = &self.claimed.job;
        let failure = self.failure(error.reason, &error.message);
        match error.disposition {
            Disposition::Retry { .. } | Disposition::Elsewhere if job.attempt >= job.max_attempts => {
                let message = format!("{}: {}", error.reason, error.message);
                (Ending::Dead { failure: self.failure(FailureReason::RetriesExhausted, &message) }, "dead")
            }
            Disposition::Retry { after } => {
                let after = policy.delay(job.attempt, after, &mut rand::random::<f64>);
                (Ending::Retry { after, failure, charged: true }, "retried")
            }
            Disposition::Elsewhere => (Ending::Retry { after: AT_ONCE, failure, charged: true }, "retried"),
            Disposition::Postpone { after } => {
                let after = after.clamp(AT_ONCE, RetryPolicy::RETRY_AFTER_LIMIT);
                (Ending::Retry { after, failure, charged: false }, "postponed")
            }
            Disposition::Dead => (Ending::Dead { failure }, "dead"),
            Disposition::Hold(reason) => (Ending::Held { reason, failure }, "held"),
        }
    }

    /// The schema is checked again here: the door may have another version.
    pub(super) fn refused(&self, refusal: &TypeRefusal) -> Ending {
        let reason = match refusal {
            TypeRefusal::Unknown(_) => FailureReason::NotAllowed,
            TypeRefusal::Invalid { .. } => FailureReason::Invalid,
        };
        Ending::Dead { failure: self.failure(reason, &refusal.to_string()) }
    }

    pub(super) fn failure(&self, reason: FailureReason, message: &str) -> Failure {
        let at: Timestamp = self.store.now_estimate();
        Failure::new(reason, message, at)
    }

    /// An ending, given what the attempt's effects left behind. A success needs no record of them any more. What
    /// certainly happened is put on record, what certainly did not is forgotten, and nothing is tried again or given up
    /// that may have happened and that nobody can look into.
    pub(super) async fn with_effects_of(
        &self,
        effects: &Effects,
        ending: Ending,
        word: &'static str,
    ) -> (Ending, &'static str) {
        effects.close();
        if matches!(ending, Ending::Succeeded { .. }) {
            return (ending, word);
        }
        if let Err(error) = effects.record_receipts().await {
            tracing::warn!(job_id = %self.claimed.job.id, %error, "a receipt may not be on record");
        }
        let left = effects.left();
        let (ending, word) = match (left.doubt, ending) {
            // Whether a later attempt may do it again, it finds out itself.
            (_, Ending::Released) => (Ending::Released, word),
            (Some(EffectClass::Once), ending) => self.in_doubt(ending),
            (Some(EffectClass::Reconcilable), ending @ Ending::Dead { .. }) => self.in_doubt(ending),
            (_, ending) => (ending, word),
        };
        if left.clear { (Ending::Cleared(Box::new(ending)), word) } else { (ending, word) }
    }

    /// One that a rule sets aside is no trouble; the others wait for someone who may not know.
    pub(super) fn tell_of_hold(&self, reason: HeldReason, why: &str) {
        let job = &self.claimed.job;
        let (id, workspace, attempt) = (job.id, &job.workspace, job.attempt);
        match reason {
            HeldReason::OutcomeUnknown | HeldReason::NeedsReauth => {
                tracing::warn!(job_id = %id, tenant_id = %workspace, attempt, %reason, why, "held");
            }
            HeldReason::Approval | HeldReason::ActionsDisabled | HeldReason::Operator => {
                tracing::info!(job_id = %id, tenant_id = %workspace, attempt, %reason, why, "held");
            }
        }
    }

    /// For a person to decide: nobody can tell whether an effect happened.
    fn in_doubt(&self, ending: Ending) -> (Ending, &'static str) {
        let reason = HeldReason::OutcomeUnknown;
        let why = match ending {
            Ending::Held { reason: HeldReason::OutcomeUnknown, failure } => failure.message,
            Ending::Retry { failure, .. } | Ending::Dead { failure } | Ending::Held { failure, .. } => {
                format!("an effect may have happened; then {}: {}", failure.reason, failure.message)
            }
            _ => "an effect may have happened".to_owned(),
        };
        (Ending::Held { reason, failure: self.failure(FailureReason::OutcomeUnknown, &why) }, "held")
    }
}

pub(super) fn broken(error: tokio::task::JoinError) -> ExecutionError {
    match error.try_into_panic() {
        Ok(payload) => panicked(payload),
        Err(_) => ExecutionError::retryable(FailureReason::Panic, "the handler was aborted"),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a panic's payload ends here")]
pub(super) fn panicked(payload: Box<dyn Any + Send>) -> ExecutionError {
    let message = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the handler panicked".to_owned());
    ExecutionError::retryable(FailureReason::Panic, message)
}
