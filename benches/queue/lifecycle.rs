//! What a job costs Redis from enqueue to success, against the floor, and at depth.

use windlass::store::Store;

use crate::floor::{self, Cost};
use crate::jobs::{Drain, PAYLOAD, enqueue_all, enqueue_among};
use crate::redis::Redis;
use crate::table::{Table, microseconds, percent};

/// Jobs claimed and ended in one exchange.
const BATCH: usize = 100;

/// Enqueues `jobs` under request ids of `series`, then claims and ends them.
async fn run(redis: &Redis, store: &Store, series: &str, jobs: usize, batch: usize) -> Cost {
    run_among(100, PAYLOAD, redis, store, series, jobs, batch).await
}

/// The same with as many workspaces and another input.
pub(crate) async fn run_among(
    workspaces: usize,
    input: &str,
    redis: &Redis,
    store: &Store,
    series: &str,
    jobs: usize,
    batch: usize,
) -> Cost {
    let before = redis.cpu_ns();
    enqueue_among(workspaces, store, series, (0, jobs), "echo", input).await;
    let between = redis.cpu_ns();
    let mut drain = Drain::start(store, batch).await;
    drain.take(jobs).await;
    let after = redis.cpu_ns();
    let per_job = |ns: u64| ns as f64 / jobs as f64;
    Cost { enqueue: per_job(between - before), process: per_job(after - between) }
}

/// Goal 1: interleaved rounds on one server, the minimum of each.
pub(crate) async fn against_the_floor(table: &mut Table, rounds: usize, jobs: usize) {
    let redis = Redis::start();
    let on = redis.store(|_| {}).await;
    let off = redis.store(|o| (o.events_kept, o.listing_index) = (0, false)).await;
    let mut least: [Option<Cost>; 4] = [None; 4];
    for _ in 0..rounds {
        let mut costs = vec![floor::run(&redis, jobs)];
        for (store, batch) in [(&on, BATCH), (&off, BATCH), (&on, BATCH / 2)] {
            redis.flush();
            costs.push(run(&redis, store, "cost", jobs, batch).await);
        }
        for (least, cost) in least.iter_mut().zip(costs) {
            *least = Some(least.map_or(cost, |known| known.min(cost)));
        }
    }
    let [Some(floor), Some(on), Some(off), Some(on_50)] = least else { return };
    let parts = |cost: &Cost| format!("{} + {}", microseconds(cost.enqueue), microseconds(cost.process));
    let share = |cost: &Cost| percent(floor.total() / cost.total());
    table.row("raw floor: 8 commands a job, pipelined", &parts(&floor), "", "µs of Redis, enqueue + process");
    table.row("full lifecycle, everything on", &share(&on), "≥ 50 % of the floor", &parts(&on));
    table.row("full lifecycle, events and index off", &share(&off), "≥ 70 % of the floor", &parts(&off));
    table.row("full lifecycle, everything on, 50 a claim", &share(&on_50), "", &parts(&on_50));
}

/// Goals 4 and 5: the same work on a short and on a long line, in turn, and what the long one weighs.
pub(crate) async fn at_depth(table: &mut Table, rounds: usize, jobs: usize, deep: usize) {
    let (short, long) = (Redis::start(), Redis::start());
    let (short_store, long_store) = (short.store(|_| {}).await, long.store(|_| {}).await);
    enqueue_all(&short_store, "line", (0, 1_000), "echo", PAYLOAD).await;
    let before = long.used_memory();
    enqueue_all(&long_store, "line", (0, deep), "echo", PAYLOAD).await;
    let bytes = (long.used_memory() - before) as f64 / deep as f64;
    let (mut least_short, mut least_long) = (f64::INFINITY, f64::INFINITY);
    for round in 0..rounds {
        let series = format!("round{round}");
        least_short = least_short.min(steady(&short, &short_store, &series, jobs).await);
        least_long = least_long.min(steady(&long, &long_store, &series, jobs).await);
    }
    let ratio = format!("{:.2} ×", least_long / least_short);
    let detail = format!("{} and {} µs a job", microseconds(least_short), microseconds(least_long));
    table.row(&format!("cost of a job, {deep} pending to 1000"), &ratio, "≤ 1.5 ×", &detail);
    let detail = format!("everything included, {deep} pending, 200-byte payload");
    table.row("bytes per pending job", &format!("{bytes:.0}"), "≤ 750", &detail);
}

/// Enqueues a batch and ends a batch, in turn, so that the depth stays; nanoseconds a job.
async fn steady(redis: &Redis, store: &Store, series: &str, jobs: usize) -> f64 {
    let mut drain = Drain::start(store, BATCH).await;
    let before = redis.cpu_ns();
    for first in (0..jobs).step_by(BATCH) {
        enqueue_all(store, series, (first, first + BATCH), "echo", PAYLOAD).await;
        drain.cycle(BATCH).await;
    }
    drain.cycle(0).await;
    (redis.cpu_ns() - before) as f64 / jobs as f64
}
