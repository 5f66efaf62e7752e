//! A small fleet for the tests of `top`.

use serde_json::json;

use super::read::{QueueRow, Snapshot};
use crate::api::health::{CheckView, Ready};
use crate::api::queue::QueueView;
use crate::api::worker::WorkerView;

pub(super) fn queue(name: &str) -> QueueRow {
    // Read as an answer is, so that fields with a default need not stand here.
    let view: QueueView = serde_json::from_value(json!({
        "name": name, "depth": 0, "parked": 0, "scheduled": 0, "running": 0, "held": 0, "dead": 0, "workers": 1,
        "enqueued_total": 0, "dequeued_total": 0, "lease_expiries_total": 0, "finished_total": {},
    }))
    .expect("a queue");
    QueueRow { view, enqueued_per_second: None, dequeued_per_second: None }
}

pub(super) fn worker(host: &str, queues: &[&str]) -> WorkerView {
    let queues: Vec<_> = queues.iter().map(|name| json!({"name": name, "weight": 1})).collect();
    serde_json::from_value(json!({
        "id": format!("{host}-id"), "host": host, "pid": 7, "version": "0", "queues": queues, "types": [],
        "slots": 8, "busy": 0, "status": "running", "state": "active",
        "started_at": "2026-01-01T00:00:00.000Z", "seen_at": "2026-01-01T00:00:00.000Z",
    }))
    .expect("a worker")
}

pub(super) fn ready() -> Ready {
    let check = CheckView { status: "ok".to_owned(), detail: "noeviction".to_owned(), remedy: None };
    Ready {
        ready: true,
        degraded: false,
        durability: "everysec".to_owned(),
        checks: [("eviction".to_owned(), check)].into(),
    }
}

pub(super) fn snapshot(queues: Vec<QueueRow>) -> Snapshot {
    Snapshot {
        at: "2026-01-01T00:00:02.000Z".to_owned(),
        url: "http://127.0.0.1:8000/".to_owned(),
        ready: ready(),
        conditions: Vec::new(),
        queues,
        workers: vec![worker("host", &["a"])],
        dead_letters: Vec::new(),
        taken: crate::clock::now(),
    }
}
