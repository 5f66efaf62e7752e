//! Bulk operations whose processes are killed.

use windlass::domain::OperationAction;
use windlass::engine::Operations;

use crate::support::operations::{finished, new_id, plan, seed_dead, until};
use crate::support::processes::{Process, stat, wait_long_for};
use crate::support::redis::TestRedis;

const JOBS: u64 = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_outlives_the_killed_process_that_carries_it_and_every_job_is_redriven_once() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    seed_dead(&redis, JOBS as usize);
    // It begins and asks only: processes carry it on.
    let operations = Operations::new(store);
    let (first, _) = Process::serve(&redis, &[]);
    let _worker = Process::worker(&redis, &[("WORKER_CONCURRENCY", "200")]);
    let id = new_id();
    operations.begin(id, &plan(OperationAction::Redrive), "ann", Some(JOBS)).await.unwrap();
    until(&operations, id, |operation| operation.counts.done >= JOBS / 20).await;
    first.kill();
    let between = operations.get(id).await.unwrap().counts;
    assert!(between.done < JOBS, "it was killed on its way");
    assert_eq!((between.matched, stat(&redis, "redriven") as u64), (between.done, between.done));
    let (_second, _) = Process::serve(&redis, &[]);
    let counts = finished(&operations, id).await.counts;
    assert_eq!((counts.matched, counts.done, stat(&redis, "redriven") as u64), (JOBS, JOBS, JOBS));
    wait_long_for("every job succeeds", || stat(&redis, "succeeded") as u64 == JOBS);
    assert_eq!(redis.cli_int(&["EXISTS", "ai:queue:dead", "ai:queue:pending", "ai:dead:groups"]), 0);
    assert_eq!(redis.cli_int(&["HLEN", "ai:jobs"]), 0);
}
