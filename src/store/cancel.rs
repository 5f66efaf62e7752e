//! Verb `cancel`.

use fred::prelude::Value;

use crate::domain::{Failure, HeldReason, JobId, QueueName};

use super::reply::{corrupt, text};
use super::{Store, StoreError, codec};

/// What a cancel found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The job is cancelled now.
    Now,
    /// It is dead already.
    Dead,
    /// It is no live job of this queue: ended or unknown.
    NotLive,
    /// It is not held for the reason that it had to be.
    NotHeld,
}

impl Store {
    /// Cancels a job in `queue`. The caller has checked that the job may be seen.
    ///
    /// # Errors
    /// `Unknown`, `NotDurable`: repeating is safe.
    pub async fn cancel(&self, queue: &QueueName, id: JobId) -> Result<Cancelled, StoreError> {
        self.cancel_if(queue, id, ["".into(), "".into()]).await
    }

    /// Cancels a job if it is held for `reason`, and records why.
    ///
    /// # Errors
    /// `Unknown`, `NotDurable`: repeating is safe.
    pub async fn cancel_held(
        &self,
        queue: &QueueName,
        id: JobId,
        reason: HeldReason,
        failure: &Failure,
    ) -> Result<Cancelled, StoreError> {
        self.cancel_if(queue, id, [reason.as_str().into(), codec::failure_to(failure).into()]).await
    }

    async fn cancel_if(&self, queue: &QueueName, id: JobId, held: [Value; 2]) -> Result<Cancelled, StoreError> {
        let mut args = self.ending_args(queue);
        args.push(id.to_string().into());
        args.extend(held);
        match text(self.run(&self.inner.scripts.cancel, args).await?)?.as_str() {
            "c" => Ok(Cancelled::Now),
            "d" => Ok(Cancelled::Dead),
            "n" => Ok(Cancelled::NotLive),
            "o" => Ok(Cancelled::NotHeld),
            _ => Err(corrupt("an unknown cancel answer")),
        }
    }
}
