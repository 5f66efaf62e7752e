//! What clients and operators do to jobs and queues.

use crate::domain::{Job, JobId, JobState, JobType, QueueName, Workspace};
use crate::store::{Scope, Store, StoreError};

/// Why a command had no effect.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ControlError {
    /// No such job in the caller's scope.
    #[error("no such job")]
    NotFound,
    /// The job's state forbids it.
    #[error("a {0} job cannot do that")]
    State(JobState),
    /// Another live job has this job's `client_request_id`.
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

/// Commands; cheap to clone. `by` is the name of the caller's key and goes into the record.
#[derive(Clone, Debug)]
pub struct Control {
    _store: Store,
}

impl Control {
    /// Cancels a job that is not terminal; a running attempt is aborted within a second.
    /// Cancelling a cancelled job again returns it.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub async fn cancel(&self, _scope: &Scope, _id: JobId, _by: &str) -> Result<Job, ControlError> {
        todo!()
    }

    /// Gives a dead, cancelled or expired job another life.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub async fn redrive(&self, _scope: &Scope, _id: JobId, _by: &str) -> Result<Job, ControlError> {
        todo!()
    }

    /// Stops workers from claiming what the selector covers; jobs stay in line.
    ///
    /// # Errors
    /// When Redis did not take it.
    pub async fn pause(&self, _q: &QueueName, _s: &Selector, _by: &str, _reason: &str) -> Result<(), StoreError> {
        todo!()
    }

    /// Lifts a pause, and re-opens intake when the selector is the whole queue.
    ///
    /// # Errors
    /// When Redis did not take it.
    pub async fn resume(&self, _queue: &QueueName, _selector: &Selector, _by: &str) -> Result<(), StoreError> {
        todo!()
    }

    /// Closes intake; workers finish what is in line. `resume` opens it again.
    ///
    /// # Errors
    /// When Redis did not take it.
    pub async fn drain(&self, _queue: &QueueName, _by: &str, _reason: &str) -> Result<(), StoreError> {
        todo!()
    }
}
