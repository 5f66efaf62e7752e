//! What a request that got no answer says of its effect.

use crate::domain::FailureReason;
use crate::engine::{EffectFailure, ExecutionError};
use crate::executors::outbound::root_cause;

use super::resolver::refusal;

/// `who` names the other side, as in "the webhook receiver". A request that never left certainly did nothing; of one
/// that was sent, nobody knows.
pub(super) fn unanswered(error: &reqwest::Error, who: &str) -> EffectFailure {
    if let Some(blocked) = refusal(error) {
        return EffectFailure::NotDone(ExecutionError::permanent(FailureReason::NotAllowed, blocked));
    }
    if error.is_builder() {
        return EffectFailure::NotDone(ExecutionError::permanent(FailureReason::Invalid, root_cause(error)));
    }
    let reason = if error.is_timeout() { FailureReason::Timeout } else { FailureReason::Error };
    if error.is_connect() {
        let why = format!("cannot connect to {who}: {}", root_cause(error));
        return EffectFailure::NotDone(ExecutionError::retryable(reason, why));
    }
    let why = match reason {
        FailureReason::Timeout => format!("{who} did not answer in time"),
        _ => format!("the request to {who} broke off: {}", root_cause(error)),
    };
    EffectFailure::Unknown(ExecutionError::retryable(reason, why))
}

/// What an effect failed with, where it does not matter whether it happened.
pub(super) fn either(failure: EffectFailure) -> ExecutionError {
    match failure {
        EffectFailure::NotDone(error) | EffectFailure::Unknown(error) => error,
    }
}
