//! Verb `retire`: strike a worker that stopped in good order off the lists.

use crate::domain::{QueueName, WorkerId};

use super::{Store, StoreError};

impl Store {
    /// Removes a worker's registration at once instead of letting it run out.
    ///
    /// # Errors
    /// When Redis did not answer; the registration then runs out by itself.
    pub async fn retire(&self, worker: WorkerId, queues: &[QueueName]) -> Result<(), StoreError> {
        let mut args = vec!["-".into(), worker.to_string().into()];
        args.extend(queues.iter().map(|q| q.as_str().into()));
        self.run(&self.inner.scripts.retire, args).await.map(drop)
    }
}
