//! Verb `fence`: who may make steps of a bulk operation on one shard.

use crate::domain::JobId;

use super::operate::OperationPart;
use super::reply::Reply;
use super::{Store, StoreError};

impl Store {
    /// Refuses, from then on, steps of an operation on this shard that are wanted under a smaller fence. Says how far the
    /// operation is there. A smaller one than is in force changes nothing.
    ///
    /// # Errors
    /// `Unknown`: repeating is safe.
    pub async fn fence_operation(&self, id: JobId, fence: u64) -> Result<OperationPart, StoreError> {
        let args = vec!["-".into(), id.to_string().into(), fence.to_string().into()];
        OperationPart::read(&Reply::array(self.run(&self.inner.scripts.fence, args).await?)?.pairs()?)
    }
}
