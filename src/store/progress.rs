//! Verb `progress`: the latest progress document of a running attempt.

use crate::domain::{RawJson, bounds};

use super::claim::Claimed;
use super::reply::{corrupt, int};
use super::{Store, StoreError};

impl Store {
    /// Stores progress; false when the attempt no longer holds the job.
    ///
    /// # Errors
    /// When Redis did not answer, or the document is over 4 KiB.
    pub async fn progress(&self, claimed: &Claimed, document: &RawJson) -> Result<bool, StoreError> {
        if document.as_str().len() > bounds::PROGRESS {
            return Err(corrupt("a progress document over 4 KiB"));
        }
        let args = vec![
            claimed.job.queue.as_str().into(),
            self.inner.options.events_kept.to_string().into(),
            claimed.job.id.to_string().into(),
            claimed.attempt_id.to_string().into(),
            claimed.job.attempt.to_string().into(),
            document.as_str().into(),
        ];
        Ok(int(&self.run(&self.inner.scripts.progress, args).await?)? == 1)
    }
}
