//! Verb `replay`: a step of a bulk operation that puts jobs into a line they were not in.

use super::operate::{OperationPart, Step};
use super::{Store, StoreError};

impl Store {
    /// See [`Store::operate`]; for a redrive or a move, which a full Redis refuses.
    pub(super) async fn replay(&self, step: Step<'_>) -> Result<OperationPart, StoreError> {
        Self::stepped(self.run(&self.inner.scripts.replay, self.step_args(step)).await?)
    }
}
