//! What the server answers fits the OpenAPI document.

use http::Method;
use serde_json::{Value, json};

use crate::support::api::{ADMIN, Answer, Api, send};
use crate::support::jobs::{TestWorker, death, failure, success};

/// The document, asked by operation.
struct Document(Value);

impl Document {
    fn load() -> Self {
        Self(serde_json::from_str(&windlass::http::openapi_json()).expect("JSON"))
    }

    fn operation(&self, id: &str) -> &Value {
        let paths = self.0["paths"].as_object().expect("paths");
        let mut all = paths.values().flat_map(|item| item.as_object().expect("an item").values());
        all.find(|operation| operation["operationId"] == id).unwrap_or_else(|| panic!("no operation {id}"))
    }

    /// Checks an answer's status and body against what the document says of it.
    fn check(&self, id: &str, answer: &Answer) {
        let responses = &self.operation(id)["responses"];
        let listed = responses.get(answer.status.to_string());
        assert!(listed.is_some() || answer.status >= 400, "{id}: {} is not documented", answer.status);
        let response = listed.unwrap_or(&responses["default"]);
        let media = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
        let Some(content) = response["content"].as_object() else {
            assert!(answer.text.is_empty(), "{id}: a body that is not documented");
            return;
        };
        let schema = &content.get(media).unwrap_or_else(|| panic!("{id}: {media} is not documented"))["schema"];
        if !media.ends_with("json") {
            return;
        }
        let schema = json!({"allOf": [schema], "components": self.0["components"]});
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let errors: Vec<String> =
            validator.iter_errors(&answer.json()).map(|e| format!("{} {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{id}: {errors:?}\n{}", answer.text);
    }
}

#[tokio::test]
async fn answers_about_jobs_fit_the_document() {
    let (api, document) = (Api::start().await, Document::load());
    let key = api.client_key("acme").await;
    let worker = TestWorker::register(&api.store).await;
    let created = api.submit(&key, "r1").await;
    document.check("create_job", &created);
    document.check("create_job", &api.submit(&key, "r1").await);
    document.check("create_job", &api.post(&key, "/ai/jobs", &json!({"x": 1})).await);
    let path = format!("/ai/jobs/{}", created.id());
    document.check("get_job", &api.get(&key, &path).await);
    document.check("why_job", &api.get(&key, &format!("{path}/why")).await);
    let claimed = worker.claim_one(&api.store).await;
    document.check("get_job", &api.get(&key, &path).await);
    worker.end(&api.store, &claimed, death()).await;
    document.check("get_job", &api.get(&key, &path).await);
    document.check("list_dead_letters", &api.get(ADMIN, "/dead-letters").await);
    document.check(
        "list_dead_letters",
        &api.get(ADMIN, &format!("/dead-letters?fingerprint={}", failure().fingerprint)).await,
    );
    document.check("redrive_job", &api.command(&key, &format!("{path}/redrive")).await);
    let claimed = worker.claim_one(&api.store).await;
    worker.end(&api.store, &claimed, success()).await;
    document.check("cancel_job", &api.command(&key, &format!("{path}/cancel")).await);
    document.check("follow_job", &api.get(&key, &format!("{path}/events")).await);
    let batch = json!([{"client_request_id": "r2", "type": "echo"}, {"client_request_id": "r3"}]);
    document.check("create_jobs", &api.post(&key, "/ai/jobs/batch", &batch).await);
    document.check("list_jobs", &api.get(&key, "/ai/jobs?limit=1").await);
    document.check("list_jobs", &api.get(&key, "/ai/jobs?limit=0").await);
    document.check("list_types", &api.get(&key, "/ai/types").await);
}

#[tokio::test]
async fn answers_to_operators_fit_the_document() {
    let (api, document) = (Api::start().await, Document::load());
    let _worker = TestWorker::register(&api.store).await;
    document.check("pause_queue", &api.post(ADMIN, "/queues/default/pause", &json!({"reason": "x"})).await);
    document.check("drain_queue", &api.command(ADMIN, "/queues/default/drain").await);
    document.check("list_queues", &api.get(ADMIN, "/queues").await);
    document.check("get_queue", &api.get(ADMIN, "/queues/default").await);
    document.check("get_queue", &api.get(ADMIN, "/queues/none").await);
    document.check("resume_queue", &api.command(ADMIN, "/queues/default/resume").await);
    document.check("begin_operation", &api.post(ADMIN, "/operations", &json!({"action": "redrive"})).await);
    let all = json!({"action": "redrive", "all": true, "dry_run": false, "note": "x", "expected": 3});
    let begun = api.post(ADMIN, "/operations", &all).await;
    document.check("begin_operation", &begun);
    document.check("begin_operation", &api.post(ADMIN, "/operations", &json!({"action": "undo"})).await);
    document.check("list_operations", &api.get(ADMIN, "/operations").await);
    let path = format!("/operations/{}", begun.json()["id"].as_str().expect("an id"));
    document.check("get_operation", &api.get(ADMIN, &path).await);
    document.check("stop_operation", &api.command(ADMIN, &format!("{path}/stop")).await);
    document.check("resume_operation", &api.post(ADMIN, &format!("{path}/resume"), &json!({"rate": 7})).await);
    document.check("list_workers", &api.get(ADMIN, "/workers").await);
    let worker = TestWorker::register(&api.store).await;
    document.check("get_worker", &api.get(ADMIN, &format!("/workers/{}", worker.id)).await);
    let made = api.post(ADMIN, "/keys", &json!({"workspace": "a", "scopes": ["jobs:read"]})).await;
    document.check("create_key", &made);
    document.check("list_keys", &api.get(ADMIN, "/keys").await);
    let path = format!("/keys/{}", made.json()["id"].as_str().expect("an id"));
    document.check("revoke_key", &send(api.request(Method::DELETE, &path).bearer_auth(ADMIN)).await);
    document.check("list_providers", &api.get(ADMIN, "/providers").await);
    document.check("get_usage", &api.get(ADMIN, "/usage").await);
    document.check("get_limits", &api.get(ADMIN, "/workspaces/a/limits").await);
    let put = api.request(Method::PUT, "/workspaces/a/limits").bearer_auth(ADMIN).json(&json!({"max_running": 2}));
    document.check("set_limits", &send(put).await);
}

#[tokio::test]
async fn open_answers_fit_the_document() {
    let (api, document) = (Api::start().await, Document::load());
    for (id, path) in [
        ("healthz", "/healthz"),
        ("ready", "/ready"),
        ("health", "/health"),
        ("meta", "/meta"),
        ("metrics", "/metrics"),
        ("openapi", "/openapi.json"),
    ] {
        document.check(id, &api.get("", path).await);
    }
}
