//! `METRICS_AUTH=token`, on the API and on workers; and health with everything behind it.

use serde_json::{Value, json};

use super::process::{ADMIN_KEY, Patience, Role, http, run};
use super::roles::worker;
use crate::support::redis::TestRedis;

const TOKEN: &str = "a-token-for-prometheus";

async fn scrape(role: &Role, key: Option<&str>) -> (u16, String, String) {
    let client = http();
    let mut request = client.get(format!("{}/metrics", role.url));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let answer = request.send().await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (answer.status().as_u16(), kind, answer.text().await.unwrap())
}

#[tokio::test]
async fn a_closed_metrics_page_takes_its_token_or_a_key_for_it() {
    let redis = TestRedis::start().await;
    let own = [("METRICS_AUTH", "token"), ("METRICS_TOKEN", TOKEN), ("WINDLASS_ADMIN_KEY", ADMIN_KEY)];
    let (server, worker) = (Role::serve(&redis, &own), worker(&redis, &own));
    server.wait_ready().await;
    let key = |scope: &str| {
        let arguments = ["keys", "create", "--workspace", "*", "--scope", scope, "-o", "json"];
        let made = run(&arguments, &[("WINDLASS_URL", &server.url), ("WINDLASS_API_KEY", ADMIN_KEY)]).json();
        made["key"].as_str().unwrap().to_owned()
    };
    let (reader, other) = (key("metrics:read"), key("jobs:read"));
    for role in [&server, &worker] {
        for good in [TOKEN, &reader, ADMIN_KEY] {
            let (status, _, text) = scrape(role, Some(good)).await;
            assert_eq!(status, 200, "{text}");
            assert!(text.contains("windlass_build_info") && !text.contains(TOKEN), "{text}");
        }
        for (bad, expected, code) in [
            (None, 401, "unauthorized"),
            (Some("a-token-for-prometheuS"), 401, "unauthorized"),
            (Some(other.as_str()), 403, "forbidden"),
        ] {
            let (status, kind, text) = scrape(role, bad).await;
            let problem: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((status, kind.as_str(), &problem["code"]), (expected, "application/problem+json", &json!(code)));
            assert!(problem["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{problem}");
        }
    }
    for told in [server.wrote(), worker.wrote()] {
        assert!(!told.contains(TOKEN) && !told.contains(&reader), "a secret in the log");
    }
}

#[tokio::test]
async fn top_shows_held_jobs_to_who_may_not_read_metrics() {
    let redis = TestRedis::start().await;
    let own = [("METRICS_AUTH", "token"), ("METRICS_TOKEN", TOKEN), ("WINDLASS_ADMIN_KEY", ADMIN_KEY)];
    let server = Role::serve(&redis, &own);
    server.wait_ready().await;
    let as_admin =
        |arguments: &[&str]| run(arguments, &[("WINDLASS_URL", &server.url), ("WINDLASS_API_KEY", ADMIN_KEY)]);
    let made = as_admin(&["keys", "create", "--workspace", "*", "--scope", "queue:operate", "-o", "json"]).json();
    let key = made["key"].as_str().unwrap();
    as_admin(&["jobs", "submit", "echo", "--workspace", "acme", "--queue", "mail"]).ok();
    as_admin(&["jobs", "hold", "--queue", "mail", "--yes"]).ok();
    let arguments = ["top", "--output", "json", "--interval", "250ms"];
    let found = run(&arguments, &[("WINDLASS_URL", &server.url), ("WINDLASS_API_KEY", key)]).json();
    let mail = found["queues"].as_array().unwrap().iter().find(|queue| queue["name"] == "mail").unwrap();
    assert_eq!(mail["held_by"]["operator"], 1, "{found}");
}

#[tokio::test]
async fn the_token_works_while_redis_is_away() {
    let mut redis = TestRedis::start().await;
    let server = Role::serve(&redis, &[("METRICS_AUTH", "token"), ("METRICS_TOKEN", TOKEN)]);
    server.wait_ready().await;
    redis.kill();
    assert_eq!(scrape(&server, Some(TOKEN)).await.0, 200);
    assert_eq!(scrape(&server, Some("wl_some_key")).await.0, 503);
}

#[tokio::test]
async fn health_in_detail_names_process_redis_workers_and_providers() {
    let mut redis = TestRedis::start_durable().await;
    let own = [("WINDLASS_ADMIN_KEY", ADMIN_KEY), ("LLM_URL", "http://127.0.0.1:9/v1"), ("LLM_MODEL", "m")];
    let (server, worker) = (Role::serve(&redis, &own), worker(&redis, &[("WORKER_CONCURRENCY", "3")]));
    server.wait_ready().await;
    worker.wait_ready().await;
    let client = http();
    let ask = async || {
        let request = client.get(format!("{}/health/detailed", server.url)).bearer_auth(ADMIN_KEY);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.unwrap()
    };
    let patience = Patience::for_what("the worker");
    let health = loop {
        let health = ask().await;
        if health["workers"]["live"] == 1 {
            break health;
        }
        patience.pause().await;
    };
    assert_eq!((&health["status"], &health["services"]["database"]), (&json!("ok"), &json!("ok")), "{health}");
    assert!(health["memory"]["resident_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{health}");
    assert!(health["cpu"]["percent"].is_number() && health["cpu"]["cores"].as_u64() >= Some(1), "{health}");
    assert_eq!((&health["workers"]["slots"], &health["workers"]["deaf"]), (&json!(3), &json!(0)));
    let found = &health["redis"];
    assert_eq!(
        (&found["status"], &found["role"], &found["policy"]),
        (&json!("ok"), &json!("master"), &json!("noeviction"))
    );
    assert!(found["latency_ms"].is_number() && found["used_memory_bytes"].as_u64() > Some(0), "{found}");
    assert!(found["version"].is_string() && found["replicas"] == 0 && found["shards_away"] == 0, "{found}");
    let provider = &health["providers"][0];
    assert_eq!((&provider["name"], &provider["models"]), (&json!("local"), &json!(1)), "{health}");
    assert!(provider["status"].is_string() && provider["probe"].is_null(), "{provider}");

    redis.kill();
    let patience = Patience::for_what("Redis away");
    loop {
        let health = ask().await;
        if health["redis"]["status"] == "error" {
            assert_eq!(health["status"], "degraded");
            assert!(health["redis"]["error"].is_string() && health["workers"]["error"].is_string(), "{health}");
            break;
        }
        patience.pause().await;
    }
}
