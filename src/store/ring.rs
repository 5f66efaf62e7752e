//! Verb `ring`: put back a wake-up token that its taker cannot use.

use crate::domain::QueueName;

use super::{Store, StoreError};

impl Store {
    /// Passes a token on to another idle worker.
    ///
    /// # Errors
    /// When Redis did not answer; idle workers look by themselves within five seconds.
    pub async fn ring(&self, queue: &QueueName) -> Result<(), StoreError> {
        self.run(&self.inner.scripts.ring, vec![queue.as_str().into()]).await.map(drop)
    }
}
