//! Figures for autoscalers.

use serde_json::{Value, json};

use crate::support::api::{ADMIN, Api};
use crate::support::jobs::{TestWorker, enqueue_many, enqueue_new, from_now, shaped, until_past};

/// The value at a path such as `queues.default.pending`, as a scaler looks it up.
fn at<'a>(stats: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(stats, |value, part| &value[part])
}

#[tokio::test]
async fn figures_are_there_without_a_worker_and_lead_to_numbers() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let idle = api.get(ADMIN, "/queues/stats").await.json();
    assert_eq!(at(&idle, "queues.default.suggested_workers"), &json!(0));
    for n in 0..3 {
        api.submit(&key, &format!("r{n}")).await;
    }
    let scaler = api.key("*", &["queue:stats"]).await;
    let stats = api.get(&scaler, "/queues/stats?queue=default").await.json();
    for part in ["queues.default", "total"] {
        let figures = at(&stats, part);
        assert!(
            figures.as_object().is_some_and(|all| all.len() == 13 && all.values().all(Value::is_number)),
            "{stats}"
        );
        assert_eq!(
            (&figures["pending"], &figures["workers"], &figures["suggested_workers"]),
            (&json!(3), &json!(0), &json!(1))
        );
    }
    for path in ["/queues", "/queues/default", "/workers", "/queues/default/why"] {
        assert_eq!(api.get(&scaler, path).await.status, 403, "the scope allows nothing else: {path}");
    }
    for (query, status) in [("queue=other", 404), ("queue=A", 400), ("drain_seconds=0", 400), ("x=1", 400)] {
        assert_eq!(api.get(&scaler, &format!("/queues/stats?{query}")).await.status, status, "{query}");
    }
}

#[tokio::test]
async fn what_runs_is_never_scaled_in_and_a_paused_line_wants_nobody() {
    let api = Api::start().await;
    let worker = TestWorker::register(&api.store).await;
    enqueue_many(&api.store, "acme", "r", 600, |_| {}).await;
    assert_eq!(worker.claim(&api.store, 9).await.len(), 9);
    // Nothing was noted yet: an attempt is taken for a second, and a worker here has 4 slots.
    let quick = api.get(ADMIN, "/queues/stats?drain_seconds=1").await.json();
    assert_eq!(at(&quick, "queues.default.suggested_workers"), &json!(148), "591 slots");
    let slow = api.get(ADMIN, "/queues/stats?drain_seconds=86400").await.json();
    assert_eq!(at(&slow, "queues.default.suggested_workers"), &json!(3), "9 run");
    assert_eq!((at(&slow, "total.slots"), at(&slow, "total.workers")), (&json!(4), &json!(1)));
    api.command(ADMIN, "/queues/default/pause").await;
    let paused = api.get(ADMIN, "/queues/stats?drain_seconds=1").await.json();
    assert_eq!(at(&paused, "queues.default.suggested_workers"), &json!(3));
}

#[tokio::test]
async fn a_job_whose_time_has_come_wants_a_worker_when_there_is_none() {
    let api = Api::start().await;
    let at = from_now(&api.store, 1500).await;
    enqueue_new(&api.store, shaped("acme", "later", |spec| spec.run_at = Some(at))).await;
    let wanted = async || {
        let stats = api.get(ADMIN, "/queues/stats").await.json();
        let figure = |name: &str| stats["queues"]["default"][name].clone();
        (figure("pending"), figure("suggested_workers"))
    };
    assert_eq!(wanted().await, (json!(0), json!(0)), "its time is not there yet");
    until_past(&api.store, at).await;
    assert_eq!(wanted().await, (json!(0), json!(1)), "only a claim puts it in line");
}
