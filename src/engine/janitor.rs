//! Housekeeping that nobody waits for: old dead letters, parked jobs whose block is gone, old
//! listing indexes. Runs in every process; each step is bounded and idempotent, so no leader is
//! needed.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::{Store, StoreError, Tended};

use super::tasks;

/// Mean time between two rounds of one process.
const INTERVAL: Duration = Duration::from_secs(60);
/// Steps of one kind in one round.
const STEPS: usize = 100;

/// The janitor of a process.
#[derive(Debug)]
pub struct Janitor;

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Dead letters removed.
    pub removed: i64,
    /// Parked jobs brought back.
    pub brought_back: i64,
    /// Steps of index compaction.
    pub compacted: usize,
}

impl Janitor {
    /// Starts the rounds; they end with `shutdown`.
    pub fn start(store: Store, shutdown: CancellationToken) {
        tasks::spawn("janitor", async move {
            loop {
                // Spread over the fleet: between half and one and a half intervals.
                let wait = INTERVAL.mul_f64(0.5 + rand::random::<f64>());
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
                match Self::run_once(&store).await {
                    Ok(round) if round == Round::default() => {}
                    Ok(round) => tracing::info!(?round, "janitor"),
                    Err(error) => tracing::debug!(%error, "the janitor's round was cut short"),
                }
            }
        });
    }

    /// One round.
    ///
    /// # Errors
    /// When Redis did not answer; the next round goes on.
    pub async fn run_once(store: &Store) -> Result<Round, StoreError> {
        let mut round = Round::default();
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
        while round.compacted < STEPS && store.compact().await? {
            round.compacted += 1;
        }
        Ok(round)
    }
}
