//! What clients and operators do to jobs and queues.

mod drain;
mod fleet;
mod held;
mod why;

use crate::domain::{AUDIT, Job, JobId, JobState, JobType, QueueName, Workspace};
use crate::store::{Cancelled, Redriven, Scope, Shards, StoreError, Stored, Switch, Switched};

pub use drain::{DrainError, OverdueDrain};
pub use fleet::{QueueLoad, Unknown};
pub use held::{Decider, DecisionError, EffectsOf, Resolution, approve_until};
pub(crate) use why::of_blocker;
pub use why::{QueueReason, Reason, RedisTrouble};

/// Why a command had no effect.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ControlError {
    /// No such job in the caller's scope.
    #[error("no such job")]
    NotFound,
    /// The job's state forbids it.
    #[error("a {0} job cannot do that")]
    State(JobState),
    /// Another job has this job's `client_request_id`.
    #[error("superseded by job {0}")]
    Superseded(JobId),
    /// Redis did not do it, or (`Unknown`) may have; repeating is safe.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a pause covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The whole queue.
    Queue,
    /// Jobs of one type in the queue.
    Type(JobType),
    /// Jobs of one workspace in the queue.
    Workspace(Workspace),
}

impl Selector {
    fn switch(&self) -> Switch {
        match self {
            Self::Queue => Switch::Queue,
            Self::Type(name) => Switch::Type(name.clone()),
            Self::Workspace(name) => Switch::Workspace(name.clone()),
        }
    }
}

/// Commands; cheap to clone. `by` is the name of the caller's key and goes into the record.
#[derive(Clone, Debug)]
pub struct Control {
    store: Shards,
}

impl Control {
    /// Commands on a store.
    #[must_use]
    pub fn new(store: impl Into<Shards>) -> Self {
        Self { store: store.into() }
    }

    /// Cancels a job that is not terminal; a running attempt is aborted within a second.
    /// Cancelling a cancelled job again returns it.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub async fn cancel(&self, scope: &Scope, id: JobId, by: &str) -> Result<Job, ControlError> {
        let found = self.find(scope, id).await?;
        if !found.job.state.is_terminal() {
            let outcome = self.store.cancel(&found.job.queue, id).await?;
            tracing::info!(target: AUDIT, job_id = %id, by, ?outcome, "cancel");
            if outcome == Cancelled::Now {
                return self.changed(scope, id).await;
            }
        }
        // It ended between the look and the cancel, or before.
        match self.find(scope, id).await?.job {
            // Perhaps by a call that was not confirmed.
            job if job.state == JobState::Cancelled => {
                self.store.of(id).confirm().await?;
                Ok(job)
            }
            job => Err(ControlError::State(job.state)),
        }
    }

    /// Gives a dead, cancelled or expired job another life.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub async fn redrive(&self, scope: &Scope, id: JobId, by: &str) -> Result<Job, ControlError> {
        let found = self.find(scope, id).await?;
        let outcome = self.store.redrive(&found.job.queue, id, found.bucket).await?;
        tracing::info!(target: AUDIT, job_id = %id, by, ?outcome, "redrive");
        match outcome {
            Redriven::Now => self.changed(scope, id).await,
            Redriven::Superseded(other) => Err(ControlError::Superseded(other)),
            Redriven::NotRedrivable => Err(ControlError::State(found.job.state)),
        }
    }

    /// Stops workers from claiming what the selector covers; jobs stay in line. Who was first stays on record, and is
    /// returned.
    ///
    /// # Errors
    /// When Redis did not take it.
    pub async fn pause(
        &self,
        queue: &QueueName,
        what: &Selector,
        by: &str,
        reason: &str,
    ) -> Result<Switched, StoreError> {
        let switched = self.store.pause(queue, &what.switch(), by, reason).await?;
        tracing::info!(target: AUDIT, %queue, ?what, by, reason, first = switched.first, "pause");
        Ok(switched)
    }

    /// Lifts a pause, and re-opens intake when the selector is the whole queue.
    ///
    /// # Errors
    /// When Redis did not take it.
    pub async fn resume(&self, queue: &QueueName, what: &Selector, by: &str) -> Result<(), StoreError> {
        tracing::info!(target: AUDIT, %queue, ?what, by, "resume");
        let mut switches = vec![what.switch()];
        if *what == Selector::Queue {
            switches.push(Switch::Intake);
        }
        self.store.resume(queue, &switches).await
    }

    /// The job after a change was made to it.
    async fn changed(&self, scope: &Scope, id: JobId) -> Result<Job, ControlError> {
        let found = self.find(scope, id).await.map_err(|error| match error {
            ControlError::Store(error) => ControlError::Store(error.after_change()),
            // It was there a moment ago: Redis lost it, with the change or without.
            ControlError::NotFound => StoreError::Unknown("the job was gone after it was changed".to_owned()).into(),
            other => other,
        })?;
        Ok(found.job)
    }

    async fn find(&self, scope: &Scope, id: JobId) -> Result<Stored, ControlError> {
        self.store.stored(scope, id).await?.ok_or(ControlError::NotFound)
    }
}
