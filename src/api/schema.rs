//! Schemas of words: enumerations that the domain owns, as OpenAPI sees them.

use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::domain::{
    CredentialKind, CredentialState, Decision, FailureReason, HeldReason, JobState, OperationAction, OperationState,
    Order, Priority, WaitReason, WorkerState,
};

use super::ErrorCode;

/// The scopes that an API key may have.
pub const SCOPES: [&str; 8] = [
    "jobs:read",
    "jobs:write",
    "jobs:approve",
    "queue:stats",
    "queue:operate",
    "metrics:read",
    "workspace:admin",
    "system:admin",
];

fn words(values: impl IntoIterator<Item = &'static str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values)).build()
}

/// The states of a job.
pub(crate) fn states() -> Object {
    words(JobState::ALL.iter().map(|s| s.as_str()))
}

/// What jobs wait for.
pub(crate) fn wait_reasons() -> Object {
    words(WaitReason::ALL.iter().map(|reason| reason.as_str()))
}

/// How worker processes stand.
pub(crate) fn worker_states() -> Object {
    words(WorkerState::ALL.iter().map(|state| state.as_str()))
}

/// What worker processes can be told.
pub(crate) fn orders() -> Object {
    words(Order::ALL.iter().map(|order| order.as_str()))
}

/// The bands of a queue.
pub(crate) fn priorities() -> Object {
    words(Priority::ALL.iter().map(|p| p.as_str()))
}

/// Why attempts fail.
pub(crate) fn failure_reasons() -> Object {
    words(FailureReason::ALL.iter().map(|r| r.as_str()))
}

/// Why jobs are held, as text: a nullable field cannot list its words in every generator.
pub(crate) fn held_reasons() -> Object {
    let list: Vec<_> = HeldReason::ALL.iter().map(|r| r.as_str()).collect();
    ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(format!("Why the job is held, one of: {}; null when it is not.", list.join(", "))))
        .build()
}

/// What credentials are for.
pub(crate) fn credential_kinds() -> Object {
    words(CredentialKind::ALL.iter().map(|kind| kind.as_str()))
}

/// Whether credentials can be used.
pub(crate) fn credential_states() -> Object {
    words(CredentialState::ALL.iter().map(|state| state.as_str()))
}

/// What a rule says of an action.
pub(crate) fn decisions() -> Object {
    words(Decision::ALL.iter().map(|d| d.as_str()))
}

/// What became of an effect that nobody could tell of.
pub(crate) fn outcomes() -> Object {
    words(super::held::Outcome::ALL.iter().map(|(_, word)| *word))
}

/// The stable error codes.
pub(crate) fn error_codes() -> Object {
    words(ErrorCode::ALL.iter().map(|c| c.as_str()))
}

/// The scopes of keys.
pub(crate) fn scopes() -> utoipa::openapi::schema::Array {
    utoipa::openapi::schema::ArrayBuilder::new().items(words(SCOPES)).build()
}

/// What bulk operations do.
pub(crate) fn operation_actions() -> Object {
    words(OperationAction::ALL.iter().map(|action| action.as_str()))
}

/// How bulk operations stand.
pub(crate) fn operation_states() -> Object {
    words(OperationState::ALL.iter().map(|state| state.as_str()))
}

/// Why jobs are held.
pub(crate) fn held_reason_words() -> Object {
    words(HeldReason::ALL.iter().map(|reason| reason.as_str()))
}

/// One state, or some.
pub(crate) fn filter_states() -> utoipa::openapi::schema::Schema {
    let some = utoipa::openapi::schema::ArrayBuilder::new().items(states()).min_items(Some(1));
    utoipa::openapi::schema::OneOfBuilder::new().item(states()).item(some).build().into()
}
