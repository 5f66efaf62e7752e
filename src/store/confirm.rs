//! Verb `confirm`: what this store was told before is durable when it returns.

use super::{Store, StoreError};

impl Store {
    /// Waits until everything that Redis has answered so far, to anyone, is as durable as an
    /// acknowledgement has to be. Without strict replicas there is nothing to wait for. Stands before
    /// an answer that rests on what was only read.
    ///
    /// # Errors
    /// `NotDurable` when too few replicas have it in time.
    pub async fn confirm(&self) -> Result<(), StoreError> {
        match &self.inner.durable {
            Some(lane) => lane.confirm(&self.inner.scripts.confirm, &self.inner.keys.jobs()).await,
            None => Ok(()),
        }
    }
}
