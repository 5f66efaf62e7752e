//! On a long line a worker has two exchanges with Redis under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use windlass::domain::{JobId, RawJson};
use windlass::engine::{Registry, WorkerOptions};
use windlass::store::Store;

use crate::support::audit::audit;
use crate::support::fleet::{eventually, options, registry, short_lease, start};
use crate::support::jobs::enqueue_many;
use crate::support::processes::stat;
use crate::support::redis::TestRedis;

const JOBS: usize = 4_000;

type Runs = Arc<Mutex<HashMap<JobId, usize>>>;

/// A registry that counts the runs of each job.
fn counting() -> (Arc<Registry>, Runs) {
    let runs = Runs::default();
    let seen = Arc::clone(&runs);
    let registry = registry(move |context| {
        *seen.lock().unwrap().entry(context.id).or_default() += 1;
        async { Ok(RawJson::from_compact("1")) }
    });
    (registry, runs)
}

fn many_slots(options: WorkerOptions) -> WorkerOptions {
    WorkerOptions { slots: 400, ..options }
}

async fn fill(store: &Store) {
    for workspace in ["ws", "other"] {
        enqueue_many(store, workspace, "r", JOBS / 2, |_| {}).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_of_a_long_line_runs_once() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    fill(&store).await;
    let (registry, runs) = counting();
    let worker = start(&store, &registry, many_slots(options()));
    eventually("every job succeeds", || stat(&redis, "succeeded") == JOBS as i64).await;
    worker.stop().await;
    let runs = runs.lock().unwrap();
    assert_eq!((runs.len(), runs.values().max()), (JOBS, Some(&1)));
    audit(&redis);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stops_on_a_long_line_leaves_no_lease() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    fill(&store).await;
    let (registry, runs) = counting();
    let worker = start(&store, &registry, many_slots(options()));
    eventually("some ran", || runs.lock().unwrap().len() > 300).await;
    worker.stop().await;
    audit(&redis);
    let (ended, pending) = (stat(&redis, "succeeded"), redis.cli_int(&["LLEN", "ai:queue:pending"]));
    assert_eq!(ended + pending, JOBS as i64);
    assert_eq!(redis.cli_int(&["ZCOUNT", "ai:queue:running", "-inf", "(+inf"]), 0);
    assert!(runs.lock().unwrap().values().all(|runs| *runs == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_breaks_on_a_long_line_loses_no_job() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    fill(&store).await;
    let (registry, runs) = counting();
    let worker = start(&store, &registry, many_slots(short_lease(3000)));
    for share in 1..4 {
        eventually("more ran", || runs.lock().unwrap().len() > share * 500).await;
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }
    eventually("every job succeeds", || stat(&redis, "succeeded") == JOBS as i64).await;
    worker.stop().await;
    assert_eq!(runs.lock().unwrap().len(), JOBS);
    audit(&redis);
}
