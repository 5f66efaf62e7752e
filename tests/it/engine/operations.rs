//! Operations from their beginning to their end.

use std::time::Duration;

use windlass::domain::{JobState, OperationAction, OperationState, Skipped};
use windlass::engine::OperationError;
use windlass::store::Store;

use crate::support::audit::audit;
use crate::support::jobs::{TestWorker, death, enqueue_many};
use crate::support::operations::{carried, finished, new_id, plan, planned, skipped, until};
use crate::support::redis::TestRedis;

async fn dead(store: &Store, n: usize) {
    let worker = TestWorker::register(store).await;
    for first in (0..n).step_by(100) {
        let many = (n - first).min(100);
        enqueue_many(store, "ws", &format!("d{first}"), many, |_| {}).await;
        let claimed = worker.claim(store, many).await;
        let finished = claimed
            .into_iter()
            .map(|claimed| windlass::store::Finished { claimed, ending: death() })
            .collect::<Vec<_>>();
        store.cycle(&finished, &worker.request(0)).await.unwrap();
    }
}

#[tokio::test]
async fn every_dead_job_is_redriven_once_and_the_counts_are_equal() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    dead(&store, 1_250).await;
    let (operations, _guard) = carried(store.clone());
    let plan = plan(OperationAction::Redrive);
    let preview = operations.preview(&plan).await.unwrap();
    assert_eq!((preview.matched, preview.complete, preview.groups.len()), (1_250, true, 1));
    let id = new_id();
    operations.begin(id, &plan, "ann", Some(preview.matched)).await.unwrap();
    let operation = finished(&operations, id).await;
    assert_eq!((operation.counts.matched, operation.counts.done), (1_250, 1_250));
    assert_eq!(redis.cli_int(&["HGET", "ai:queue:stats", "redriven"]), 1_250);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 1_250);
    assert!(matches!(operations.stop(id, "ann").await, Err(OperationError::State(OperationState::Finished))));
    audit(&redis);
}
