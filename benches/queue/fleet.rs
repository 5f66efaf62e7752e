//! Worker processes come, go and are killed: throughput by their number, and whether a job is lost.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use windlass::clock;

use crate::jobs::enqueue_all;
use crate::redis::{Raw, Redis};
use crate::table::{Table, percent};

/// Slots of a process.
const SLOTS: usize = 10;
/// Short, so that the jobs of a killed process come back soon.
const LEASE_MS: u32 = 3_000;
/// What a job takes.
const JOB: Duration = Duration::from_millis(50);
/// Jobs a process could end in a second if everything between them were free.
const IDEAL: usize = SLOTS * 1000 / JOB.as_millis() as usize;

/// A `windlass worker`; killed when dropped.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(redis: &Redis, slots: usize, lease_ms: u32) -> Self {
        Self::start_with(redis, slots, lease_ms, &[])
    }

    /// The same with more settings.
    pub(crate) fn start_with(redis: &Redis, slots: usize, lease_ms: u32, settings: &[(&str, &str)]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_windlass"))
            .arg("worker")
            .env("REDIS_URL", redis.url())
            .env("WORKER_CONCURRENCY", slots.to_string())
            .env("WORKER_PORT", "0")
            .env("LEASE_MS", lease_ms.to_string())
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary is built");
        Self(child)
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("a Linux with VmRSS")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn succeeded(raw: &mut Raw) -> u64 {
    raw.ask_number(&["HGET", "ai:queue:stats", "succeeded"])
}

/// Jobs a second over `window`.
async fn rate(raw: &mut Raw, window: Duration) -> f64 {
    let (before, from) = (succeeded(raw), clock::now());
    tokio::time::sleep(window).await;
    let (after, to) = (succeeded(raw), clock::now());
    (after - before) as f64 / (to - from).as_secs_f64()
}

/// Goal 6: 1, 2, 4, 8 processes; then one is killed, one is started, and all jobs have to succeed.
pub(crate) async fn scale(table: &mut Table, window: Duration) {
    let redis = Redis::start();
    let (store, mut raw) = (redis.store(|_| {}).await, redis.raw());
    let (mut processes, mut enqueued, mut single) = (Vec::new(), 0, 0.0);
    let input = format!("{{\"ms\":{}}}", JOB.as_millis());
    for count in [1_usize, 2, 4, 8] {
        // Enough to keep them busy from the first start to the end of the window.
        let needed = count * IDEAL * (window.as_secs() as usize + 4);
        enqueue_all(&store, "fleet", (enqueued, enqueued + needed), "sleep", &input).await;
        enqueued += needed;
        while processes.len() < count {
            processes.push(Process::start(&redis, SLOTS, LEASE_MS));
        }
        while raw.ask_number(&["ZCARD", "ai:workers"]) < count as u64 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let rate = rate(&mut raw, window).await;
        if count == 1 {
            single = rate;
            let detail = format!("{:.0} jobs/s of {IDEAL} with {SLOTS} slots", rate);
            table.row("50 ms jobs, 1 worker process", &percent(rate / IDEAL as f64), "", &detail);
        } else {
            let share = percent(rate / single / count as f64);
            table.row(
                &format!("50 ms jobs, {count} processes"),
                &share,
                "≥ 90 % of linear",
                &format!("{rate:.0} jobs/s"),
            );
        }
    }
    processes.pop();
    processes.push(Process::start(&redis, SLOTS, LEASE_MS));
    let limit = clock::now() + Duration::from_secs(60);
    while succeeded(&mut raw) < enqueued as u64 && clock::now() < limit {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (ended, back) = (succeeded(&mut raw), raw.ask_number(&["HGET", "ai:queue:stats", "lease_expiries"]));
    let detail = format!("{ended} of {enqueued} succeeded; 1 process killed, {back} of its jobs came back");
    table.row("jobs lost while processes come and go", &(enqueued as u64 - ended).to_string(), "0", &detail);
}
