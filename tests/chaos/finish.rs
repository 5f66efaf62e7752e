//! The end of a run: how fast it recovered, and when all was quiet.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::json;
use windlass::clock::{self, Instant};

use super::cpu::Cpu;
use super::history::{History, Stream};
use super::nemesis::Stage;
use super::pace;
use super::resp::Patient;
use super::watch::Watch;

/// A window of throughput, in half seconds.
const WINDOW: usize = 4;

/// Ends of jobs per second, and the part of the machine they had.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    pub(crate) machine: f64,
}

/// A moment to measure from.
struct Mark {
    at: Instant,
    ended: u64,
    cpu: Cpu,
}

impl Mark {
    fn now(stage: &Stage) -> Self {
        Self { at: clock::now(), ended: stage.watch.ended(), cpu: Cpu::now(&stage.pids()) }
    }

    fn until(&self, later: &Self) -> Rate {
        let per_second = (later.ended - self.ended) as f64 / (later.at - self.at).as_secs_f64();
        Rate { per_second, machine: later.cpu.left_since(&self.cpu) }
    }
}

/// Throughput over a while.
pub(crate) async fn throughput(stage: &Stage, time: Duration) -> Rate {
    let start = Mark::now(stage);
    pace::pause(time).await;
    start.until(&Mark::now(stage))
}

/// Waits until a window has 90 % of the throughput from before the faults, and writes down how long that took. Of less
/// of a machine less is expected, and the time counts as the share of the machine that others left: on an idle one
/// these are the plain figures.
pub(crate) async fn recovery(stage: &Stage, before: Rate, limit: Duration) -> bool {
    let start = clock::now();
    let (mut marks, mut windows) = (VecDeque::from([Mark::now(stage)]), Vec::new());
    let (mut spent, mut recovered) = (Duration::ZERO, false);
    while spent < limit && !recovered {
        pace::pause_ms(500).await;
        let mark = Mark::now(stage);
        if let Some(last) = marks.back() {
            spent += (mark.at - last.at).mul_f64(last.until(&mark).machine);
        }
        marks.push_back(mark);
        if marks.len() <= WINDOW {
            continue;
        }
        let (Some(from), Some(to)) = (marks.pop_front(), marks.back()) else { break };
        let rate = from.until(to);
        let wanted = 0.9 * before.per_second * (rate.machine / before.machine).min(1.0);
        windows.push(json!([rate.per_second.round(), wanted.round()]));
        recovered = rate.per_second >= wanted;
    }
    let line = json!({"metric": "throughput", "baseline_per_s": before.per_second.round(),
        "baseline_machine": (before.machine * 100.0).round() / 100.0, "windows_per_s": windows,
        "recovered_ms": recovered.then_some(spent.as_millis() as u64), "wall_ms": start.elapsed().as_millis() as u64});
    stage.history.line(Stream::Nemesis, line);
    recovered
}

/// Waits until nothing waits or runs, and writes down how long that took.
pub(crate) async fn quiesce(history: &History, watch: &Watch, limit: Duration) -> bool {
    let (start, mut redis, mut calm) = (clock::now(), Patient::new(), 0);
    let quiet = pace::until!(limit, {
        let figures = watch.snapshot(&mut redis).await.unwrap_or_default();
        let zero = |name: &str| figures.iter().all(|of| of[name].as_i64() == Some(0));
        let still =
            !figures.is_empty() && ["pending_len", "running", "scheduled", "held"].iter().all(|name| zero(name));
        calm = if still { calm + 1 } else { 0 };
        calm >= 10
    });
    watch.catch_up().await;
    for figures in watch.snapshot(&mut redis).await.unwrap_or_default() {
        history.line(Stream::Snapshots, figures);
    }
    let line = json!({"metric": "quiesce", "reached": quiet, "ms": start.elapsed().as_millis() as u64});
    history.line(Stream::Nemesis, line);
    quiet
}
