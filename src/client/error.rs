//! Why a call brought nothing.

use crate::api::Problem;

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer came.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// The address.
        url: String,
        /// The innermost cause.
        reason: String,
        /// Whether the connection was refused or broke, rather than that time ran out: it may pass.
        may_pass: bool,
    },
    /// The API answered with an error.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// Something answered that is not this API, or another version of it.
    #[error("unexpected answer ({status}) from {url}: {text}")]
    Unexpected {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What was wrong with the answer.
        text: String,
    },
    /// The client cannot be set up.
    #[error("{0}")]
    Setup(String),
}

impl ClientError {
    /// The stable code of the API's refusal, if it was one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Problem(problem) => Some(&problem.code),
            _ => None,
        }
    }

    /// Whether the same call may succeed a moment later: a server that is being replaced, or one
    /// that lost its Redis for a moment.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { may_pass, .. } => *may_pass,
            _ => matches!(self.code(), Some("redis_unavailable" | "outcome_unknown" | "overloaded")),
        }
    }
}

/// The innermost cause: reqwest's own text repeats the URL and hides why.
pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
