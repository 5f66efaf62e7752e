//! The engine end to end: what a worker drains, what a submitter takes in one by one.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use windlass::clock;
use windlass::domain::LeaseTiming;
use windlass::engine::{AllowList, Guard, Registry, Submitter, Worker, WorkerOptions, tasks};
use windlass::executors::Echo;
use windlass::store::Store;

use crate::fleet::Process;
use crate::jobs::{PAYLOAD, enqueue_all, spec};
use crate::redis::{Raw, Redis};
use crate::table::{Table, median, microseconds};

/// Enqueues under way at once.
const CALLERS: usize = 256;
/// Slots of the worker that drains.
const SLOTS: usize = 400;
/// Slots of the worker whose memory is looked at.
const MANY_SLOTS: usize = 1000;

/// CPU nanoseconds of this process, all threads.
fn own_cpu_ns() -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("a Linux");
    let ran = |entry: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(entry.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    threads.filter_map(ran).sum()
}

fn options(slots: usize) -> WorkerOptions {
    WorkerOptions { slots, timing: LeaseTiming::default(), host: "bench".into(), ..WorkerOptions::default() }
}

fn registry() -> Arc<Registry> {
    let mut registry = Registry::new(AllowList::default());
    registry.register(Arc::new(Echo::new().expect("a name"))).expect("one type");
    Arc::new(registry)
}

/// Jobs that one worker takes from a full line and ends, per second.
pub(crate) async fn drain(table: &mut Table, rounds: usize, jobs: usize) {
    let (mut rates, mut own, mut redis_cost) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let redis = Redis::start();
        let store = redis.store(|_| {}).await;
        enqueue_all(&store, "drain", (0, jobs), "echo", PAYLOAD).await;
        let (mut raw, shutdown) = (redis.raw(), CancellationToken::new());
        let (cpu, redis_cpu, started) = (own_cpu_ns(), redis.cpu_ns(), clock::now());
        let worker = Worker::new(redis.store(|o| o.pool_size = 2).await, registry(), options(SLOTS));
        let running = tasks::spawn("worker", worker.run(shutdown.clone()));
        while raw.ask_number(&["HGET", "ai:queue:stats", "succeeded"]) < jobs as u64 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        rates.push(jobs as f64 / started.elapsed().as_secs_f64());
        own.push((own_cpu_ns() - cpu) as f64 / jobs as f64);
        redis_cost.push((redis.cpu_ns() - redis_cpu) as f64 / jobs as f64);
        shutdown.cancel();
        running.await.expect("no panic").expect("a clean stop");
    }
    let (own, theirs) = (microseconds(median(&mut own)), microseconds(median(&mut redis_cost)));
    let detail = format!("{jobs} echo jobs, {SLOTS} slots; µs a job: worker {own}, Redis {theirs}");
    table.row("worker draining a full line", &format!("{:.0} jobs/s", median(&mut rates)), "≥ 7 × BullMQ", &detail);
}

/// Jobs that callers hand in one by one, at once, per second.
pub(crate) async fn submit(table: &mut Table, rounds: usize, jobs: usize) {
    let (mut rates, mut own, mut redis_cost) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let redis = Redis::start();
        let store = redis.store(|_| {}).await;
        let shutdown = CancellationToken::new();
        let submitter = submitter(&store, &shutdown).await;
        let (cpu, redis_cpu, started) = (own_cpu_ns(), redis.cpu_ns(), clock::now());
        let caller = |caller: usize| {
            let submitter = submitter.clone();
            async move {
                for n in (caller..jobs).step_by(CALLERS) {
                    submitter.submit(spec(&format!("r{round}"), n, "echo", PAYLOAD)).await.expect("accepted");
                }
            }
        };
        let all: Vec<_> = (0..CALLERS).map(|number| tasks::spawn("caller", caller(number))).collect();
        for one in all {
            one.await.expect("no panic");
        }
        rates.push(jobs as f64 / started.elapsed().as_secs_f64());
        own.push((own_cpu_ns() - cpu) as f64 / jobs as f64);
        redis_cost.push((redis.cpu_ns() - redis_cpu) as f64 / jobs as f64);
        shutdown.cancel();
    }
    let (own, theirs) = (microseconds(median(&mut own)), microseconds(median(&mut redis_cost)));
    let detail = format!("{CALLERS} callers at once over the library; µs a job: ours {own}, Redis {theirs}");
    table.row("single enqueues", &format!("{:.0} jobs/s", median(&mut rates)), "≥ 2.5 × best peer", &detail);
}

/// A `windlass worker` process with a thousand slots: what it says to Redis while idle, and its memory
/// with a job in each slot.
pub(crate) async fn at_rest(table: &mut Table, window: Duration) {
    let redis = Redis::start();
    let store = redis.store(|_| {}).await;
    let mut raw = redis.raw();
    let worker = Process::start(&redis, MANY_SLOTS, 15_000);
    while raw.ask_number(&["ZCARD", "ai:workers"]) == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    // As clients count them: commands inside scripts are none.
    let window = window.max(Duration::from_secs(30));
    let before = client_commands(&mut raw);
    tokio::time::sleep(window).await;
    // Our own two questions are no part of it.
    let rate = (client_commands(&mut raw) - before).saturating_sub(1) as f64 / window.as_secs_f64();
    table.row("commands of an idle worker process", &format!("{rate:.2} /s"), "≤ 2 /s", "scripts and blocking reads");
    enqueue_all(&store, "held", (0, MANY_SLOTS), "sleep", "{\"ms\":20000}").await;
    while raw.ask_number(&["ZCARD", "ai:queue:running"]) <= MANY_SLOTS as u64 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mb = worker.resident_kib() / 1024;
    table.row("worker with 1000 jobs running", &format!("{mb} MB"), "≤ 100 MB", "resident memory");
}

/// Commands that clients sent since the start: of all calls, those that scripts did not make.
fn client_commands(raw: &mut Raw) -> u64 {
    let info = raw.ask(&["INFO", "commandstats"]);
    let of = |line: &str| {
        let (name, rest) = line.trim().strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let sent = matches!(name, "evalsha" | "blpop" | "xread" | "info" | "ping" | "config|get" | "mget");
        sent.then(|| rest.split(',').next()?.parse::<u64>().ok())?
    };
    info.lines().filter_map(of).sum()
}

async fn submitter(store: &Store, shutdown: &CancellationToken) -> Submitter {
    let guard = Guard::start(store.clone(), shutdown.clone());
    guard.first_look().await;
    Submitter::start(store.clone(), guard, shutdown.clone())
}
