//! The drill: three workers, one killed, one frozen for longer than its lease, Redis killed once.

use std::collections::HashMap;

use nix::sys::signal::Signal;
use windlass::domain::{JobId, JobSpec, JobType, RawJson};
use windlass::store::Store;

use crate::support::jobs::{queue, spec_of};
use crate::support::processes::{Process, stat, wait_for, wait_long_for};
use crate::support::redis::TestRedis;

const JOBS: usize = 20_000;
const SETTINGS: &[(&str, &str)] = &[("LEASE_MS", "1500"), ("WORKER_CONCURRENCY", "16"), ("LOG_LEVEL", "warn")];

/// Mostly `echo`; every twentieth takes a while, so that the faults hit running jobs.
fn job(n: usize) -> JobSpec {
    let mut spec = spec_of(["red", "green", "blue"][n % 3], &format!("r{n}"));
    if n.is_multiple_of(20) {
        spec.job_type = JobType::new("sleep").unwrap();
        spec.input = RawJson::from_compact("{\"ms\":20}");
    }
    spec
}

async fn enqueue_all(store: &Store) {
    let now = store.now().await.unwrap().unix_ms() as u64;
    for start in (0..JOBS).step_by(100) {
        let items: Vec<_> = (start..start + 100).map(|n| (JobId::new(now, 0), job(n))).collect();
        store.enqueue(&queue(), &items).await.unwrap();
    }
}

/// The leases of a worker: job and attempt id.
fn leases(redis: &TestRedis, worker: &str) -> Vec<(String, String)> {
    let running = redis.ask(&["ZRANGE", "ai:queue:running", "0", "-1"]);
    let members = running.lines().filter_map(|member| member.split_once(':'));
    members
        .filter(|(id, _)| redis.ask(&["HGET", "ai:attempts", id]).split('\t').nth(4) == Some(worker))
        .map(|(id, attempt)| (id.to_owned(), attempt.to_owned()))
        .collect()
}

/// Freezes a worker while it holds leases, and returns them.
fn freeze(redis: &TestRedis, worker: &Process) -> Vec<(String, String)> {
    let mut held = Vec::new();
    wait_for("a frozen worker holds leases", || {
        worker.signal(Signal::SIGSTOP);
        // Its threads stand one after the other; one of them may be about to send.
        wait_for("the worker stands", || worker.stands());
        // What it sent before is done once these are answered.
        redis.ask(&["PING"]);
        redis.ask(&["PING"]);
        held = leases(redis, &worker.id);
        if held.is_empty() {
            worker.signal(Signal::SIGCONT);
        }
        !held.is_empty()
    });
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_succeeds_once_whatever_is_killed_frozen_and_restarted() {
    let mut redis = TestRedis::start_durable().await;
    let store = redis.store().await;
    let [killed, frozen, _healthy] = [(); 3].map(|()| Process::worker(&redis, SETTINGS));
    enqueue_all(&store).await;
    wait_long_for("the work is under way", || stat(&redis, "succeeded") >= JOBS as i64 / 10);
    killed.kill();
    let held = freeze(&redis, &frozen);
    wait_for("the frozen worker's jobs are taken away", || {
        held.iter()
            .all(|(id, attempt)| redis.ask(&["ZSCORE", "ai:queue:running", &format!("{id}:{attempt}")]).is_empty())
    });
    frozen.signal(Signal::SIGCONT);
    wait_long_for("half is done", || stat(&redis, "succeeded") >= JOBS as i64 / 2);
    redis.kill();
    redis.launch().await;
    wait_long_for("everything is done", || stat(&redis, "succeeded") >= JOBS as i64);

    assert_eq!(stat(&redis, "succeeded"), JOBS as i64);
    assert_eq!((stat(&redis, "enqueue"), stat(&redis, "dead")), (JOBS as i64, 0));
    assert_eq!(redis.cli_int(&["HLEN", "ai:jobs"]), 0, "nothing is left");
    for (id, stale) in held {
        let winner = winner(&redis, &id);
        assert_ne!(winner, stale, "the frozen worker's report for {id} was accepted");
    }
    check_history(&redis);
}

/// The attempt id whose report ended a job.
fn winner(redis: &TestRedis, id: &str) -> String {
    let buckets = redis.ask(&["KEYS", "ai:done:*"]);
    let record = buckets.lines().map(|bucket| redis.ask(&["HGET", bucket, id])).find(|r| !r.is_empty());
    // State, end, attempt, crashes, start, attempt id.
    let record = record.expect("an ended job");
    record.lines().next().and_then(|head| head.split('\t').nth(5)).expect("an attempt id").to_owned()
}

/// The event stream: one success each, and nothing after it.
fn check_history(redis: &TestRedis) {
    let mut last: HashMap<String, char> = HashMap::new();
    for line in redis.cli(&["XRANGE", "ai:events", "-", "+"]).lines() {
        for event in line.split(' ').filter(|event| event.len() > 23) {
            let id = event[..22].to_owned();
            // The attempt that ended stands between the job and its new state.
            let state = event.chars().nth(if event[22..].starts_with(':') { 45 } else { 22 }).unwrap();
            let before = last.insert(id.clone(), state);
            assert_ne!(before, Some('s'), "{id} went on as {state} after its success");
        }
    }
    assert_eq!(last.len(), JOBS);
    assert!(last.values().all(|state| *state == 's'));
}
