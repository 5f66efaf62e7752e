//! Verb `summary`: queues at one moment, for gauges and operators.

use std::collections::BTreeMap;

use crate::domain::{HeldReason, JobState, QueueName, Timestamp};

use super::pause::{Switch, switched_by};
use super::reply::Reply;
use super::views::QueueSummary;
use super::{Store, StoreError};

impl Store {
    /// Every queue that ever had a job or a worker, and `default` always, by name.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn queues(&self) -> Result<Vec<QueueSummary>, StoreError> {
        let mut queues = Vec::new();
        for name in self.queue_names().await? {
            queues.push(self.summary(&name).await?);
        }
        Ok(queues)
    }

    /// One queue, or `None` if it never had a job or a worker.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn queue(&self, name: &QueueName) -> Result<Option<QueueSummary>, StoreError> {
        if !self.queue_names().await?.contains(name) {
            return Ok(None);
        }
        self.summary(name).await.map(Some)
    }

    /// Names of all queues, `default` always among them.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn queue_names(&self) -> Result<Vec<QueueName>, StoreError> {
        let names = self.inner.link.command("SMEMBERS", vec![self.inner.keys.queues().into()]).await?;
        let names = Reply::array(names)?.texts()?;
        let mut names: Vec<QueueName> = names.iter().filter_map(|name| QueueName::new(name).ok()).collect();
        names.push(QueueName::default_queue());
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The figures of one queue, zeros for one that never was.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn summary(&self, name: &QueueName) -> Result<QueueSummary, StoreError> {
        let value = self.run(&self.inner.scripts.summary, vec![name.as_str().into()]).await?;
        let mut reply = Reply::array(value)?;
        let now = self.saw_time(&reply.text()?)?;
        let mut count = || reply.int().map(|n| u64::try_from(n).unwrap_or_default());
        let (depth, parked, scheduled, running) = (count()?, count()?, count()?, count()?);
        let (held, dead, workers) = (count()?, count()?, count()?);
        let oldest = reply.text()?.parse().ok().map(Timestamp::from_unix_ms);
        let stats: BTreeMap<String, String> = reply.nested()?.pairs()?.into_iter().collect();
        let blocked: BTreeMap<String, String> = reply.nested()?.pairs()?.into_iter().collect();
        let wait_for_worker = reply.text()?.parse().unwrap_or_default();
        let behind_pause = reply.text()?.parse().unwrap_or_default();
        let mut count = || reply.int().map(|n| u64::try_from(n).unwrap_or_default());
        let (due, orphaned) = (count()?, count()?);
        let total = |field: &str| stats.get(field).and_then(|n| n.parse().ok()).unwrap_or_default();
        let ended = JobState::ALL.iter().filter(|s| s.is_terminal()).map(|s| (s.as_str(), total(s.as_str())));
        let held_by = HeldReason::ALL.iter().map(|r| (r.as_str(), total(&format!("held:{r}")))).collect();
        Ok(QueueSummary {
            name: name.clone(),
            depth,
            parked,
            wait_for_worker,
            behind_pause,
            scheduled,
            due,
            running,
            orphaned,
            held,
            held_by,
            outcome_unknown_total: total("outcome_unknown"),
            dead,
            workers,
            enqueued_total: total("enqueue"),
            dequeued_total: total("dequeue"),
            lease_expiries_total: total("lease_expiries"),
            finished_total: ended.collect(),
            oldest_pending: oldest.map(|created| now.since(created)),
            paused: blocked.get("q").map(|text| switched_by(text)),
            draining: blocked.get("drain").map(|text| switched_by(text)),
            paused_parts: blocked
                .iter()
                .filter_map(|(field, text)| Some((Switch::from_field(field)?, switched_by(text))))
                .filter(|(switch, _)| matches!(switch, Switch::Type(_) | Switch::Workspace(_)))
                .collect(),
            read_at: now,
        })
    }
}
