//! Housekeeping that nobody waits for: old dead letters, parked jobs whose block is gone, jobs whose
//! time in line ran out while nobody claimed, old listing indexes. Runs in every process; each step
//! is bounded and idempotent, so no leader is needed.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::{AttemptId, QueueName, WorkerId};
use crate::store::{ClaimRequest, Shards, Store, StoreError, Tended};

use super::tasks;

/// Mean time between two rounds of one process.
const INTERVAL: Duration = Duration::from_secs(60);
/// Steps of one kind in one round.
const STEPS: usize = 100;

/// Looks for overdue jobs in one round, a few dozen jobs each: a million are seen in two hours, and
/// an overdue job's idempotency key lives a day.
const LOOKS: usize = 500;

/// The janitor of a process.
#[derive(Debug)]
pub struct Janitor {
    shards: Shards,
    /// Where the last look for overdue jobs stopped, by shard.
    stopped_at: Vec<Option<String>>,
}

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Dead letters removed.
    pub removed: i64,
    /// Parked jobs brought back.
    pub brought_back: i64,
    /// Queues in which jobs had run out of time.
    pub overdue: usize,
    /// Steps of index compaction.
    pub compacted: usize,
    /// Whether a pause or a limit was missing on a shard.
    pub control_repaired: bool,
}

impl Janitor {
    /// A janitor that has done nothing yet.
    #[must_use]
    pub fn new(store: impl Into<Shards>) -> Self {
        let shards = store.into();
        Self { stopped_at: vec![None; shards.count()], shards }
    }

    /// Starts the rounds; they end with `shutdown`.
    pub fn start(store: impl Into<Shards>, shutdown: CancellationToken) {
        let mut janitor = Self::new(store);
        tasks::spawn("janitor", async move {
            loop {
                // Spread over the fleet: between half and one and a half intervals.
                let wait = INTERVAL.mul_f64(0.5 + rand::random::<f64>());
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
                match janitor.run_once().await {
                    Ok(round) if round == Round::default() => {}
                    Ok(round) => tracing::info!(?round, "janitor"),
                    Err(error) => tracing::debug!(%error, "the janitor's round was cut short"),
                }
            }
        });
    }

    /// One round. A shard that is away holds up no other.
    ///
    /// # Errors
    /// When a shard did not answer; the next round goes on.
    pub async fn run_once(&mut self) -> Result<Round, StoreError> {
        let mut round = Round::default();
        let mut outcome = Ok(());
        for (store, stopped_at) in self.shards.all().iter().zip(&mut self.stopped_at) {
            outcome = outcome.and(tend(store, stopped_at, &mut round).await);
        }
        outcome?;
        round.control_repaired = self.shards.repair_control().await?;
        Ok(round)
    }
}

async fn tend(store: &Store, stopped_at: &mut Option<String>, round: &mut Round) -> Result<(), StoreError> {
    for queue in store.queue_names().await? {
        for _ in 0..STEPS {
            let step = store.tend(&queue).await?;
            round.removed += step.removed;
            round.brought_back += step.brought_back;
            if step == Tended::default() {
                break;
            }
        }
    }
    round.overdue += expire_overdue(store, stopped_at).await?;
    let mut steps = 0;
    while steps < STEPS && store.compact().await? {
        steps += 1;
    }
    round.compacted += steps;
    Ok(())
}

/// A claim expires what it meets; this expires what no claim meets: parked jobs, and those of a queue
/// without workers.
async fn expire_overdue(store: &Store, stopped_at: &mut Option<String>) -> Result<usize, StoreError> {
    let mut queues = BTreeSet::new();
    for _ in 0..LOOKS {
        let swept = store.sweep(stopped_at.as_deref()).await?;
        queues.extend(swept.queues);
        *stopped_at = swept.next;
        if stopped_at.is_none() {
            break;
        }
    }
    for queue in &queues {
        store.claim(&nothing_from(queue)).await?;
    }
    Ok(queues.len())
}

/// Every claim first does what is due; the janitor's asks for nothing else.
fn nothing_from(queue: &QueueName) -> ClaimRequest<'_> {
    ClaimRequest {
        queue,
        want: 0,
        worker: WorkerId::fresh(),
        attempt_id: AttemptId::random(),
        lease: Duration::ZERO,
        may_suspect: false,
        may_reap: false,
        types: &[],
    }
}
