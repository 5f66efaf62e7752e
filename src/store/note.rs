//! Verb `note`: a queue's counters every few seconds, so that its rates can be told from Redis, whoever asks.

use std::time::Duration;

use futures_util::future::try_join_all;

use crate::domain::{Note, Pace, QueueName, Timestamp};

use super::reply::{Reply, corrupt, int};
use super::{Shards, Store, StoreError};

impl Store {
    /// Notes the counters of a queue, unless that was done less than 8 s ago; true when it did. `slots`: of one of its
    /// workers, while some live.
    ///
    /// # Errors
    /// When Redis did not answer, or is full; repeating is safe.
    pub async fn note(&self, queue: &QueueName, slots: Option<u32>) -> Result<bool, StoreError> {
        let slots = slots.map(|n| n.to_string()).unwrap_or_default();
        let args = vec![queue.as_str().into(), slots.into()];
        Ok(int(&self.run(&self.inner.scripts.note, args).await?)? == 1)
    }

    /// What is remembered of a queue's pace.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn pace(&self, queue: &QueueName) -> Result<Pace, StoreError> {
        let mut args = vec![self.inner.keys.pace(queue.as_str()).into()];
        args.extend(["notes", "run_ms", "slots"].map(Into::into));
        let mut reply = Reply::array(self.inner.link.command("HMGET", args).await?)?;
        let (notes, run, slots) = (reply.text()?, reply.text()?, reply.text()?);
        let notes = notes.split_ascii_whitespace().map(note).collect::<Result<_, _>>()?;
        Ok(Pace { notes, run: run.parse().ok().map(Duration::from_millis), slots: slots.parse().ok() })
    }
}

impl Shards {
    /// See [`Store::note`]; true when a shard did.
    ///
    /// # Errors
    /// When a shard did not answer.
    pub async fn note(&self, queue: &QueueName, slots: Option<u32>) -> Result<bool, StoreError> {
        let noted = try_join_all(self.all().iter().map(|store| store.note(queue, slots))).await?;
        Ok(noted.contains(&true))
    }

    /// What each shard remembers of a queue's pace.
    ///
    /// # Errors
    /// When a shard did not answer.
    pub async fn paces(&self, queue: &QueueName) -> Result<Vec<Pace>, StoreError> {
        try_join_all(self.all().iter().map(|store| store.pace(queue))).await
    }
}

/// `<ms>:<enqueued>:<dequeued>:<running>`, as the script wrote it.
fn note(text: &str) -> Result<Note, StoreError> {
    let mut parts = text.split(':').map(str::parse);
    let mut number = || parts.next().and_then(Result::ok).ok_or_else(|| corrupt("a note of a queue's counters"));
    let at = Timestamp::from_unix_ms(i64::try_from(number()?).unwrap_or_default());
    Ok(Note { at, enqueued: number()?, dequeued: number()? })
}
