//! Verb `turn`: which process carries a bulk operation on.

use std::time::Duration;

use crate::domain::JobId;

use super::reply::int;
use super::{Store, StoreError};

impl Store {
    /// Takes or keeps the turn to carry an operation on, for `life`; false if another has it. Asked of the first shard.
    ///
    /// # Errors
    /// When Redis did not answer; a turn that was taken all the same is free again after `life`.
    pub async fn operation_turn(&self, id: JobId, holder: &str, life: Duration) -> Result<bool, StoreError> {
        let args = vec!["-".into(), id.to_string().into(), holder.into(), life.as_millis().to_string().into()];
        Ok(int(&self.run(&self.inner.scripts.turn, args).await?)? == 1)
    }

    /// Gives the turn up, if it is theirs.
    ///
    /// # Errors
    /// When Redis did not answer; it ends by itself.
    pub async fn end_operation_turn(&self, id: JobId, holder: &str) -> Result<(), StoreError> {
        self.operation_turn(id, holder, Duration::ZERO).await.map(drop)
    }
}
