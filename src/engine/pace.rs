//! Notes the counters of every queue in Redis, so that any process can tell its rates, whenever it started.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::{Shards, StoreError};

use super::tasks;

/// Between two notes. Several processes do this; the script takes one note in 8 s.
const INTERVAL: Duration = Duration::from_secs(10);

/// Starts noting; ends with `shutdown`.
pub fn start_noting(store: impl Into<Shards>, shutdown: CancellationToken) {
    let store = store.into();
    tasks::spawn("pace", async move {
        loop {
            if let Err(error) = note_all(&store).await {
                tracing::debug!(%error, "the pace of queues was not noted");
            }
            let wait = INTERVAL.mul_f64(0.8 + rand::random::<f64>() * 0.2);
            if shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    });
}

async fn note_all(store: &Shards) -> Result<(), StoreError> {
    let workers = store.workers().await?;
    for queue in store.queue_names().await? {
        let serves = |w: &&crate::store::WorkerSummary| w.queues.iter().any(|(name, _)| name == queue.as_str());
        let slots = workers.iter().find(serves).map(|worker| worker.slots);
        store.note(&queue, slots).await?;
    }
    Ok(())
}
