//! Verb `sweep`: the janitor's look at jobs whose last moment in line passed unnoticed.

use crate::domain::QueueName;

use super::reply::{Reply, corrupt};
use super::{Store, StoreError};

/// Where one look stopped and what it found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Where to go on; `None` once every job was looked at.
    pub next: Option<String>,
    /// Queues in which jobs are now due to expire.
    pub queues: Vec<QueueName>,
}

impl Store {
    /// One bounded, idempotent look, from where the last one stopped (`None` at first).
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn sweep(&self, from: Option<&str>) -> Result<Swept, StoreError> {
        let args = vec!["-".into(), from.unwrap_or("0").into()];
        let mut reply = Reply::array(self.run(&self.inner.scripts.sweep, args).await?)?;
        let next = Some(reply.text()?).filter(|cursor| cursor != "0");
        let names = reply.texts()?;
        let queues: Result<Vec<_>, _> = names.iter().map(|name| QueueName::new(name)).collect();
        Ok(Swept { next, queues: queues.map_err(|_| corrupt("a queue"))? })
    }
}
