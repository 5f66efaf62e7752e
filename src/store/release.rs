//! Verb `release`: end attempts without claiming; what a stopping worker does last.

use crate::domain::QueueName;

use super::cycle::{Answer, Finished, answers, finish_args};
use super::reply::{Reply, corrupt};
use super::{Store, StoreError};

impl Store {
    /// Ends `finished` (at most 100, all of `queue`).
    ///
    /// # Errors
    /// `Unknown`: repeat; what was written answers `DoneBefore`.
    pub async fn release(&self, queue: &QueueName, finished: &[Finished]) -> Result<Vec<Answer>, StoreError> {
        let o = &self.inner.options;
        let mut args = vec![
            queue.as_str().into(),
            o.events_kept.to_string().into(),
            o.idempotency_ttl.as_secs().to_string().into(),
            o.retention.as_secs().to_string().into(),
        ];
        finish_args(self, &mut args, finished);
        let (value, durable) = self.run_reporting(&self.inner.scripts.release, args).await?;
        let codes = Reply::array(value)?
            .texts()?
            .iter()
            .map(|a| a.parse().map_err(|_| corrupt("a finish answer")))
            .collect::<Result<Vec<i64>, _>>()?;
        Ok(answers(&codes, &durable))
    }
}
