//! Every operation of the OpenAPI document against every kind of key. A route that is served and
//! not in this table, or the other way round, fails.

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use crate::support::api::{Api, send};

const READ: &str = "jobs:read";
const WRITE: &str = "jobs:write";
const APPROVE: &str = "jobs:approve";
const STATS: &str = "queue:stats";
const OPERATE: &str = "queue:operate";
const METRICS: &str = "metrics:read";
const ADMIN: &str = "workspace:admin";
const SYSTEM: &str = "system:admin";

/// Operation, the scope it takes (`None`: open to all), and whether the key must be bound to none.
const TABLE: &[(&str, Option<&str>, bool)] = &[
    ("create_job", Some(WRITE), false),
    ("create_jobs", Some(WRITE), false),
    ("list_jobs", Some(READ), false),
    ("get_job", Some(READ), false),
    ("cancel_job", Some(WRITE), false),
    ("redrive_job", Some(WRITE), false),
    ("watch_jobs", Some(READ), false),
    ("follow_job", Some(READ), false),
    ("why_job", Some(READ), false),
    ("get_effects", Some(READ), false),
    ("approve_job", Some(APPROVE), false),
    ("reject_job", Some(APPROVE), false),
    ("resolve_job", Some(OPERATE), false),
    ("release_job", Some(OPERATE), false),
    ("open_websocket", Some(READ), false),
    ("list_types", Some(READ), false),
    ("list_queues", Some(OPERATE), true),
    ("get_queue", Some(OPERATE), true),
    ("pause_queue", Some(OPERATE), true),
    ("resume_queue", Some(OPERATE), true),
    ("drain_queue", Some(OPERATE), true),
    ("why_queue", Some(OPERATE), true),
    ("queue_stats", Some(STATS), true),
    ("list_workers", Some(OPERATE), true),
    ("get_worker", Some(OPERATE), true),
    ("quiet_worker", Some(OPERATE), true),
    ("resume_worker", Some(OPERATE), true),
    ("stop_worker", Some(OPERATE), true),
    ("list_dead_letters", Some(OPERATE), true),
    ("begin_operation", Some(OPERATE), false),
    ("list_operations", Some(OPERATE), false),
    ("get_operation", Some(OPERATE), false),
    ("stop_operation", Some(OPERATE), false),
    ("resume_operation", Some(OPERATE), false),
    ("list_providers", Some(OPERATE), true),
    ("list_provider_models", Some(OPERATE), true),
    ("test_provider", Some(OPERATE), true),
    ("get_usage", Some(READ), false),
    ("list_keys", Some(ADMIN), false),
    ("create_key", Some(ADMIN), false),
    ("revoke_key", Some(ADMIN), false),
    ("get_limits", Some(ADMIN), false),
    ("set_limits", Some(SYSTEM), true),
    ("get_actions", Some(ADMIN), false),
    ("set_actions", Some(ADMIN), false),
    ("remove_actions", Some(ADMIN), false),
    ("disable_actions", Some(ADMIN), false),
    ("enable_actions", Some(ADMIN), false),
    ("list_credentials", Some(ADMIN), false),
    ("put_credential", Some(ADMIN), false),
    ("remove_credential", Some(ADMIN), false),
    ("test_credential", Some(ADMIN), false),
    ("get_log_level", Some(SYSTEM), true),
    ("set_log_level", Some(SYSTEM), true),
    ("reset_log_level", Some(SYSTEM), true),
    ("rotate_credentials", Some(SYSTEM), true),
    ("healthz", None, false),
    ("ready", None, false),
    ("health", None, false),
    ("health_detailed", Some(OPERATE), true),
    ("meta", None, false),
    ("metrics", None, false),
    ("openapi", None, false),
];

/// Scopes that let a key of a workspace do what takes another one with a key for all.
fn alternatives(id: &str) -> &'static [&'static str] {
    match id {
        "begin_operation" | "stop_operation" | "resume_operation" => &[WRITE],
        "list_operations" | "get_operation" => &[READ, WRITE],
        _ => &[],
    }
}

/// Method, path and id of every operation of the document.
fn operations() -> Vec<(Method, String, String)> {
    let document: Value = serde_json::from_str(&windlass::http::openapi_json()).expect("JSON");
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            let method = method.to_uppercase().parse().expect("a method");
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            // A stream that goes on would never be read to its end: this one is refused, after its key was looked at.
            let query = if id == "watch_jobs" { "?state=nonsense" } else { "" };
            all.push((
                method,
                format!("{path}{query}")
                    .replace("{id}", "x")
                    .replace("{queue}", "q")
                    .replace("{provider}", "p")
                    .replace("{workspace}", "ws"),
                id,
            ));
        }
    }
    all
}

fn row(id: &str) -> (Option<&'static str>, bool) {
    let row = TABLE.iter().find(|(name, ..)| *name == id).unwrap_or_else(|| panic!("{id} is not in the table"));
    (row.1, row.2)
}

#[test]
fn the_table_and_the_document_have_the_same_operations() {
    let served: BTreeSet<String> = operations().into_iter().map(|(_, _, id)| id).collect();
    let listed: BTreeSet<String> = TABLE.iter().map(|(id, ..)| (*id).to_owned()).collect();
    assert_eq!(served, listed);
}

#[tokio::test]
async fn without_a_key_only_open_operations_answer() {
    let api = Api::start().await;
    for (method, path, id) in operations() {
        let open = row(&id).0.is_none();
        for key in [None, Some("wl_wrong")] {
            let mut request = api.request(method.clone(), &path);
            if let Some(key) = key {
                request = request.bearer_auth(key);
            }
            let status = send(request).await.status;
            assert_eq!(status == 401, !open, "{id} with {key:?} answered {status}");
        }
    }
}

#[tokio::test]
async fn each_operation_takes_its_scope_and_no_other() {
    let api = Api::start().await;
    for scope in [READ, WRITE, APPROVE, STATS, OPERATE, METRICS, ADMIN, SYSTEM] {
        for workspace in ["ws", "*"] {
            let key = api.key(workspace, &[scope]).await;
            for (method, path, id) in operations() {
                let (Some(needed), fleet) = row(&id) else { continue };
                let own = workspace != "*" && alternatives(&id).contains(&scope);
                // What an autoscaler may read, an operator may too.
                let enough = scope == needed || scope == SYSTEM || (needed == STATS && scope == OPERATE);
                let may = own || enough && (!fleet || workspace == "*");
                let answer = send(api.request(method, &path).bearer_auth(&key)).await;
                assert_eq!(answer.status != 403, may, "{id} with {scope} on {workspace}: {answer:?}");
            }
        }
    }
}
