//! Queues and worker processes: look, ask why, switch off and on.

use std::time::Duration;

use reqwest::Method;

use super::{Client, ClientError};
use crate::api::queue::{DrainCommand, QueueCommand, QueueList, QueueView};
use crate::api::scaling::QueueStats;
use crate::api::why::QueueWhyView;
use crate::api::worker::{OrderView, WorkerDetail, WorkerList};
use crate::domain::{Order, QueueName, WorkerId};

impl Client {
    /// Every queue.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn queues(&self) -> Result<QueueList, ClientError> {
        self.get(&["queues"], &[]).await
    }

    /// One queue.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn queue(&self, queue: &QueueName) -> Result<QueueView, ClientError> {
        self.get(&["queues", queue.as_str()], &[]).await
    }

    /// What the jobs of a queue wait for.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn queue_why(&self, queue: &QueueName) -> Result<QueueWhyView, ClientError> {
        self.get(&["queues", queue.as_str(), "why"], &[]).await
    }

    /// The figures that autoscalers read; a line is to be worked off within `drain`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn queue_stats(&self, queue: Option<&QueueName>, drain: Duration) -> Result<QueueStats, ClientError> {
        let mut query = vec![("drain_seconds", drain.as_secs().to_string())];
        query.extend(queue.map(|queue| ("queue", queue.to_string())));
        self.get(&["queues", "stats"], &query).await
    }

    /// Pauses or resumes a queue, or a part of it; `verb` is the last segment of the path.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn queue_command(
        &self,
        queue: &QueueName,
        verb: &str,
        body: &QueueCommand,
    ) -> Result<QueueView, ClientError> {
        self.call(Method::POST, &["queues", queue.as_str(), verb], Some(body)).await
    }

    /// Closes the intake of a queue.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn drain(&self, queue: &QueueName, body: &DrainCommand) -> Result<QueueView, ClientError> {
        self.call(Method::POST, &["queues", queue.as_str(), "drain"], Some(body)).await
    }

    /// Live workers.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn workers(&self) -> Result<WorkerList, ClientError> {
        self.get(&["workers"], &[]).await
    }

    /// One live worker, and what it runs.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn worker(&self, worker: WorkerId) -> Result<WorkerDetail, ClientError> {
        self.get(&["workers", &worker.to_string()], &[]).await
    }

    /// Tells a live worker process something.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn order(&self, worker: WorkerId, order: Order) -> Result<OrderView, ClientError> {
        self.call(Method::POST, &["workers", &worker.to_string(), order.as_str()], None::<&()>).await
    }
}
