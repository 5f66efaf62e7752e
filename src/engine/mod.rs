//! Behaviour over time: submitting, claiming, running, renewing, draining.

mod attempt;
mod claim_loop;
mod control;
mod credentials;
mod deltas;
mod effect_log;
mod effects;
mod events;
mod executor;
mod findings;
mod guard;
mod janitor;
mod judge;
mod keeper;
mod lease;
mod listener;
mod log_filter;
mod operations;
mod orders;
mod pace;
mod policy;
mod registry;
mod slots;
mod submit;
pub mod tasks;
mod ticket;
mod tracer;
mod watch;
mod worker;

pub(crate) use control::of_blocker;
pub use control::{
    Control, ControlError, Decider, DecisionError, DrainError, EffectsOf, OverdueDrain, QueueLoad, QueueReason, Reason,
    RedisTrouble, Resolution, Selector, Unknown, approve_until,
};
pub use credentials::{
    KeyError, Keyring, NewCredential, Released, Resealed, Safe, SafeError, SealError, release_needing_reauth,
};
pub use effect_log::{Begun, EffectLog, EffectLogError, Intent, Judgement, LogFuture, Rules};
pub use effects::{Effect, EffectFailure, Effects, KEY_LIFE, Lookup, Step};
pub use events::{Delivery, EventHub, JobEvent, Subscription};
pub use executor::{
    DeltaSink, Disposition, EffectGate, ExecutionError, Executor, JobContext, JobFuture, ProgressError, ProgressSink,
    TypeInfo, from_fn,
};
pub use findings::{Check, Findings, Level};
pub use guard::Guard;
pub use janitor::{Janitor, Round};
pub use log_filter::log_filter;
pub use operations::{OperationError, Operations};
pub use pace::start_noting;
pub use policy::{Policies, Refusal};
pub use registry::{AllowList, Registry, RegistryError, TypeRefusal};
pub use submit::{SubmitError, Submitted, Submitter};
pub use tracer::{Fact, OpenSpan, Sampling, Span, SpanKind, SpanSink, Trace, Tracer};
pub use watch::{JobStep, Watch, WatchHub, Watched};
pub use worker::{Worker, WorkerError, WorkerHandle, WorkerHealth, WorkerOptions};
