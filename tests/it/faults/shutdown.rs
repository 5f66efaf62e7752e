//! SIGTERM, once and twice.

use nix::sys::signal::Signal;
use windlass::domain::{JobId, JobSpec, JobState, JobType, RawJson};
use windlass::store::{Scope, Store};

use crate::support::jobs::{enqueue_new, spec};
use crate::support::processes::{Process, ids, wait_for};
use crate::support::redis::TestRedis;

fn lasting(request: &str, ms: u64) -> JobSpec {
    let input = RawJson::from_compact(format!("{{\"ms\":{ms}}}"));
    JobSpec { job_type: JobType::new("sleep").unwrap(), input, ..spec(request) }
}

/// Leases, the sentinel not counted.
fn running(redis: &TestRedis) -> i64 {
    redis.ask(&["ZCOUNT", "ai:queue:running", "0", "(+inf"]).parse().unwrap_or(0)
}

async fn state(store: &Store, id: JobId) -> (JobState, u32, u32) {
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    (job.state, job.attempt, job.crashes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_finishes_what_runs_leaves_the_rest_and_exits_with_0() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = Process::worker(&redis, &[("WORKER_CONCURRENCY", "2")]);
    let mut jobs = Vec::new();
    for n in 0..4 {
        // The signal has to come before the first of them ends.
        jobs.push(enqueue_new(&store, lasting(&format!("r{n}"), 5_000)).await);
    }
    wait_for("two jobs run", || running(&redis) == 2);
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.exit().code(), Some(0));
    let mut ends = Vec::new();
    for id in jobs {
        ends.push(state(&store, id).await);
    }
    let (done, left) = ((JobState::Succeeded, 1, 0), (JobState::Pending, 0, 0));
    assert_eq!(ends.iter().filter(|end| **end == done).count(), 2, "{ends:?}");
    assert_eq!(ends.iter().filter(|end| **end == left).count(), 2, "{ends:?}");
    assert!(ids(&redis).is_empty() && running(&redis) == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn past_its_grace_a_worker_gives_its_jobs_back_uncharged() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = Process::worker(&redis, &[("DRAIN_GRACE_SECONDS", "0")]);
    let id = enqueue_new(&store, lasting("r", 60_000)).await;
    wait_for("it runs", || running(&redis) == 1);
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.exit().code(), Some(0));
    assert_eq!(state(&store, id).await, (JobState::Pending, 0, 0));
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_draining_worker_at_once() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = Process::worker(&redis, &[]);
    let id = enqueue_new(&store, lasting("r", 60_000)).await;
    wait_for("it runs", || running(&redis) == 1);
    worker.signal(Signal::SIGTERM);
    let about = format!("ai:worker:{}", worker.id);
    wait_for("it drains", || redis.ask(&["HGET", &about, "about"]).contains("draining"));
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.exit().code(), Some(130));
    assert_eq!(state(&store, id).await.0, JobState::Running, "until its lease ends");
}
