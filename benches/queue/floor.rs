//! The raw floor: the eight commands that a leased job cannot do without, one by one, pipelined.

use crate::jobs::{PAYLOAD, request_id, workspace};
use crate::redis::Redis;

/// Commands in one pipeline.
const PIPELINE: usize = 100;

/// Nanoseconds of Redis for enqueueing, and for claiming and ending, one job.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) enqueue: f64,
    pub(crate) process: f64,
}

impl Cost {
    pub(crate) fn total(&self) -> f64 {
        self.enqueue + self.process
    }

    /// The cheaper in total.
    pub(crate) fn min(self, other: Self) -> Self {
        if other.total() < self.total() { other } else { self }
    }
}

/// Enqueues `jobs`, then claims and ends them.
pub(crate) fn run(redis: &Redis, jobs: usize) -> Cost {
    redis.flush();
    let mut raw = redis.raw();
    let record = format!("1767225600000\t1767830400000\tws\techo\t{PAYLOAD}");
    let result = "{\"ok\":true,\"n\":12345678901234567}";
    // As the engine's: without a long member a short lease set is slow, and the floor would be high.
    raw.ask(&["ZADD", "floor:leases", "+inf", &"=".repeat(65)]);
    let before = redis.cpu_ns();
    for first in (0..jobs).step_by(PIPELINE) {
        let ids: Vec<String> = (first..first + PIPELINE).map(|n| format!("{n:022}")).collect();
        for (i, id) in ids.iter().enumerate() {
            let key = format!("floor:idempotency:{}:{}", workspace(first + i), request_id("floor", first + i));
            raw.push(&["SET", &key, id, "NX", "EX", "691200"]);
        }
        raw.flush();
        ids.iter().for_each(|id| raw.push(&["SET", &format!("floor:job:{id}"), &record]));
        raw.flush();
        ids.iter().for_each(|id| raw.push(&["LPUSH", "floor:pending", id]));
        raw.flush();
    }
    let between = redis.cpu_ns();
    for _ in (0..jobs).step_by(PIPELINE) {
        (0..PIPELINE).for_each(|_| raw.push(&["RPOP", "floor:pending"]));
        let ids = raw.flush();
        ids.iter().for_each(|id| raw.push(&["ZADD", "floor:leases", "1767225600000", id]));
        raw.flush();
        ids.iter().for_each(|id| raw.push(&["GET", &format!("floor:job:{id}")]));
        raw.flush();
        ids.iter().for_each(|id| raw.push(&["ZREM", "floor:leases", id]));
        raw.flush();
        ids.iter().for_each(|id| raw.push(&["SET", &format!("floor:result:{id}"), result, "EX", "86400"]));
        raw.flush();
    }
    let after = redis.cpu_ns();
    let per_job = |ns: u64| ns as f64 / jobs as f64;
    Cost { enqueue: per_job(between - before), process: per_job(after - between) }
}
