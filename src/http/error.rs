//! How a handler's errors become problem documents.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::api::{ErrorCode, FieldError, Problem};
use crate::domain::Denial;
use crate::engine::{ControlError, DecisionError, DrainError, Refusal, SubmitError, TypeRefusal};
use crate::store::StoreError;

/// An error on its way to the client. The body is written by the outermost layer, which knows the
/// request's id; until then the problem travels as a response extension.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    problem: Box<Problem>,
    retry_after: Option<Duration>,
}

impl ApiError {
    pub(super) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Box::new(Problem::new(code, detail)).into()
    }

    /// An error of one field, query parameter or header.
    pub(super) fn at(code: ErrorCode, pointer: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let mut problem = Problem::new(code, format!("{pointer} {detail}"));
        problem.errors = vec![FieldError::new(pointer, detail)];
        Box::new(problem).into()
    }

    pub(super) fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// A job that is not there or not the caller's: the same words for both.
    pub(super) fn no_job() -> Self {
        Self::new(ErrorCode::NotFound, "there is no such job in this workspace")
    }

    /// The problem, for an item of a batch.
    pub(super) fn into_problem(self) -> Problem {
        *self.problem
    }
}

impl From<Box<Problem>> for ApiError {
    fn from(problem: Box<Problem>) -> Self {
        Self { problem, retry_after: None }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds(after).into());
        }
        response.extensions_mut().insert(*self.problem);
        response
    }
}

/// Whole seconds, rounded up, at least one.
fn seconds(after: Duration) -> u64 {
    after.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
}

/// Redis is usually back within seconds; clients that all wait the same time would return as one,
/// but their own jitter is theirs to add.
const REDIS_RETRY: Duration = Duration::from_secs(2);

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        // What Redis said may name hosts and keys: it is logged here and not sent.
        tracing::warn!(error = %error, "Redis did not do it");
        let code = match error {
            StoreError::Unavailable(_) | StoreError::ReadOnly(_) => ErrorCode::RedisUnavailable,
            StoreError::Full(_) => ErrorCode::RedisFull,
            StoreError::Unknown(_) => return outcome_unknown(),
            StoreError::NotDurable(_) => return durability_unknown(),
            StoreError::Corrupt(_) => {
                return Self::new(ErrorCode::Internal, "Redis holds data that this version does not understand");
            }
        };
        Self::new(code, "try again").retry_after(REDIS_RETRY)
    }
}

/// The answer when a change may or may not have been made.
pub(super) fn outcome_unknown() -> ApiError {
    ApiError::new(
        ErrorCode::OutcomeUnknown,
        "the connection to Redis failed before it answered; send the same request again",
    )
    .retry_after(Duration::from_secs(1))
}

/// The answer when a change was made and too few replicas said in time that they have it.
fn durability_unknown() -> ApiError {
    ApiError::new(
        ErrorCode::DurabilityUnknown,
        "Redis did it, and its replicas did not confirm in time; send the same request again",
    )
    .retry_after(REDIS_RETRY)
}

impl From<DrainError> for ApiError {
    fn from(error: DrainError) -> Self {
        match error {
            DrainError::Unknown(names) => {
                let some: Vec<&str> = names.iter().take(20).map(|name| name.as_str()).collect();
                let more = if names.len() > some.len() { ", …" } else { "" };
                Self::new(ErrorCode::NotFound, format!("there is no such queue; there are {}{more}", some.join(", ")))
            }
            DrainError::ToItself => Self::at(ErrorCode::InvalidField, "/then", error.to_string()),
            DrainError::Store(error) => error.into(),
        }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        let detail = error.to_string();
        match error {
            SubmitError::RequestIdReused { existing } => {
                let detail = format!("belongs to job {existing}, which has another body");
                Self::at(ErrorCode::RequestIdReused, "/client_request_id", detail)
            }
            SubmitError::QueueFull { retry_after, .. } => {
                Self::new(ErrorCode::QueueFull, detail).retry_after(retry_after)
            }
            SubmitError::TooManyQueues { .. } => {
                Self::at(ErrorCode::TooManyQueues, "/queue", detail).retry_after(Duration::from_secs(60))
            }
            SubmitError::Draining { .. } => {
                Self::new(ErrorCode::QueueDraining, detail).retry_after(Duration::from_secs(30))
            }
            SubmitError::Unsafe(_) => Self::new(ErrorCode::RedisUnsafe, detail).retry_after(Duration::from_secs(10)),
            SubmitError::Store(error) => error.into(),
        }
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let detail = error.to_string();
        match error {
            ControlError::NotFound => Self::no_job(),
            ControlError::State(_) => Self::new(ErrorCode::WrongState, detail),
            ControlError::Superseded(_) => Self::new(ErrorCode::Superseded, detail),
            ControlError::Store(error) => error.into(),
        }
    }
}

impl From<TypeRefusal> for ApiError {
    fn from(refusal: TypeRefusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            TypeRefusal::Unknown(_) => Self::at(ErrorCode::UnknownType, "/type", detail),
            TypeRefusal::Invalid { pointer, message } => {
                Self::at(ErrorCode::InvalidInput, &format!("/input{pointer}"), message)
            }
        }
    }
}

impl From<DecisionError> for ApiError {
    fn from(error: DecisionError) -> Self {
        let detail = error.to_string();
        match error {
            DecisionError::NotFound => Self::no_job(),
            DecisionError::NotWaiting { .. } => Self::new(ErrorCode::WrongState, detail),
            DecisionError::Requester => Self::new(ErrorCode::RequesterMayNotApprove, detail),
            DecisionError::Digest => Self::at(ErrorCode::DigestMismatch, "/digest", detail),
            DecisionError::Expired(_) => Self::new(ErrorCode::ApprovalExpired, detail),
            DecisionError::Store(error) => error.into(),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::Denied(Denial::Disabled(_)) => Self::at(ErrorCode::ActionsDisabled, "/type", detail),
            Refusal::Denied(Denial::NotAllowed(_)) => Self::at(ErrorCode::ActionNotAllowed, "/type", detail),
            Refusal::NotKnown => Self::new(ErrorCode::RedisUnavailable, detail).retry_after(REDIS_RETRY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_whole_seconds_and_at_least_one() {
        assert_eq!(seconds(Duration::ZERO), 1);
        assert_eq!(seconds(Duration::from_millis(1001)), 2);
    }

    #[test]
    fn what_redis_said_is_not_sent() {
        let error = ApiError::from(StoreError::Unavailable("redis://:hunter2@db:6379 refused".into()));
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(header::RETRY_AFTER));
        let problem = response.extensions().get::<Problem>().expect("a problem");
        assert!(!format!("{problem:?}").contains("hunter2"));
    }

    #[test]
    fn a_field_of_the_input_is_named_by_pointer() {
        let refusal = TypeRefusal::Invalid { pointer: "/messages/0".into(), message: "is too short".into() };
        let problem = ApiError::from(refusal).into_problem();
        assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (422, "/input/messages/0"));
    }
}
