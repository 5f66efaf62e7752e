//! A job that takes its process down is found out, and its neighbours do not pay for it.

use windlass::domain::{FailureReason, JobSpec, JobState, JobType, RawJson};
use windlass::store::Scope;

use crate::support::fleet::reaches;
use crate::support::jobs::{enqueue_new, spec};
use crate::support::processes::{Process, wait_for};
use crate::support::redis::TestRedis;

/// The crashes of a worker that lives would be counted too, were it starved for as long as a lease.
const SETTINGS: &[(&str, &str)] = &[("LEASE_MS", "2000"), ("WORKER_CONCURRENCY", "4")];

fn lasting(request: &str, ms: u64) -> JobSpec {
    let input = RawJson::from_compact(format!("{{\"ms\":{ms}}}"));
    JobSpec { job_type: JobType::new("sleep").unwrap(), input, ..spec(request) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_its_process_three_times_is_dead_and_its_neighbours_succeed() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let mut worker = Process::worker(&redis, SETTINGS);
    let victim = enqueue_new(&store, lasting("victim", 60_000)).await;
    let mut neighbours = Vec::new();
    for n in 0..6 {
        neighbours.push(enqueue_new(&store, lasting(&format!("r{n}"), 100)).await);
    }
    for crash in 1..=3 {
        // The handler of a job that crashes its process, seen from outside. A worker that dies before it has renewed
        // the lease may seem to have never heard of it, and then no crash is counted.
        let mut first = None;
        wait_for("the victim runs and its lease was renewed", || {
            let entry = redis.ask(&["HGET", "ai:attempts", &victim.to_string()]);
            let fields: Vec<&str> = entry.split('\t').collect();
            let ["r", _, _, _, holder, attempt, ..] = fields[..] else { return false };
            let deadline = redis.ask(&["ZSCORE", "ai:queue:running", &format!("{victim}:{attempt}")]);
            holder == worker.id && deadline.parse::<i64>().is_ok_and(|now| now > *first.get_or_insert(now))
        });
        worker.kill();
        worker = Process::worker(&redis, SETTINGS);
        wait_for("the crash is counted", || {
            let entry = redis.ask(&["HGET", "ai:attempts", &victim.to_string()]);
            entry.split('\t').nth(2).and_then(|n| n.parse::<u32>().ok()) == Some(crash)
        });
    }
    let job = reaches(&store, victim, JobState::Dead).await;
    assert_eq!(job.failure.map(|f| f.reason), Some(FailureReason::Poison));
    for id in neighbours {
        let job = reaches(&store, id, JobState::Succeeded).await;
        assert_eq!(job.attempt, 1, "a crash of another charges no attempt");
        assert!(job.crashes <= 2, "once suspect, a job runs as its process's only one: {}", job.crashes);
    }
    assert_eq!(store.job(&Scope::All, victim).await.unwrap().unwrap().crashes, 3);
}
