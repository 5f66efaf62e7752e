//! Operator commands against a running server.

use std::io::Write;

use super::process::{ADMIN_KEY, Server, run_in};
use crate::support::calls::{demand, settlement};
use crate::support::jobs::{TestWorker, workspace};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn a_job_is_submitted_listed_shown_cancelled_and_redriven() {
    let redis = TestRedis::start().await;
    let server = Server::start(&redis).await;
    let submit = ["jobs", "submit", "echo", "--workspace", "acme", "--id", "r-1", "--input", "{\"a\":1}", "-o", "json"];
    let job = server.run(&submit).json();
    let id = job["id"].as_str().unwrap();
    let again = server.run(&submit);
    assert!(again.stderr.contains("replayed"), "{}", again.stderr);
    assert_eq!(again.json()["id"], id);
    let list = server.run(&["jobs", "list", "--workspace", "acme", "-o", "json"]).json();
    assert_eq!(list["jobs"].as_array().unwrap().len(), 1);
    assert!(server.run(&["jobs", "show", id]).ok().contains("pending"));
    assert!(server.run(&["why", id]).ok().contains("pending"));
    assert!(server.run(&["jobs", "cancel", id]).ok().contains("cancelled"));
    assert!(server.run(&["jobs", "redrive", id]).ok().contains("pending"));
    let other = ["jobs", "submit", "echo", "--workspace", "acme", "--id", "r-1", "--input", "{\"a\":2}"];
    let refused = server.run(&other);
    assert_eq!(refused.code, 4);
    assert!(refused.stderr.contains("request_id_reused"), "{}", refused.stderr);
}

#[tokio::test]
async fn a_queue_and_a_worker_are_shown_with_what_they_do() {
    let redis = TestRedis::start().await;
    let server = Server::start(&redis).await;
    for request in ["r-1", "r-2"] {
        server.run(&["jobs", "submit", "echo", "--workspace", "acme", "--id", request]).ok();
    }
    server.run(&["queues", "pause", "default", "--reason", "a look"]).ok();
    let text = server.run(&["queues", "show", "default"]).ok();
    for said in ["depth      2, of which", "paused     by ", "a look", "why        ", "workers    none"] {
        assert!(text.contains(said), "{said} is not in\n{text}");
    }
    let none = server.run(&["queues", "show", "nosuch"]);
    assert_eq!(none.code, 3, "{}", none.stderr);
    server.run(&["queues", "resume", "default"]).ok();
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let claimed = worker.claim_one(&store).await;
    let id = worker.id.to_string();
    let text = server.run(&["workers", "show", &id]).ok();
    for said in [&id, "slots ", "heard ", "jobs       1", &claimed.job.id.to_string(), "acme"] {
        assert!(text.contains(said), "{said} is not in\n{text}");
    }
    let found = server.run(&["workers", "show", &id, "-o", "json"]).json();
    assert_eq!(found["jobs"][0]["id"], claimed.job.id.to_string());
    let queue = server.run(&["queues", "show", "default", "-o", "json"]).json();
    assert_eq!((&queue["queue"]["running"], &queue["workers"][0]["id"]), (&1.into(), &id.as_str().into()));
}

#[tokio::test]
async fn a_job_is_followed_to_its_end() {
    let redis = TestRedis::start().await;
    let server = Server::start(&redis).await;
    let job = server.run(&["jobs", "submit", "echo", "--workspace", "acme", "-o", "json"]).json();
    let id = job["id"].as_str().unwrap();
    server.run(&["jobs", "cancel", id]).ok();
    let followed = server.run(&["jobs", "follow", id]);
    assert_eq!(followed.code, 1, "it did not succeed");
    assert!(followed.stderr.contains("cancelled"), "{}", followed.stderr);
    let event = server.run(&["jobs", "follow", id, "-o", "json"]).stdout;
    let event: serde_json::Value = serde_json::from_str(&event).unwrap();
    assert_eq!((&event["event"], &event["data"]["state"]), (&"job".into(), &"cancelled".into()));
    assert_eq!(server.run(&["jobs", "follow", "01dYYPmhqlwgqv9oepz~O0"]).code, 3, "there is no such job");
}

#[tokio::test]
async fn a_queue_is_paused_resumed_and_drained() {
    let redis = TestRedis::start().await;
    let server = Server::start(&redis).await;
    server.run(&["queues", "pause", "default", "--reason", "maintenance"]).ok();
    assert!(server.run(&["queues", "list"]).ok().contains("maintenance"));
    server.run(&["queues", "resume", "default"]).ok();
    server.run(&["queues", "drain", "default"]).ok();
    let refused = server.run(&["jobs", "submit", "echo", "--workspace", "acme"]);
    assert_eq!(refused.code, 4);
    assert!(refused.stderr.contains("queue_draining"), "{}", refused.stderr);
}

#[tokio::test]
async fn a_key_is_made_used_from_a_file_and_revoked() {
    let redis = TestRedis::start().await;
    let server = Server::start(&redis).await;
    let made =
        server.run(&["keys", "create", "--workspace", "acme", "--scope", "jobs:read", "--name", "ci", "-o", "json"]);
    let made = made.json();
    let dir = tempfile::tempdir().unwrap();
    let mut file = std::fs::File::create(dir.path().join("key")).unwrap();
    writeln!(file, "{}", made["key"].as_str().unwrap()).unwrap();
    let list = ["jobs", "list", "--api-key-file", "key", "--url", &server.url];
    run_in(dir.path(), &list, &[("WINDLASS_API_KEY", ADMIN_KEY)]).ok();
    let submit = ["jobs", "submit", "echo", "--api-key-file", "key", "--url", &server.url];
    let refused = run_in(dir.path(), &submit, &[]);
    assert!(refused.code == 4 && refused.stderr.contains("forbidden"), "{}", refused.stderr);
    let listed = server.run(&["keys", "list"]).ok();
    assert!(listed.contains("ci") && !listed.contains(made["key"].as_str().unwrap()), "{listed}");
    server.run(&["keys", "revoke", made["id"].as_str().unwrap()]).ok();
    assert_eq!(run_in(dir.path(), &list, &[]).code, 4);
}

#[tokio::test]
async fn limits_of_a_workspace_are_set_and_shown() {
    let redis = TestRedis::start().await;
    let server = Server::start(&redis).await;
    server.run(&["workspaces", "limits", "acme", "--weight", "3", "--max-running", "20"]).ok();
    server.run(&["workspaces", "limits", "acme", "--max-running", "none"]).ok();
    let limits = server.run(&["workspaces", "limits", "acme", "-o", "json"]).json();
    assert_eq!(limits, serde_json::json!({"weight": 3, "max_running": null, "llm": null}));
    server.run(&["workspaces", "limits", "acme", "--llm-requests", "60", "--llm-usd-per-day", "12.50"]).ok();
    let table = server.run(&["workspaces", "limits", "acme", "--llm-tokens", "9000"]).ok();
    assert!(["60", "9000", "none", "$12.50"].iter().all(|cell| table.contains(cell)), "{table}");
    let limits = server.run(&["workspaces", "limits", "acme", "--llm-default", "-o", "json"]).json();
    assert_eq!(limits, serde_json::json!({"weight": 3, "max_running": null, "llm": null}));
    assert_eq!(server.run(&["workspaces", "limits", "acme", "--llm-tokens", "0"]).code, 2);
}

#[tokio::test]
async fn usage_of_models_is_shown_by_what_is_asked() {
    let redis = TestRedis::start().await;
    let (server, store) = (Server::start(&redis).await, redis.store().await);
    for ws in ["acme", "other"] {
        let call = demand(|d| d.workspace = workspace(ws));
        store.reserve(&call).await.unwrap();
        let mut settlement = settlement(&call, 0);
        settlement.nano_usd = Some(1_500_000_000);
        store.settle(&settlement).await.unwrap();
    }
    let table = server.run(&["usage", "--by", "workspace"]).ok();
    assert!(["acme", "other", "total", "$1.50", "$3.00"].iter().all(|cell| table.contains(cell)), "{table}");
    let report = server.run(&["usage", "-o", "json"]).json();
    assert_eq!((&report["lines"][0]["name"], &report["total"]["calls"]), (&"openai/gpt".into(), &2.into()));
    assert!(server.run(&["usage", "--from", "2020-01-01", "--to", "2020-01-02"]).stderr.contains("(none)"));
    let refused = server.run(&["usage", "--from", "tomorrow"]);
    assert!(refused.code == 4 && refused.stderr.contains("invalid_query"), "{}", refused.stderr);
    assert_eq!(server.run(&["providers", "list", "-o", "json"]).json(), serde_json::json!({"providers": []}));
}
