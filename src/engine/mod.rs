//! Behaviour over time: submitting, claiming, running, renewing, draining.

mod control;
mod events;
mod executor;
mod guard;
mod registry;
mod submit;
pub mod tasks;

pub use control::{Control, ControlError, Selector};
pub use events::{Delivery, EventHub, JobEvent, Subscription};
pub use executor::{
    Disposition, EffectGate, ExecutionError, Executor, JobContext, JobFuture, ProgressError, ProgressSink, TypeInfo,
};
pub use guard::{Check, Findings, Guard, Level};
pub use registry::{AllowList, Registry, RegistryError, TypeRefusal};
pub use submit::{SubmitError, Submitted, Submitter};
