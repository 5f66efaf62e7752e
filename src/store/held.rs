//! Which jobs are held.

use fred::prelude::Value;

use crate::domain::{HeldReason, JobId, JobState, QueueName, Workspace, bounds};

use super::list::LOOK;
use super::reply::Reply;
use super::{Shards, Store, StoreError};

impl Store {
    /// Jobs of a queue that are held for `reason`, of one workspace or of all, longest held first: `limit` at most,
    /// found among the first 1,000 held ones.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn held(
        &self,
        queue: &QueueName,
        reason: HeldReason,
        workspace: Option<&Workspace>,
        limit: usize,
    ) -> Result<Vec<JobId>, StoreError> {
        let (mut found, mut looked) = (Vec::new(), 0);
        while found.len() < limit && looked < LOOK {
            let last = looked + bounds::SCRIPT_ITEMS - 1;
            let args: Vec<Value> =
                vec![self.inner.keys.held(queue.as_str()).into(), looked.to_string().into(), last.to_string().into()];
            let ids = Reply::array(self.inner.link.command("ZRANGE", args).await?)?.texts()?;
            let ids: Vec<JobId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
            let jobs = self.jobs(&ids).await?.into_iter().flatten().map(|stored| stored.job);
            let fits = jobs.filter(|job| job.state == JobState::Held && job.held_reason == Some(reason));
            found.extend(fits.filter(|job| workspace.is_none_or(|own| *own == job.workspace)).map(|job| job.id));
            if ids.len() < bounds::SCRIPT_ITEMS {
                break;
            }
            looked += ids.len();
        }
        found.truncate(limit);
        Ok(found)
    }
}

impl Shards {
    /// Jobs that are held for `reason`, of one workspace or of all: `limit` at most. See [`Store::held`].
    ///
    /// # Errors
    /// When a shard did not answer.
    pub async fn held(
        &self,
        reason: HeldReason,
        workspace: Option<&Workspace>,
        limit: usize,
    ) -> Result<Vec<(QueueName, JobId)>, StoreError> {
        let mut found = Vec::new();
        for queue in self.queue_names().await? {
            for store in self.all() {
                if found.len() >= limit {
                    return Ok(found);
                }
                let ids = store.held(&queue, reason, workspace, limit - found.len()).await?;
                found.extend(ids.into_iter().map(|id| (queue.clone(), id)));
            }
        }
        Ok(found)
    }
}
