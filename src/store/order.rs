//! Verb `order`: tell one live worker process to claim no more, to claim again, or to stop.

use crate::domain::{Order, WorkerId, clip_text};

use super::heartbeat::WorkerAbout;
use super::reply::Reply;
use super::{Shards, Store, StoreError};

/// An order that was put into a live worker's inbox. That it was read shows in what the worker says of itself next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// Whether the worker knows orders; older versions ignore them.
    pub hears: bool,
}

impl Store {
    /// Gives an order to a live worker; `None` when no such worker lives.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn order(&self, worker: WorkerId, order: Order, by: &str) -> Result<Option<Ordered>, StoreError> {
        let by = clip_text(by, 128).replace(['\t', '\n'], " ");
        let args = vec!["-".into(), worker.to_string().into(), order.as_str().into(), by.into()];
        let mut reply = Reply::array(self.run(&self.inner.scripts.order, args).await?)?;
        self.saw_time(&reply.text()?)?;
        if reply.int()? == 0 {
            return Ok(None);
        }
        let about = serde_json::from_str::<WorkerAbout>(&reply.text()?);
        Ok(Some(Ordered { hears: about.is_ok_and(|about| about.hears) }))
    }
}

impl Shards {
    /// See [`Store::order`]; workers are registered on every shard, and read their inbox on each.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn order(&self, worker: WorkerId, order: Order, by: &str) -> Result<Option<Ordered>, StoreError> {
        self.first().order(worker, order, by).await
    }
}
