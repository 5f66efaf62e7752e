//! Verb `cancel`.

use crate::domain::{JobId, QueueName};

use super::reply::{corrupt, text};
use super::{Store, StoreError};

/// What a cancel found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The job is cancelled now.
    Now,
    /// It is dead already.
    Dead,
    /// It is no live job of this queue: ended or unknown.
    NotLive,
}

impl Store {
    /// Cancels a job in `queue`. The caller has checked that the job may be seen.
    ///
    /// # Errors
    /// `Unknown`, `NotDurable`: repeating is safe.
    pub async fn cancel(&self, queue: &QueueName, id: JobId) -> Result<Cancelled, StoreError> {
        let mut args = self.ending_args(queue);
        args.push(id.to_string().into());
        match text(self.run(&self.inner.scripts.cancel, args).await?)?.as_str() {
            "c" => Ok(Cancelled::Now),
            "d" => Ok(Cancelled::Dead),
            "n" => Ok(Cancelled::NotLive),
            _ => Err(corrupt("an unknown cancel answer")),
        }
    }
}
