//! Blocking reads, each on a connection of its own: the bell of a worker's queues and its inbox.

use std::time::Duration;

use fred::interfaces::ListInterface;
use fred::prelude::Value;

use crate::clock;
use crate::domain::{AttemptId, JobId, Order, ProviderName, QueueName, WorkerId};

use super::link::BLOCKING_LIMIT;
use super::reply::Reply;
use super::route::Reader;
use super::verify::Verification;
use super::{Store, StoreError};

/// Waits for work on a set of queues. Dropping a wait does not cancel it in Redis, so a wait is
/// never raced against something else: the token carries no job, but it could be lost.
pub struct Bell {
    reader: Reader,
    keys: Vec<(String, QueueName)>,
}

impl Bell {
    /// Blocks up to `limit` (5 s at most). The queue whose bell rang, or `None` when none did.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn wait(&self, limit: Duration) -> Result<Option<QueueName>, StoreError> {
        let keys: Vec<&str> = self.keys.iter().map(|(key, _)| key.as_str()).collect();
        let Some((key, _)) = pop(&self.reader, keys, limit).await? else { return Ok(None) };
        Ok(self.keys.iter().find(|(known, _)| *known == key).map(|(_, queue)| queue.clone()))
    }
}

/// A message to one worker process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Abort this attempt: its job was cancelled.
    Cancel(JobId, AttemptId),
    /// Probe this provider of language models, if it is yours and no other does.
    Probe(ProviderName),
    /// Check this credential, if no other worker does.
    Verify(Verification),
    /// Claim nothing more, claim again, or stop: an operator of this name says so.
    Order(Order, String),
    /// Of a newer version; ignored.
    Unknown,
}

/// Waits for messages to one worker process.
pub struct Inbox {
    reader: Reader,
    key: String,
}

impl Inbox {
    /// Blocks up to `limit` (5 s at most) for a message.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn wait(&self, limit: Duration) -> Result<Option<Message>, StoreError> {
        let Some((_, text)) = pop(&self.reader, vec![self.key.as_str()], limit).await? else { return Ok(None) };
        Ok(Some(message(&text).unwrap_or(Message::Unknown)))
    }
}

fn message(text: &str) -> Option<Message> {
    match text.split_once(' ')? {
        ("cancel", member) => {
            let (job, attempt) = member.split_once(':')?;
            Some(Message::Cancel(job.parse().ok()?, attempt.parse().ok()?))
        }
        ("probe", provider) => ProviderName::new(provider).ok().map(Message::Probe),
        ("verify", demand) => Verification::parse(demand).map(Message::Verify),
        (word, by) => Order::from_word(word).map(|order| Message::Order(order, by.to_owned())),
    }
}

async fn pop(reader: &Reader, keys: Vec<&str>, limit: Duration) -> Result<Option<(String, String)>, StoreError> {
    let from = reader.ready(limit).await?;
    // 0 would block for ever.
    let limit = limit.clamp(Duration::from_millis(10), BLOCKING_LIMIT);
    let asked = clock::now();
    match from.client.blpop::<Value, _>(keys, limit.as_secs_f64()).await {
        Ok(value) => {
            let mut reply = Reply::array(value)?;
            if reply.is_empty() {
                return Ok(None);
            }
            Ok(Some((reply.text()?, reply.text()?)))
        }
        Err(error) => match from.judge(error, limit, asked.elapsed()) {
            None => Ok(None),
            Some(error) => {
                reader.heed(&error).await;
                Err(error)
            }
        },
    }
}

impl Store {
    /// Opens the bell of these queues on a connection of its own.
    ///
    /// # Errors
    /// When the connection cannot be configured.
    pub fn bell(&self, queues: &[QueueName]) -> Result<Bell, StoreError> {
        let keys = queues.iter().map(|q| (self.inner.keys.wake(q.as_str()), q.clone())).collect();
        Ok(Bell { reader: self.inner.link.reader()?, keys })
    }

    /// Opens a worker's inbox on a connection of its own.
    ///
    /// # Errors
    /// When the connection cannot be configured.
    pub fn inbox(&self, worker: WorkerId) -> Result<Inbox, StoreError> {
        Ok(Inbox { reader: self.inner.link.reader()?, key: self.inner.keys.inbox(&worker.to_string()) })
    }
}
