//! Accepting jobs: enqueues that arrive together are written by one script call.

use std::time::Duration;

use crate::domain::{Job, JobId, JobSpec, QueueName};
use crate::store::{Store, StoreError};

/// An accepted job.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The job: new, or the one that already had this request id.
    pub job: Job,
    /// Whether it existed before.
    pub replayed: bool,
}

/// Why a job was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// The request id belongs to another body. Not enqueued.
    #[error("this client_request_id was used with another body, for job {existing}")]
    RequestIdReused {
        /// The job that has it.
        existing: JobId,
    },
    /// The queue or the workspace's share of it is full. Not enqueued.
    #[error("queue `{queue}` is full")]
    QueueFull {
        /// The queue.
        queue: QueueName,
        /// When to try again.
        retry_after: Duration,
    },
    /// The queue takes no new jobs. Not enqueued.
    #[error("queue `{queue}` is draining and takes no new jobs")]
    Draining {
        /// The queue.
        queue: QueueName,
    },
    /// Redis could drop acknowledged jobs. Not enqueued.
    #[error("Redis is not safe to acknowledge jobs: {0}")]
    Unsafe(String),
    /// Redis did not take it, or (`Unknown`) may have.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes jobs in; cheap to clone.
#[derive(Clone, Debug)]
pub struct Submitter {
    _store: Store,
}

impl Submitter {
    /// Writes one job.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub async fn submit(&self, _spec: JobSpec) -> Result<Submitted, SubmitError> {
        todo!()
    }

    /// Writes many jobs; each item is all or nothing, the batch never. Results keep the order.
    pub async fn submit_many(&self, _specs: Vec<JobSpec>) -> Vec<Result<Submitted, SubmitError>> {
        todo!()
    }
}
