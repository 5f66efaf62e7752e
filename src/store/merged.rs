//! What is read from all shards and shown as one.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join_all, try_join_all};

use crate::domain::QueueName;

use super::StoreError;
use super::server::ServerFacts;
use super::shards::Shards;
use super::views::{DeadGroup, QueueSummary, WorkerSummary};

impl Shards {
    /// Names of all queues on any shard, `default` always among them.
    ///
    /// # Errors
    /// When a shard did not answer.
    pub async fn queue_names(&self) -> Result<Vec<QueueName>, StoreError> {
        let names = try_join_all(self.all().iter().map(|store| store.queue_names())).await?;
        Ok(names.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Every queue that ever had a job or a worker, and `default` always, by name.
    ///
    /// # Errors
    /// When a shard did not answer.
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
    /// When a shard did not answer.
    pub async fn queue(&self, name: &QueueName) -> Result<Option<QueueSummary>, StoreError> {
        if !self.queue_names().await?.contains(name) {
            return Ok(None);
        }
        self.summary(name).await.map(Some)
    }

    /// The figures of one queue over all shards, each shard's of one moment.
    ///
    /// # Errors
    /// When a shard did not answer.
    pub async fn summary(&self, name: &QueueName) -> Result<QueueSummary, StoreError> {
        let parts = try_join_all(self.all().iter().map(|store| store.summary(name))).await?;
        let mut parts = parts.into_iter();
        let first = match parts.next() {
            Some(first) => first,
            None => self.first().summary(name).await?,
        };
        Ok(parts.fold(first, add))
    }

    /// Live workers, oldest registration first.
    ///
    /// # Errors
    /// When a shard did not answer.
    pub async fn workers(&self) -> Result<Vec<WorkerSummary>, StoreError> {
        let found = try_join_all(self.all().iter().map(|store| store.workers())).await?;
        if self.count() == 1 {
            return Ok(found.into_iter().flatten().collect());
        }
        // A worker is registered on every shard.
        let mut by_id: BTreeMap<String, WorkerSummary> = BTreeMap::new();
        for worker in found.into_iter().flatten() {
            let known = by_id.entry(worker.id.to_string()).or_insert_with(|| worker.clone());
            if worker.seen_at > known.seen_at {
                *known = worker;
            }
        }
        Ok(by_id.into_values().collect())
    }

    /// Dead letters grouped by queue, type and error fingerprint; most first.
    ///
    /// # Errors
    /// When a shard did not answer.
    pub async fn dead_groups(&self) -> Result<Vec<DeadGroup>, StoreError> {
        let found = try_join_all(self.all().iter().map(|store| store.dead_groups())).await?;
        if self.count() == 1 {
            return Ok(found.into_iter().flatten().collect());
        }
        let mut by_cause: BTreeMap<(String, String, String), DeadGroup> = BTreeMap::new();
        for group in found.into_iter().flatten() {
            let cause = (group.queue.to_string(), group.job_type.to_string(), group.fingerprint.clone());
            match by_cause.get_mut(&cause) {
                Some(known) => join(known, group),
                None => drop(by_cause.insert(cause, group)),
            }
        }
        let mut groups: Vec<DeadGroup> = by_cause.into_values().collect();
        groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| b.last.cmp(&a.last)));
        Ok(groups)
    }

    /// Asks every shard's server; the worst answer to each question stands for all.
    ///
    /// # Errors
    /// When no shard answered.
    pub async fn server_facts(&self) -> Result<ServerFacts, StoreError> {
        let answers = join_all(self.all().iter().map(|store| store.server_facts())).await;
        let said = answers.iter().map(|answer| answer.as_ref().ok().map(|f| (f.epoch.clone(), f.run_id.clone())));
        let (epoch, run_id) = self.remember(said);
        let mut all: Option<ServerFacts> = None;
        let mut away = Vec::new();
        for answer in answers {
            match (answer, all.take()) {
                (Ok(facts), None) => all = Some(facts),
                (Ok(facts), Some(before)) => all = Some(before.and(facts)),
                (Err(error), before) => {
                    all = before;
                    away.push(error);
                }
            }
        }
        match (all, away.pop()) {
            (Some(mut facts), last) => {
                facts.shards_away = away.len() + usize::from(last.is_some());
                if self.count() > 1 {
                    (facts.epoch, facts.run_id) = (epoch, run_id);
                }
                Ok(facts)
            }
            (None, Some(error)) => Err(error),
            (None, None) => Err(StoreError::Unavailable("there is no shard".to_owned())),
        }
    }
}

/// Pauses are written on every shard, the first being the truth.
fn add(sum: QueueSummary, part: QueueSummary) -> QueueSummary {
    let added = |mut sum: BTreeMap<&'static str, u64>, part: BTreeMap<&'static str, u64>| {
        part.into_iter().for_each(|(word, n)| *sum.entry(word).or_default() += n);
        sum
    };
    QueueSummary {
        name: sum.name,
        depth: sum.depth + part.depth,
        parked: sum.parked + part.parked,
        wait_for_worker: sum.wait_for_worker + part.wait_for_worker,
        behind_pause: sum.behind_pause + part.behind_pause,
        scheduled: sum.scheduled + part.scheduled,
        due: sum.due + part.due,
        running: sum.running + part.running,
        orphaned: sum.orphaned + part.orphaned,
        held: sum.held + part.held,
        held_by: added(sum.held_by, part.held_by),
        outcome_unknown_total: sum.outcome_unknown_total + part.outcome_unknown_total,
        dead: sum.dead + part.dead,
        workers: sum.workers.max(part.workers),
        enqueued_total: sum.enqueued_total + part.enqueued_total,
        dequeued_total: sum.dequeued_total + part.dequeued_total,
        lease_expiries_total: sum.lease_expiries_total + part.lease_expiries_total,
        finished_total: added(sum.finished_total, part.finished_total),
        oldest_pending: sum.oldest_pending.max(part.oldest_pending),
        paused: sum.paused,
        draining: sum.draining,
        paused_parts: sum.paused_parts,
        read_at: sum.read_at,
    }
}

fn join(known: &mut DeadGroup, other: DeadGroup) {
    known.count += other.count;
    known.first = known.first.min(other.first);
    if other.last > known.last {
        (known.last, known.sample, known.reason) = (other.last, other.sample, other.reason);
    }
}
