//! Pure types and rules: what a job is, which transitions are legal, how long a retry waits.
//!
//! Nothing here knows Redis, HTTP, tokio or the time of day.

mod action;
mod age;
mod arguments;
mod audit;
mod credential;
mod drain;
mod effect;
mod failure;
mod ids;
mod job;
mod lease;
pub mod llm;
mod name;
mod operation;
mod pace;
mod policy;
mod reason;
mod retry;
mod ruling;
pub mod scaling;
mod state;
mod timestamp;
mod trace;
mod worker;

pub use action::ActionFacts;
pub use age::{AgeError, LONGEST_AGE, parse_age};
pub use arguments::arguments_digest;
pub use audit::AUDIT;
pub use credential::{CredentialKind, CredentialState, HeaderValue, Material, OAuth, SmtpLogin, SmtpSecurity};
pub use drain::{DrainThen, DrainThenError};
pub use effect::{Approval, EffectClass, EffectRecord, EffectState, effect_key};
pub use failure::{Failure, FailureReason, clip_text, fingerprint};
pub use ids::{AttemptId, IdError, JobId, WorkerId};
pub use job::{Job, JobSpec, Priority, RawJson, bounds};
pub use lease::{LeaseTiming, LeaseTimingError};
pub use name::{CredentialName, JobType, NameError, ProviderName, QueueName, RequestId, Workspace};
pub use operation::{
    JobFilter, Operation, OperationAction, OperationCounts, OperationPlan, OperationState, Preview, PreviewGroup,
    Skipped,
};
pub use pace::{Note, Pace, Rates};
pub use policy::{
    ANY_ACTION, APPROVAL_LIFE, APPROVAL_WAIT, ApprovalRule, DEFAULT_DOCUMENT, Decision, NamePattern, PatternError,
    PolicyDocument, RepositoryPattern, Rule,
};
pub use reason::WaitReason;
pub use retry::{RetryPolicy, Rng01};
pub use ruling::{Denial, Ruling, Settings, Verdict, ruling};
pub use state::{Cause, HeldReason, JobState, TRANSITIONS, Transition, diagram};
pub use timestamp::{Timestamp, TimestampError};
pub use trace::{SpanId, SpanRef, TraceId};
pub use worker::{Order, WorkerState};
