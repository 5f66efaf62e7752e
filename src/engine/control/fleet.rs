//! The fleet from afar: orders to worker processes, and how much of it a queue wants.

use std::time::Duration;

use crate::domain::scaling::{ASSUMED_RUN, ASSUMED_SLOTS, Load};
use crate::domain::{AUDIT, Note, Order, Pace, QueueName, Rates, WorkerId, WorkerState};
use crate::store::{Ordered, QueueSummary, StoreError, WorkerSummary};

use super::Control;

/// No live worker has this id.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unknown {
    /// It never was, has ended, or was not heard for the length of a lease.
    #[error("no such worker is alive")]
    Worker,
    /// Redis did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A queue's load, and what it wants.
#[derive(Clone, Debug)]
pub struct QueueLoad {
    /// Its figures.
    pub summary: QueueSummary,
    /// Live worker processes that serve it.
    pub workers: u64,
    /// Slots of those that claim.
    pub slots: u64,
    /// Of these, taken at the last heartbeats.
    pub busy: u64,
    /// Jobs in and out per second, once they are known.
    pub rates: Option<Rates>,
    /// What the suggestion follows from.
    pub load: Load,
}

impl Control {
    /// Tells a live worker process to claim nothing more, to claim again, or to stop.
    ///
    /// # Errors
    /// See [`Unknown`].
    pub async fn order(&self, worker: WorkerId, order: Order, by: &str) -> Result<Ordered, Unknown> {
        let told = self.store.order(worker, order, by).await?;
        tracing::info!(target: AUDIT, worker_id = %worker, %order, by, told = told.is_some(), "an order to a worker");
        told.ok_or(Unknown::Worker)
    }

    /// How fast a queue takes jobs in and hands them out, once that is known.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn rates(&self, queue: &QueueSummary) -> Result<Option<Rates>, StoreError> {
        Ok(self.pace(queue).await?.1)
    }

    /// The load of these queues. From Redis alone, so that it is known with no worker alive.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn loads(&self, only: Option<&QueueName>, drain: Duration) -> Result<Vec<QueueLoad>, StoreError> {
        let workers = self.store.workers().await?;
        let mut loads = Vec::new();
        for summary in self.store.queues().await? {
            if only.is_none_or(|name| *name == summary.name) {
                loads.push(self.load(summary, &workers, drain).await?);
            }
        }
        Ok(loads)
    }

    async fn load(
        &self,
        summary: QueueSummary,
        fleet: &[WorkerSummary],
        drain: Duration,
    ) -> Result<QueueLoad, StoreError> {
        let (pace, rates) = self.pace(&summary).await?;
        let serves = |w: &&WorkerSummary| w.queues.iter().any(|(name, _)| name == summary.name.as_str());
        let here: Vec<&WorkerSummary> = fleet.iter().filter(serves).collect();
        let claiming: Vec<&&WorkerSummary> = here.iter().filter(|w| w.state() == WorkerState::Active).collect();
        let slots: u64 = claiming.iter().map(|w| u64::from(w.slots)).sum();
        let busy = claiming.iter().map(|w| u64::from(w.busy)).sum();
        let of_one = slots_of_one(&here).or(pace.slots).unwrap_or(ASSUMED_SLOTS);
        let load = Load {
            arrivals: rates.map_or(0.0, |rates| rates.enqueue),
            run: pace.run.unwrap_or(ASSUMED_RUN),
            waiting: claimable(&summary, claiming.is_empty()),
            running: summary.running,
            slots: of_one,
            drain,
        };
        let load = if summary.paused.is_some() { Load { arrivals: 0.0, ..load } } else { load };
        let workers = u64::try_from(here.len()).unwrap_or(u64::MAX);
        Ok(QueueLoad { summary, workers, slots, busy, rates, load })
    }

    /// Counters of all shards; what one shard saw of the length of a run stands for all.
    async fn pace(&self, queue: &QueueSummary) -> Result<(Pace, Option<Rates>), StoreError> {
        let paces = self.store.paces(&queue.name).await?;
        let now = Note { at: queue.read_at, enqueued: queue.enqueued_total, dequeued: queue.dequeued_total };
        let run = paces.iter().filter_map(|pace| pace.run).max();
        let slots = paces.iter().filter_map(|pace| pace.slots).max();
        let notes = sum_of(&paces);
        let pace = Pace { notes, run, slots };
        let rates = pace.rates(now);
        Ok((pace, rates))
    }
}

/// The mean, so that one odd process does not decide.
fn slots_of_one(workers: &[&WorkerSummary]) -> Option<u32> {
    let all: u64 = workers.iter().map(|worker| u64::from(worker.slots)).sum();
    let mean = all.checked_div(u64::try_from(workers.len()).ok()?)?;
    u32::try_from(mean).ok()
}

/// Jobs that one more worker could take. Those parked for want of another kind of worker count only while none claims:
/// more of the same kind would not take them either.
fn claimable(queue: &QueueSummary, nobody_claims: bool) -> u64 {
    if queue.paused.is_some() {
        return 0;
    }
    // What the next claim puts in line needs someone who claims: with nobody there its time would never come.
    let ordered = queue.depth.saturating_sub(queue.parked) + queue.due;
    if nobody_claims { ordered + queue.wait_for_worker } else { ordered }
}

/// Shards note at nearly the same moments: the n-th last of each belong together.
fn sum_of(paces: &[Pace]) -> Vec<Note> {
    let length = paces.iter().map(|pace| pace.notes.len()).min().unwrap_or_default();
    let add = |sum: Note, note: &Note| Note {
        at: sum.at.min(note.at),
        enqueued: sum.enqueued + note.enqueued,
        dequeued: sum.dequeued + note.dequeued,
    };
    let nth = |back: usize| {
        let mut notes = paces.iter().filter_map(|pace| pace.notes.get(pace.notes.len() - back));
        notes.next().map(|first| notes.fold(*first, add))
    };
    (1..=length).rev().filter_map(nth).collect()
}

#[cfg(test)]
mod tests {
    use crate::domain::Timestamp;

    use super::*;

    fn pace(notes: &[(i64, u64)]) -> Pace {
        let note = |(seconds, n): &(i64, u64)| Note {
            at: Timestamp::from_unix_ms(seconds * 1000),
            enqueued: *n,
            dequeued: *n,
        };
        Pace { notes: notes.iter().map(note).collect(), ..Pace::default() }
    }

    #[test]
    fn notes_of_shards_are_added_from_the_latest_back() {
        let sum = sum_of(&[pace(&[(1, 10), (11, 20), (21, 30)]), pace(&[(12, 1), (20, 2)])]);
        let seen: Vec<_> = sum.iter().map(|note| (note.at.unix_ms() / 1000, note.enqueued)).collect();
        assert_eq!(seen, [(11, 21), (20, 32)]);
        assert!(sum_of(&[pace(&[(1, 10)]), pace(&[])]).is_empty(), "a shard that knows nothing yet");
        assert!(sum_of(&[]).is_empty());
    }
}
