//! What the guard of effects costs: the same jobs with an effect and without one, in turn.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use windlass::domain::{EffectClass, JobType, LeaseTiming, RawJson};
use windlass::engine::{
    AllowList, Effect, EffectFailure, Registry, Step, TypeInfo, Worker, WorkerOptions, from_fn, tasks,
};

use crate::jobs::{PAYLOAD, enqueue_all};
use crate::redis::{Raw, Redis};
use crate::table::{Table, median, microseconds};

const SLOTS: usize = 400;

/// An effect that costs nothing but its guard.
struct Nothing;

impl Effect for Nothing {
    fn class(&self) -> EffectClass {
        EffectClass::Once
    }

    async fn perform(&self, _: &Step<'_>) -> Result<RawJson, EffectFailure> {
        Ok(RawJson::from_compact("1"))
    }
}

fn registry() -> Arc<Registry> {
    let mut registry = Registry::new(AllowList::default());
    let info = |name: &str| TypeInfo::new(JobType::new(name).expect("a name"), "");
    let plain = from_fn(info("plain"), |_| async { Ok(RawJson::from_compact("1")) });
    let guarded = from_fn(info("guarded"), |context| async move { context.effect(&Nothing).await });
    registry.register(plain).expect("a free name");
    registry.register(guarded).expect("a free name");
    Arc::new(registry)
}

/// What a drain of so many jobs took: script calls and nanoseconds of Redis, a job.
async fn drain(job_type: &str, jobs: usize) -> (f64, f64) {
    let redis = Redis::start();
    let store = redis.store(|_| {}).await;
    enqueue_all(&store, "effects", (0, jobs), job_type, PAYLOAD).await;
    let (mut raw, shutdown) = (redis.raw(), CancellationToken::new());
    let (calls, cpu) = (script_calls(&mut raw), redis.cpu_ns());
    let options = WorkerOptions {
        slots: SLOTS,
        timing: LeaseTiming::default(),
        host: "bench".into(),
        ..WorkerOptions::default()
    };
    let worker = Worker::new(redis.store(|o| o.pool_size = 2).await, registry(), options);
    let running = tasks::spawn("worker", worker.run(shutdown.clone()));
    while raw.ask_number(&["HGET", "ai:queue:stats", "succeeded"]) < jobs as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (calls, cpu) = (script_calls(&mut raw) - calls, redis.cpu_ns() - cpu);
    shutdown.cancel();
    running.await.expect("no panic").expect("a clean stop");
    (calls as f64 / jobs as f64, cpu as f64 / jobs as f64)
}

fn script_calls(raw: &mut Raw) -> u64 {
    let info = raw.ask(&["INFO", "commandstats"]);
    let calls = info.lines().find_map(|line| line.trim().strip_prefix("cmdstat_evalsha:calls="));
    calls.and_then(|rest| rest.split(',').next()?.parse().ok()).unwrap_or_default()
}

/// The guard adds at most one script call for an effect; its receipt rides with the report.
pub(crate) async fn guard(table: &mut Table, rounds: usize, jobs: usize) {
    let (mut calls, mut plain, mut guarded) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let without = drain("plain", jobs).await;
        let with = drain("guarded", jobs).await;
        calls.push(with.0 - without.0);
        plain.push(without.1);
        guarded.push(with.1);
    }
    let (plain, guarded) = (microseconds(median(&mut plain)), microseconds(median(&mut guarded)));
    let detail = format!("{jobs} jobs that do nothing; µs of Redis a job: {guarded} with an effect, {plain} without");
    table.row("script calls that the guard adds", &format!("{:.2} a job", median(&mut calls)), "≤ 1", &detail);
}
