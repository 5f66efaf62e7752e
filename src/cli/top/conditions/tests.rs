//! Each condition holds when it should, and stays quiet otherwise.

use super::super::fixtures::{queue, ready, worker};
use super::*;

fn names(queues: &[QueueRow], workers: &[WorkerView]) -> Vec<(&'static str, String)> {
    all(queues, workers, &ready()).into_iter().map(|c| (c.name, c.subject)).collect()
}

fn stuck() -> QueueRow {
    let mut row = queue("mail");
    row.view.depth = 5;
    row.view.workers = 1;
    row.view.oldest_pending_ms = Some(61_000);
    row.dequeued_per_second = Some(0.0);
    row
}

#[test]
fn a_quiet_fleet_has_none() {
    assert_eq!(names(&[queue("a")], &[worker("host", &["a"])]), []);
}

#[test]
fn jobs_without_a_worker_are_told_first() {
    let mut row = queue("mail");
    row.view.depth = 3;
    row.view.workers = 0;
    assert_eq!(names(&[row], &[]), [("no_workers", "mail".to_owned())]);
}

#[test]
fn a_stall_names_the_workers_that_have_room() {
    let mut full = worker("full", &["mail"]);
    full.busy = full.slots;
    let workers = [worker("idle", &["mail"]), full, worker("elsewhere", &["other"])];
    assert_eq!(names(&[stuck()], &workers), [("stalled", "mail".to_owned()), ("deaf_worker", "idle:7".to_owned())]);
}

#[test]
fn a_worker_that_says_that_it_is_deaf_is_believed() {
    let mut deaf = worker("host", &["a"]);
    deaf.status = "deaf".to_owned();
    assert_eq!(names(&[queue("a")], &[deaf]), [("deaf_worker", "host:7".to_owned())]);
}

#[test]
fn a_pause_a_claim_or_a_young_job_is_no_stall() {
    let switch = serde_json::from_value(serde_json::json!({"by": "x", "at": "x", "reason": ""})).expect("a switch");
    let switch = Some(switch);
    let changes: [fn(&mut QueueRow, Option<crate::api::queue::SwitchView>); 6] = [
        |row, switch| row.view.paused = switch,
        |row, switch| row.view.draining = switch,
        |row, _| row.dequeued_per_second = Some(0.5),
        |row, _| row.dequeued_per_second = None,
        |row, _| row.view.parked = row.view.depth,
        |row, _| row.view.oldest_pending_ms = Some(59_000),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut row = stuck();
        change(&mut row, switch.clone());
        assert_eq!(names(&[row], &[worker("idle", &["mail"])]), [], "{number}");
    }
}

#[test]
fn depth_is_judged_per_queue_and_together() {
    let row = |name: &str, depth| {
        let mut row = queue(name);
        row.view.depth = depth;
        row
    };
    assert_eq!(names(&[row("a", 1000)], &[]), []);
    assert_eq!(names(&[row("a", 1001)], &[]), [("depth_high", "a".to_owned())]);
    assert_eq!(names(&[row("a", 600), row("b", 600)], &[]), [("depth_high", "all queues".to_owned())]);
}

#[test]
fn held_effects_and_redis_are_told_and_the_worst_stands_first() {
    let mut row = queue("mail");
    row.view.held_by.insert("outcome_unknown".to_owned(), 2);
    let mut ready = ready();
    ready.checks.entry("eviction".into()).and_modify(|check| check.status = "failed".into());
    let found = all(&[row], &[], &ready);
    assert_eq!((found[0].name, found[0].severity), ("redis_unsafe", Severity::Critical));
    assert_eq!(
        (found[1].name, found[1].next.as_str()),
        ("outcome_unknown", "windlass jobs list --state held --queue mail")
    );
}
