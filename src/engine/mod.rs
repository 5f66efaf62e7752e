//! Behaviour over time: submitting, claiming, running, renewing, draining.

mod executor;
mod registry;
pub mod tasks;

pub use executor::{
    Disposition, EffectGate, ExecutionError, Executor, JobContext, JobFuture, ProgressError, ProgressSink, TypeInfo,
};
pub use registry::{AllowList, Registry, RegistryError, TypeRefusal};
