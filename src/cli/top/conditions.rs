//! The conditions that the alert rules look at, from what the API tells at this moment.
//!
//! They are not Prometheus' state: a rule waits before it fires, and this does not.

use std::time::Duration;

use serde::Serialize;

use super::super::span;
use super::read::QueueRow;
use crate::api::health::Ready;
use crate::api::worker::WorkerView;

/// Jobs in line beyond which a queue is deep; the threshold of `AIQueueDepthHigh`.
const DEEP: u64 = 1000;

/// A queue without a claim between two looks is stalled when its next job has waited for this long. The rule waits ten
/// minutes; whoever looks is told earlier.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// How bad a condition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Work stands still, or may be lost.
    Critical,
    /// Someone should look.
    Warning,
}

/// One condition that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Condition {
    /// How bad it is.
    pub(super) severity: Severity,
    /// `no_workers`, `stalled`, `deaf_worker`, `depth_high`, `outcome_unknown`, `redis_unsafe` or `redis_degraded`.
    pub(super) name: &'static str,
    /// The queue, the worker's host and process, or the check.
    pub(super) subject: String,
    /// What was seen.
    pub(super) detail: String,
    /// The command to try next.
    pub(super) next: String,
}

/// All that hold, the worst first.
pub(super) fn all(queues: &[QueueRow], workers: &[WorkerView], ready: &Ready) -> Vec<Condition> {
    let mut found: Vec<Condition> = ready.checks.iter().filter_map(|(name, check)| redis(name, check)).collect();
    found.extend(queues.iter().filter_map(no_workers));
    let stalled: Vec<&QueueRow> = queues.iter().filter(|row| is_stalled(row)).collect();
    found.extend(stalled.iter().map(|row| stall(row)));
    found.extend(workers.iter().filter_map(|worker| deaf(worker, &stalled)));
    found.extend(queues.iter().filter_map(deep));
    found.extend(deep_together(queues));
    found.extend(queues.iter().filter_map(unknown));
    found.sort_by_key(|condition| condition.severity);
    found
}

fn redis(name: &str, check: &crate::api::health::CheckView) -> Option<Condition> {
    let (severity, word) = match check.status.as_str() {
        "failed" => (Severity::Critical, "redis_unsafe"),
        "degraded" => (Severity::Warning, "redis_degraded"),
        _ => return None,
    };
    Some(Condition {
        severity,
        name: word,
        subject: name.to_owned(),
        detail: check.detail.clone(),
        next: "windlass doctor".to_owned(),
    })
}

fn of_queue(severity: Severity, name: &'static str, row: &QueueRow, detail: String, next: String) -> Condition {
    Condition { severity, name, subject: row.view.name.clone(), detail, next }
}

fn no_workers(row: &QueueRow) -> Option<Condition> {
    let waiting = row.view.depth + row.view.scheduled;
    (row.view.workers == 0 && waiting > 0).then(|| {
        let detail = format!("no live worker serves it; jobs that wait: {waiting}");
        of_queue(Severity::Critical, "no_workers", row, detail, "windlass workers list".to_owned())
    })
}

/// As the rule has it: jobs in line, none claimed, and nobody switched it off on purpose.
fn is_stalled(row: &QueueRow) -> bool {
    let claimable = row.view.depth > row.view.parked && row.view.paused.is_none() && row.view.draining.is_none();
    let old = row.view.oldest_pending_ms.is_some_and(|ms| Duration::from_millis(ms) >= STALLED_AFTER);
    claimable && old && row.dequeued_per_second == Some(0.0)
}

fn stall(row: &QueueRow) -> Condition {
    let oldest = span::brief(Duration::from_millis(row.view.oldest_pending_ms.unwrap_or_default()));
    let detail = format!("none was claimed; in line: {}, the next for {oldest}", row.view.depth);
    of_queue(Severity::Critical, "stalled", row, detail, "windlass workers list".to_owned())
}

/// A worker that is alive and has room, while its queue stands still; or that says so itself.
fn deaf(worker: &WorkerView, stalled: &[&QueueRow]) -> Option<Condition> {
    let serves = |row: &&&QueueRow| worker.queues.iter().any(|q| q.name == row.view.name);
    let has_room = worker.status == "running" && worker.busy < worker.slots;
    let detail = match stalled.iter().find(serves).filter(|_| has_room) {
        _ if worker.status == "deaf" => "its claim loop does not come round".to_owned(),
        Some(row) => format!("free slots: {}, and it claims nothing of {}", worker.slots - worker.busy, row.view.name),
        None => return None,
    };
    Some(Condition {
        severity: Severity::Critical,
        name: "deaf_worker",
        subject: format!("{}:{}", worker.host, worker.pid),
        detail,
        next: "restart that worker; its jobs are claimed by others".to_owned(),
    })
}

fn deep(row: &QueueRow) -> Option<Condition> {
    (row.view.depth > DEEP).then(|| {
        let detail = format!("in line: {}, more than {DEEP}", row.view.depth);
        of_queue(Severity::Warning, "depth_high", row, detail, "windlass queues list".to_owned())
    })
}

/// Many queues, each below its own threshold.
fn deep_together(queues: &[QueueRow]) -> Option<Condition> {
    let sum: u64 = queues.iter().map(|row| row.view.depth).sum();
    (sum > DEEP && queues.iter().all(|row| row.view.depth <= DEEP)).then(|| Condition {
        severity: Severity::Warning,
        name: "depth_high",
        subject: "all queues".to_owned(),
        detail: format!("in line together: {sum}, more than {DEEP}"),
        next: "windlass queues list".to_owned(),
    })
}

fn unknown(row: &QueueRow) -> Option<Condition> {
    let jobs = row.outcome_unknown();
    (jobs > 0).then(|| {
        let detail = format!("held jobs whose effect may have happened: {jobs}");
        let next = format!("windlass jobs list --state held --queue {}", row.view.name);
        of_queue(Severity::Warning, "outcome_unknown", row, detail, next)
    })
}

#[cfg(test)]
mod tests;
