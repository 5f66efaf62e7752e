//! Verb `redrive`: another life for a dead, cancelled or expired job.

use crate::domain::{JobId, QueueName};

use super::reply::{corrupt, text};
use super::{Store, StoreError};

/// What a redrive found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redriven {
    /// The job is in line again.
    Now,
    /// Another job has its request id.
    Superseded(JobId),
    /// It is in no state to be redriven.
    NotRedrivable,
}

impl Store {
    /// Redrives a job. `bucket` is the hour of its done record, if it has one.
    ///
    /// # Errors
    /// `Unknown`, `NotDurable`: repeating is safe.
    pub async fn redrive(&self, queue: &QueueName, id: JobId, bucket: Option<i64>) -> Result<Redriven, StoreError> {
        let args = vec![
            queue.as_str().into(),
            self.inner.options.events_kept.to_string().into(),
            self.inner.options.idempotency_ttl.as_secs().to_string().into(),
            id.to_string().into(),
            bucket.map(|hour| hour.to_string()).unwrap_or_default().into(),
        ];
        let answer = text(self.run(&self.inner.scripts.redrive, args).await?)?;
        match answer.split_at_checked(1) {
            Some(("p", _)) => Ok(Redriven::Now),
            Some(("s", owner)) => {
                owner.parse().map(Redriven::Superseded).map_err(|_| corrupt("an idempotency key without a job id"))
            }
            Some(("n", _)) => Ok(Redriven::NotRedrivable),
            _ => Err(corrupt("an unknown redrive answer")),
        }
    }
}
