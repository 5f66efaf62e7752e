//! Drains: a queue takes no new jobs, and what is left is watched until it is gone or its deadline has passed.

use std::collections::HashSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::{AUDIT, DrainThen, QueueName, Timestamp};
use crate::store::{Shards, StoreError, Switched};

use super::super::operations::follow_drain;
use super::super::tasks;
use super::Control;

/// Between two looks for drains whose deadline has passed.
const INTERVAL: Duration = Duration::from_secs(10);

/// Why a queue was not drained.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DrainError {
    /// No such queue; those that exist.
    #[error("there is no queue of this name")]
    Unknown(Vec<QueueName>),
    /// What is left would go to the queue that is drained.
    #[error("the jobs cannot be moved to the queue that is drained")]
    ToItself,
    /// Redis did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A drain whose deadline has passed while jobs were left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverdueDrain {
    /// The queue.
    pub queue: QueueName,
    /// Who drained it.
    pub by: String,
    /// When the deadline was.
    pub deadline: Timestamp,
    /// What is to become of what is left.
    pub then: DrainThen,
    /// Jobs in line and scheduled ones; running ones end by themselves, held ones wait for a person.
    pub left: u64,
}

impl Control {
    /// Closes the intake of a queue that exists; workers finish what is in line. `resume` opens it again. A deadline, so
    /// long from now, says what becomes of what is left then.
    ///
    /// # Errors
    /// See [`DrainError`].
    pub async fn drain(
        &self,
        queue: &QueueName,
        by: &str,
        reason: &str,
        deadline: Option<(Duration, DrainThen)>,
    ) -> Result<Switched, DrainError> {
        if matches!(&deadline, Some((_, DrainThen::Move(target))) if target == queue) {
            return Err(DrainError::ToItself);
        }
        let names = self.store.queue_names().await?;
        if !names.contains(queue) {
            return Err(DrainError::Unknown(names));
        }
        let switched = self.store.drain(queue, (by, reason), deadline).await?;
        tracing::info!(target: AUDIT, %queue, by, reason, first = switched.first, deadline = ?switched.by.deadline, "drain");
        Ok(switched)
    }

    /// Drains whose deadline has passed while jobs are left in line or scheduled.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn overdue_drains(&self) -> Result<Vec<OverdueDrain>, StoreError> {
        let mut overdue = Vec::new();
        for queue in self.store.queues().await? {
            let left = queue.depth + queue.scheduled;
            let Some(drain) = queue.draining else { continue };
            if let Some((deadline, then)) = drain.deadline.filter(|(at, _)| left > 0 && *at <= queue.read_at) {
                overdue.push(OverdueDrain { queue: queue.name, by: drain.by, deadline, then, left });
            }
        }
        Ok(overdue)
    }

    /// Does with what is left at a deadline what the drain said, until `shutdown`; looks every 10 s. Runs in every API
    /// process: the operation is begun once.
    pub fn watch_drains(store: impl Into<Shards>, shutdown: CancellationToken) {
        let control = Self::new(store);
        tasks::spawn("drains", async move {
            let mut followed = HashSet::new();
            while shutdown.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
                match control.overdue_drains().await {
                    Ok(overdue) => control.follow(&overdue, &mut followed).await,
                    Err(error) => tracing::debug!(%error, "drains were not looked at"),
                }
            }
        });
    }

    async fn follow(&self, overdue: &[OverdueDrain], followed: &mut HashSet<(QueueName, Timestamp)>) {
        for drain in overdue {
            let place = (drain.queue.clone(), drain.deadline);
            if followed.contains(&place) {
                continue;
            }
            let OverdueDrain { queue, by, then, left, .. } = drain;
            match follow_drain(&self.store, drain).await {
                Ok(begun) => {
                    let operation = begun.map(|begun| begun.id.to_string());
                    tracing::warn!(%queue, by, %then, left, operation_id = operation, "the deadline of a drain has passed");
                    followed.insert(place);
                }
                Err(error) => tracing::warn!(%queue, %then, left, %error, "what is left of a drain waits"),
            }
        }
    }
}
