//! Pure types and rules: what a job is, which transitions are legal, how long a retry waits.
//!
//! Nothing here knows Redis, HTTP, tokio or the time of day.

mod action;
mod arguments;
mod audit;
mod credential;
mod effect;
mod failure;
mod ids;
mod job;
mod lease;
pub mod llm;
mod name;
mod policy;
mod retry;
mod ruling;
mod state;
mod timestamp;
mod trace;

pub use action::ActionFacts;
pub use arguments::arguments_digest;
pub use audit::AUDIT;
pub use credential::{CredentialKind, CredentialState, HeaderValue, Material, OAuth, SmtpLogin, SmtpSecurity};
pub use effect::{Approval, EffectClass, EffectRecord, EffectState, effect_key};
pub use failure::{Failure, FailureReason, clip_text, fingerprint};
pub use ids::{AttemptId, IdError, JobId, WorkerId};
pub use job::{Job, JobSpec, Priority, RawJson, bounds};
pub use lease::{LeaseTiming, LeaseTimingError};
pub use name::{CredentialName, JobType, NameError, ProviderName, QueueName, RequestId, Workspace};
pub use policy::{
    ANY_ACTION, APPROVAL_LIFE, APPROVAL_WAIT, ApprovalRule, DEFAULT_DOCUMENT, Decision, NamePattern, PatternError,
    PolicyDocument, RepositoryPattern, Rule,
};
pub use retry::{RetryPolicy, Rng01};
pub use ruling::{Denial, Ruling, Settings, Verdict, ruling};
pub use state::{Cause, HeldReason, JobState, TRANSITIONS, Transition, diagram};
pub use timestamp::{Timestamp, TimestampError};
pub use trace::{SpanId, SpanRef, TraceId};
