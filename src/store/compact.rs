//! Verb `compact`: the janitor's step for the listing index.

use super::reply::int;
use super::{Store, StoreError};

/// Hours after which an index holds only live jobs: longer than ended jobs are kept by default.
const LEFT_ALONE_HOURS: u64 = 48;

impl Store {
    /// One bounded, idempotent step; true while there is more to do.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn compact(&self) -> Result<bool, StoreError> {
        let kept = self.inner.options.retention.as_secs() / 3600 + 2;
        let args = vec!["-".into(), LEFT_ALONE_HOURS.max(kept).to_string().into()];
        Ok(int(&self.run(&self.inner.scripts.compact, args).await?)? == 1)
    }
}
