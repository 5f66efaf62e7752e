//! Verb `tend`: the janitor's step for one queue.

use crate::domain::QueueName;

use super::reply::Reply;
use super::{Store, StoreError};

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tended {
    /// Dead letters past their retention that were removed.
    pub removed: i64,
    /// Parked jobs whose block was gone.
    pub brought_back: i64,
}

impl Store {
    /// One bounded, idempotent step. Call again while it did something.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn tend(&self, queue: &QueueName) -> Result<Tended, StoreError> {
        let args = vec![queue.as_str().into(), self.inner.options.dead_retention.as_millis().to_string().into()];
        let mut reply = Reply::array(self.run(&self.inner.scripts.tend, args).await?)?;
        Ok(Tended { removed: reply.int()?, brought_back: reply.int()? })
    }
}
