//! Bulk operations: begun by anyone, carried on by whichever API process has the turn.

use tokio_util::sync::CancellationToken;

use crate::domain::{JobId, Operation, OperationPlan, OperationState, Preview};
use crate::store::{Shards, StoreError};

/// Why an operation was not begun or changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OperationError {
    /// No such operation.
    #[error("no such operation")]
    NotFound,
    /// Its state forbids it: a finished one cannot be stopped or resumed.
    #[error("the operation is {0}")]
    State(OperationState),
    /// As many operations run as may, 10.
    #[error("10 operations are running")]
    TooMany,
    /// Redis did not do it, or (`Unknown`) may have; repeating is safe.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Commands to operations; cheap to clone. `by` is the name of the caller's key and goes into the record.
#[derive(Clone, Debug)]
pub struct Operations {
    store: Shards,
}

impl Operations {
    /// Commands on a store.
    #[must_use]
    pub fn new(store: impl Into<Shards>) -> Self {
        Self { store: store.into() }
    }

    /// Starts what carries operations on, in an API process; it ends with `shutdown`.
    pub fn start(&self, shutdown: CancellationToken) {
        let _ = (&self.store, shutdown);
    }

    /// What the plan would do now. Changes nothing; takes 10 s at most.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn preview(&self, plan: &OperationPlan) -> Result<Preview, OperationError> {
        let _ = plan;
        Err(OperationError::NotFound)
    }

    /// Begins an operation. `id` is the caller's choice ([`JobId::new`]), so that repeating is safe: the one that is
    /// there is returned.
    ///
    /// # Errors
    /// `TooMany`; `Store`.
    pub async fn begin(
        &self,
        id: JobId,
        plan: &OperationPlan,
        by: &str,
        expected: Option<u64>,
    ) -> Result<Operation, OperationError> {
        let _ = (id, plan, by, expected);
        Err(OperationError::NotFound)
    }

    /// Operations of the last 30 days, newest first, at most 1,000.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn list(&self) -> Result<Vec<Operation>, OperationError> {
        Err(OperationError::NotFound)
    }

    /// One operation.
    ///
    /// # Errors
    /// `NotFound`; `Store`.
    pub async fn get(&self, id: JobId) -> Result<Operation, OperationError> {
        let _ = id;
        Err(OperationError::NotFound)
    }

    /// Stops an operation after the step under way. Stopping a stopped one returns it.
    ///
    /// # Errors
    /// See [`OperationError`].
    pub async fn stop(&self, id: JobId, by: &str) -> Result<Operation, OperationError> {
        let _ = (id, by);
        Err(OperationError::NotFound)
    }

    /// Goes on with a stopped operation where it was, if wanted at another rate. Resuming a running one returns it.
    ///
    /// # Errors
    /// See [`OperationError`].
    pub async fn resume(&self, id: JobId, by: &str, rate: Option<u32>) -> Result<Operation, OperationError> {
        let _ = (id, by, rate);
        Err(OperationError::NotFound)
    }
}
