//! What a view of the whole fleet reads beside the lists. It goes on where a server is older.

use reqwest::Method;
use serde::Deserialize;

use super::{Client, ClientError};
use crate::domain::QueueName;

/// Why a queue stands as it does, as far as an operator is told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct QueueReason {
    /// The cause as a sentence.
    pub detail: String,
    /// When it will be over, if that is known.
    #[serde(default)]
    pub until: Option<String>,
    /// The command that goes on from here.
    #[serde(default)]
    pub next: Option<String>,
    /// The section of the runbook.
    #[serde(default)]
    pub runbook: Option<String>,
}

impl Client {
    /// Why a queue stands as it does; `None` from a server that cannot say, or that knows no such queue.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn queue_reason(&self, queue: &QueueName) -> Result<Option<QueueReason>, ClientError> {
        match self.get(&["queues", queue.as_str(), "why"], &[]).await {
            Ok(why) => Ok(Some(why)),
            Err(error) if matches!(error.code(), Some("no_route" | "not_found" | "method_not_allowed")) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The server's metrics in the Prometheus text format.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let request = self.request(Method::GET, self.url(&["metrics"], &[]))?;
        let response = self.send_repeatable(&request).await?;
        Ok(String::from_utf8_lossy(&self.body(response).await?).into_owned())
    }
}
