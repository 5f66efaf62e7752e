//! What operators see and do.

use serde_json::json;
use windlass::domain::WorkerId;

use crate::support::api::{ADMIN, Api};
use crate::support::jobs::{TestWorker, success};

#[tokio::test]
async fn queues_show_their_figures() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let listed = api.get(ADMIN, "/queues").await.json();
    assert_eq!((&listed["queues"][0]["name"], &listed["queues"][0]["depth"]), (&json!("default"), &json!(0)));
    api.submit(&key, "r1").await;
    api.submit(&key, "r2").await;
    let worker = TestWorker::register(&api.store).await;
    worker.claim_one(&api.store).await;
    let queue = api.get(ADMIN, "/queues/default").await.json();
    for (field, value) in
        [("depth", 1), ("running", 1), ("workers", 1), ("enqueued_total", 2), ("dequeued_total", 1), ("dead", 0)]
    {
        assert_eq!(queue[field], value, "{field}: {queue}");
    }
    let missing = api.get(ADMIN, "/queues/nothing").await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "not_found"));
    assert_eq!(api.get(ADMIN, "/queues/%7Bx%7D").await.status, 404);
}

#[tokio::test]
async fn a_paused_queue_hands_out_nothing_until_it_is_resumed() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let paused = api.post(ADMIN, "/queues/default/pause", &json!({"reason": "db work"})).await;
    assert_eq!((paused.status, &paused.json()["paused"]["reason"]), (200, &json!("db work")));
    assert_eq!(api.submit(&key, "r1").await.status, 202);
    let worker = TestWorker::register(&api.store).await;
    assert_eq!(worker.claim(&api.store, 1).await.len(), 0);
    let resumed = api.command(ADMIN, "/queues/default/resume").await;
    assert_eq!(resumed.json()["paused"], json!(null));
    assert_eq!(worker.claim(&api.store, 1).await.len(), 1);
}

#[tokio::test]
async fn a_type_or_a_workspace_can_be_paused_alone() {
    let api = Api::start().await;
    let (a, b) = (api.client_key("a").await, api.client_key("b").await);
    api.post(ADMIN, "/queues/default/pause", &json!({"workspace": "a"})).await;
    api.submit(&a, "r1").await;
    api.submit(&b, "r1").await;
    let worker = TestWorker::register(&api.store).await;
    let claimed = worker.claim(&api.store, 2).await;
    let workspaces: Vec<_> = claimed.iter().map(|c| c.job.workspace.to_string()).collect();
    assert_eq!(workspaces, ["b"]);
    api.post(ADMIN, "/queues/default/resume", &json!({"workspace": "a"})).await;
    assert_eq!(worker.claim(&api.store, 2).await.len(), 1);
}

#[tokio::test]
async fn bad_commands_are_refused() {
    let api = Api::start().await;
    for (path, body, pointer) in [
        ("pause", json!({"type": "a", "workspace": "b"}), "/workspace"),
        ("pause", json!({"type": "A"}), "/type"),
        ("pause", json!({"reason": "x".repeat(501)}), "/reason"),
        ("resume", json!({"force": true}), "/force"),
        ("drain", json!({"type": "echo"}), "/type"),
    ] {
        let answer = api.post(ADMIN, &format!("/queues/default/{path}"), &body).await;
        assert_eq!((answer.status, answer.pointers()), (400, vec![pointer.to_owned()]), "{body}");
    }
    assert_eq!(api.get(ADMIN, "/queues/default").await.json()["paused"], json!(null));
}

#[tokio::test]
async fn workers_are_listed() {
    let api = Api::start().await;
    let worker = TestWorker::register(&api.store).await;
    let listed = api.get(ADMIN, "/workers").await.json();
    assert_eq!(listed["workers"][0]["id"], worker.id.to_string());
    assert_eq!(listed["workers"][0]["queues"], json!([{"name": "default", "weight": 1}]));
}

#[tokio::test]
async fn a_worker_is_shown_with_the_jobs_that_it_holds() {
    let api = Api::start().await;
    let workers = [TestWorker::register(&api.store).await, TestWorker::register(&api.store).await];
    let shown = async |worker: &TestWorker| api.get(ADMIN, &format!("/workers/{}", worker.id)).await.json();
    assert_eq!(shown(&workers[0]).await["jobs"], json!([]));
    let key = api.client_key("acme").await;
    for request in ["a", "b", "c"] {
        assert_eq!(api.submit(&key, request).await.status, 202);
    }
    let own = workers[0].claim(&api.store, 2).await;
    let other = workers[1].claim_one(&api.store).await;
    let found = shown(&workers[0]).await;
    assert_eq!((&found["worker"]["id"], &found["jobs_complete"]), (&json!(workers[0].id.to_string()), &json!(true)));
    let jobs = found["jobs"].as_array().unwrap();
    let ids: std::collections::BTreeSet<&str> = jobs.iter().map(|job| job["id"].as_str().unwrap()).collect();
    let claimed: Vec<String> = own.iter().map(|claimed| claimed.job.id.to_string()).collect();
    assert_eq!(ids, claimed.iter().map(String::as_str).collect());
    assert_eq!((&jobs[0]["workspace"], &jobs[0]["attempt"]), (&json!("acme"), &json!(1)));
    workers[0].end(&api.store, &own[0], success()).await;
    assert_eq!(shown(&workers[0]).await["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(shown(&workers[1]).await["jobs"][0]["id"], other.job.id.to_string());
    for unknown in ["x", &WorkerId::fresh().to_string()] {
        assert_eq!(api.get(ADMIN, &format!("/workers/{unknown}")).await.status, 404);
    }
}

#[tokio::test]
async fn types_come_with_their_schemas() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let listed = api.get(&key, "/ai/types").await.json();
    let types = listed["types"].as_array().expect("types");
    let by_name = |name: &str| types.iter().find(|t| t["type"] == name).expect("the type");
    assert_eq!((&by_name("echo")["allowed"], &by_name("webhook.send")["allowed"]), (&json!(true), &json!(false)));
    assert!(by_name("sleep")["input_schema"].is_object());
}
