//! Verb `cap`: how many jobs of an action a workspace may start within an hour.

use std::time::Duration;

use crate::domain::{JobId, JobType, QueueName, Workspace};

use super::reply::{corrupt, text};
use super::{Shards, Store, StoreError};

impl Store {
    /// Lets a job start, unless `most` others of its workspace and action did within an hour. Then a time is booked for
    /// it, and this says how long until then. A job counts once, however often it asks within that hour. `most` is 1 to
    /// 10,000.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn cap(
        &self,
        workspace: &Workspace,
        action: &JobType,
        job: JobId,
        most: u32,
    ) -> Result<Option<Duration>, StoreError> {
        let args = vec![
            QueueName::default_queue().as_str().into(),
            format!("{workspace}:{action}").into(),
            job.to_string().into(),
            most.clamp(1, 10_000).to_string().into(),
        ];
        let wait = text(self.run(&self.inner.scripts.cap, args).await?)?;
        let wait = Duration::from_millis(wait.parse().map_err(|_| corrupt("a wait"))?);
        Ok(Some(wait).filter(|wait| !wait.is_zero()))
    }
}

impl Shards {
    /// See [`Store::cap`]. It holds over all shards, so the first one counts.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn cap(
        &self,
        workspace: &Workspace,
        action: &JobType,
        job: JobId,
        most: u32,
    ) -> Result<Option<Duration>, StoreError> {
        self.first().cap(workspace, action, job, most).await
    }
}
