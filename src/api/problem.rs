//! Errors on the wire: RFC 9457 problem documents with a stable code.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// One error of a request. `code` is what programs should look at: codes are never renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(description = "RFC 9457 problem document. `code` is stable; programs should look at it.")]
pub struct Problem {
    /// A relative URI that names the code.
    #[serde(rename = "type")]
    #[schema(example = "/docs#error-unknown_field")]
    pub kind: String,
    /// The code in words; the same for every occurrence.
    #[schema(example = "The body has a field that this API does not know.")]
    pub title: String,
    /// The HTTP status, as a number.
    #[schema(example = 400, minimum = 400, maximum = 599)]
    pub status: u16,
    /// The stable code.
    #[schema(schema_with = super::schema::error_codes)]
    pub code: String,
    /// What happened this time, for people.
    pub detail: String,
    /// The id of the request, also in `X-Request-Id`; quote it when you ask for help.
    pub request_id: String,
    /// The fields at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// One field at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Where: a JSON pointer (RFC 6901) into the body; in query and header errors, the name.
    #[schema(example = "/timeout_ms")]
    pub pointer: String,
    /// What is wrong, without the offending value.
    #[schema(example = "must be 100 to 86400000")]
    pub detail: String,
}

impl FieldError {
    /// A field at fault.
    #[must_use]
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

impl Problem {
    /// A problem of this code; the request id is filled in on the way out.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/docs#error-{}", code.as_str()),
            title: code.title().into(),
            status: code.status(),
            code: code.as_str().into(),
            detail: detail.into(),
            request_id: String::new(),
            errors: Vec::new(),
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $status:literal $code:literal $title:literal,)+) => {
        /// Every stable code of this API. The status belongs to the code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $variant,)+ }

        impl ErrorCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code as sent.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// The code in words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }
        }
    };
}

codes! {
    /// The body is not JSON.
    InvalidJson = 400 "invalid_json" "The body is not valid JSON.",
    /// A key twice in one object, at any depth.
    DuplicateKey = 400 "duplicate_key" "A key occurs twice in its object.",
    /// More than 64 levels.
    TooDeep = 400 "too_deep" "The body is nested too deeply.",
    /// A number that 64 bits do not hold.
    NumberOutOfRange = 400 "number_out_of_range" "A number does not fit into 64 bits.",
    /// A field that nobody reads.
    UnknownField = 400 "unknown_field" "The body has a field that this API does not know.",
    /// A required field is not there.
    MissingField = 400 "missing_field" "A required field is missing.",
    /// Wrong type, or out of bounds.
    InvalidField = 400 "invalid_field" "A field does not have an acceptable value.",
    /// A documented field that this release cannot honour.
    NotSupported = 400 "not_supported" "This release does not support the field.",
    /// A query parameter.
    InvalidQuery = 400 "invalid_query" "A query parameter does not have an acceptable value.",
    /// A header.
    InvalidHeader = 400 "invalid_header" "A header does not have an acceptable value.",
    /// A forged, foreign or stale cursor.
    InvalidCursor = 400 "invalid_cursor" "The cursor was not issued for this list.",
    /// A system key without a workspace.
    WorkspaceRequired = 400 "workspace_required" "A key for all workspaces has to name one.",
    /// No key, an unknown key or a revoked key.
    Unauthorized = 401 "unauthorized" "A valid API key is needed.",
    /// The key lacks the scope.
    Forbidden = 403 "forbidden" "The API key may not do this.",
    /// Actions are switched off, here or for all.
    ActionsDisabled = 403 "actions_disabled" "Actions are switched off.",
    /// Whoever asked for a job may not approve it.
    RequesterMayNotApprove = 403 "requester_may_not_approve" "The key that asked for the job may not approve it.",
    /// The rules do not let this action run, or this job of it.
    ActionNotAllowed = 403 "action_not_allowed" "This action is not allowed here.",
    /// No such thing in the caller's workspace.
    NotFound = 404 "not_found" "There is no such thing.",
    /// No such path.
    NoRoute = 404 "no_route" "There is nothing at this path.",
    /// The path does not take the method.
    MethodNotAllowed = 405 "method_not_allowed" "The path does not take this method.",
    /// The body came too slowly.
    BodyTimeout = 408 "body_timeout" "The body did not arrive in time.",
    /// The state of the job or the operation forbids it.
    WrongState = 409 "wrong_state" "Its state does not allow this.",
    /// The approval is for something else than the job would do.
    DigestMismatch = 409 "digest_mismatch" "The digest is not that of the job's arguments.",
    /// The job waited too long for its approval.
    ApprovalExpired = 409 "approval_expired" "The time for an approval is over.",
    /// Another live job has the request id.
    Superseded = 409 "superseded" "Another job has this client_request_id now.",
    /// The workspace has as many credentials as it may.
    TooManyCredentials = 409 "too_many_credentials" "The workspace has too many credentials; nothing was stored.",
    /// The body is too large.
    BodyTooLarge = 413 "body_too_large" "The body is too large.",
    /// More items than a batch may have.
    BatchTooLarge = 413 "batch_too_large" "The batch has too many items.",
    /// Not a content type this path reads.
    UnsupportedMediaType = 415 "unsupported_media_type" "The content type is not supported.",
    /// The request id belongs to another body.
    RequestIdReused = 422 "request_id_reused" "The client_request_id was used with another body.",
    /// The operation's id belongs to another operation.
    OperationIdReused = 422 "operation_id_reused" "The operation_id was used for something else; nothing was begun.",
    /// No such job type.
    UnknownType = 422 "unknown_type" "This server does not know the job type.",
    /// The input does not fit the type.
    InvalidInput = 422 "invalid_input" "The input does not fit its type.",
    /// The queue is at its depth limit.
    QueueFull = 429 "queue_full" "The queue is full; the job was not enqueued.",
    /// The job would found a queue beyond the most that are kept.
    TooManyQueues = 429 "too_many_queues" "There are too many queues; the job was not enqueued.",
    /// As many bulk operations run as may.
    TooManyOperations = 429 "too_many_operations" "Too many bulk operations are running; it was not begun.",
    /// A bug.
    Internal = 500 "internal" "Something went wrong in the server.",
    /// The server has no key to seal credentials with.
    CredentialsKeyMissing = 503 "credentials_key_missing" "This server has no key for credentials; nothing was stored.",
    /// Intake is closed.
    QueueDraining = 503 "queue_draining" "The queue takes no new jobs.",
    /// Redis cannot be reached or refuses.
    RedisUnavailable = 503 "redis_unavailable" "Redis is unavailable; nothing was changed.",
    /// Redis could drop acknowledged jobs.
    RedisUnsafe = 503 "redis_unsafe" "Redis is not safe to acknowledge jobs; nothing was enqueued.",
    /// Redis is at its memory limit.
    RedisFull = 503 "redis_full" "Redis is out of memory; nothing was enqueued.",
    /// Nobody knows whether it was done; repeating is safe.
    OutcomeUnknown = 503 "outcome_unknown" "Nobody knows whether it was done; repeating it is safe.",
    /// Strict mode: written, and not yet known to be durable.
    DurabilityUnknown = 503 "durability_unknown" "It was written, and is not known to be durable; repeating it is safe.",
    /// The server has no room for this request.
    Overloaded = 503 "overloaded" "The server is too busy for this request.",
    /// Nobody did what only a worker can do.
    NoWorker = 503 "no_worker" "No live worker did it in time.",
    /// The server gave up on a read.
    Timeout = 503 "timeout" "The server could not answer in time.",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_of_errors() {
        let distinct: std::collections::BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(distinct.len(), ErrorCode::ALL.len());
        assert!(ErrorCode::ALL.iter().all(|code| (400..600).contains(&code.status())));
    }

    #[test]
    fn a_problem_carries_its_code_and_status() {
        let problem = Problem::new(ErrorCode::RedisFull, "used 85 %");
        let text = serde_json::to_string(&problem).expect("JSON");
        assert!(text.contains(r#""status":503"#) && text.contains(r#""code":"redis_full""#), "{text}");
        assert_eq!(serde_json::from_str::<Problem>(&text).expect("JSON"), problem);
    }
}
