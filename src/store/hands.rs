//! Which jobs a worker process has in hand.

use fred::prelude::Value;

use crate::domain::{Job, JobId, QueueName, WorkerId, bounds};

use super::list::LOOK;
use super::reply::Reply;
use super::{Shards, Store, StoreError, codec};

/// Jobs that a worker holds leases of.
#[derive(Clone, Debug, Default)]
pub struct InHand {
    /// The jobs, soonest end of the lease first; 100 per shard at most.
    pub jobs: Vec<Job>,
    /// False if there may be more: of a shard only the first 1,000 leases of a queue are looked at.
    pub complete: bool,
}

impl Store {
    async fn in_hand(&self, worker: WorkerId, queues: &[QueueName]) -> Result<InHand, StoreError> {
        let (mut ids, mut complete, name) = (Vec::new(), true, worker.to_string());
        for queue in queues {
            let mut looked = 0;
            loop {
                let last = looked + bounds::SCRIPT_ITEMS - 1;
                let key = self.inner.keys.running(queue.as_str());
                let args: Vec<Value> = vec![key.into(), looked.to_string().into(), last.to_string().into()];
                let page = Reply::array(self.inner.link.command("ZRANGE", args).await?)?.texts()?;
                ids.extend(self.held_by(&name, &page).await?);
                looked += page.len();
                if page.len() < bounds::SCRIPT_ITEMS {
                    break;
                }
                if looked >= LOOK {
                    complete = false;
                    break;
                }
            }
        }
        complete &= ids.len() <= bounds::SCRIPT_ITEMS;
        ids.truncate(bounds::SCRIPT_ITEMS);
        let jobs = self.jobs(&ids).await?.into_iter().flatten().map(|stored| stored.job);
        Ok(InHand { jobs: jobs.collect(), complete })
    }

    /// Of these leases (`id:attempt_id`), the jobs whose last claim was the worker's.
    async fn held_by(&self, worker: &str, leases: &[String]) -> Result<Vec<JobId>, StoreError> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<&str> = leases.iter().filter_map(|lease| lease.get(..22)).collect();
        let mut args: Vec<Value> = vec![self.inner.keys.attempts().into()];
        args.extend(ids.iter().map(|id| Value::from(*id)));
        let entries = Reply::array(self.inner.link.command("HMGET", args).await?)?.texts()?;
        let mut found = Vec::new();
        for (id, entry) in ids.iter().zip(entries) {
            let entry = codec::Entry::parse(&entry)?;
            if entry.state == 'r' && entry.worker == worker {
                found.extend(id.parse::<JobId>());
            }
        }
        Ok(found)
    }
}

impl Shards {
    /// Jobs that a worker holds leases of in these queues, on all shards.
    ///
    /// # Errors
    /// When a shard did not answer.
    pub async fn in_hand(&self, worker: WorkerId, queues: &[QueueName]) -> Result<InHand, StoreError> {
        let mut all = InHand { jobs: Vec::new(), complete: true };
        for store in self.all() {
            let part = store.in_hand(worker, queues).await?;
            all.complete &= part.complete;
            all.jobs.extend(part.jobs);
        }
        Ok(all)
    }
}
