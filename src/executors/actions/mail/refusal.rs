//! How an API's answer that is no success is told.

use std::time::Duration;

use crate::domain::{FailureReason, HeldReason};
use crate::engine::{Disposition, EffectFailure, ExecutionError};

/// The wait when a limit was met and the API named none.
const BREATH: Duration = Duration::from_secs(60);

/// An answer that is no success.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// Whether what was asked for certainly did not happen.
    pub(super) certain: bool,
    /// What it means for the attempt.
    pub(super) error: ExecutionError,
}

impl Refusal {
    /// Trying again cannot help.
    pub(super) fn permanent(message: String) -> Self {
        Self { certain: true, error: ExecutionError::permanent(FailureReason::Permanent, message) }
    }

    /// A limit was met.
    pub(super) fn patience(message: String, after: Option<Duration>) -> Self {
        Self { certain: true, error: ExecutionError::postpone(message, after.unwrap_or(BREATH)) }
    }

    /// The credential may not do this; someone has to grant it.
    pub(super) fn needs_reauth(message: String) -> Self {
        Self { certain: true, error: needs_reauth(message) }
    }

    /// The server broke off, and may have done it.
    pub(super) fn unclear(message: String, after: Option<Duration>) -> Self {
        let error = ExecutionError::retryable(FailureReason::Error, message).with_retry_after(after);
        Self { certain: false, error }
    }

    /// Of a call whose effect cannot be taken back.
    pub(super) fn of_send(self) -> EffectFailure {
        if self.certain { EffectFailure::NotDone(self.error) } else { EffectFailure::Unknown(self.error) }
    }
}

/// A credential is refused: the job waits for a person instead of burning attempts.
pub(super) fn needs_reauth(message: String) -> ExecutionError {
    ExecutionError {
        reason: FailureReason::NeedsReauth,
        message,
        disposition: Disposition::Hold(HeldReason::NeedsReauth),
    }
}

/// A word of an error document that may be shown: what vendors call a reason or a code, and nothing else.
pub(super) fn word(value: &serde_json::Value) -> Option<&str> {
    let fits = |text: &&str| {
        (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    value.as_str().filter(fits)
}
