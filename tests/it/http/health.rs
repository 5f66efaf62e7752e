//! Health, readiness, metrics: open to all, and true.

use serde_json::json;

use crate::support::api::{ADMIN, Api};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn a_healthy_server_says_so_to_everyone() {
    let api = Api::start().await;
    assert_eq!(api.get("", "/healthz").await.json(), json!({"status": "healthy"}));
    let ready = api.get("", "/ready").await;
    assert_eq!((ready.status, &ready.json()["ready"], &ready.json()["degraded"]), (200, &json!(true), &json!(false)));
    assert_eq!(
        (&ready.json()["durability"], &ready.json()["checks"]["redis"]["status"]),
        (&json!("everysec"), &json!("ok"))
    );
    let health = api.get("", "/health").await.json();
    assert_eq!(health["status"], "ok");
    assert_eq!(
        health["services"],
        json!({"llm": "disabled", "database": "ok", "websocket": "ok", "github": "disabled"})
    );
    for field in ["timestamp", "uptime", "environment", "version"] {
        assert!(!health[field].is_null(), "{field}");
    }
    let meta = api.get("", "/meta").await.json();
    assert!(meta["features"].is_array() && meta["version"].is_string() && meta["api_version"].is_string());
}

#[tokio::test]
async fn a_server_that_evicts_is_not_ready_and_takes_no_jobs() {
    let redis = TestRedis::start_with(&["--maxmemory-policy", "allkeys-lru"]).await;
    let api = Api::start_with(redis, |_, _| {}).await;
    let key = api.client_key("acme").await;
    let ready = api.get("", "/ready").await;
    assert_eq!((ready.status, &ready.json()["ready"]), (503, &json!(false)));
    let policy = &ready.json()["checks"]["policy"];
    assert_eq!(policy["status"], "failed");
    assert!(policy["remedy"].as_str().is_some_and(|r| r.contains("noeviction")), "{policy}");
    let refused = api.submit(&key, "r1").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "redis_unsafe"));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(api.get("", "/health").await.json()["status"], "degraded");
}

#[tokio::test]
async fn a_server_without_an_append_only_file_is_ready_with_a_risk() {
    let redis = TestRedis::start_with(&["--appendonly", "no"]).await;
    let api = Api::start_with(redis, |_, _| {}).await;
    let ready = api.get("", "/ready").await.json();
    assert_eq!((&ready["ready"], &ready["degraded"]), (&json!(true), &json!(true)));
    assert_eq!(ready["checks"]["persistence"]["status"], "degraded");
}

#[tokio::test]
async fn metrics_show_the_fleet_without_any_worker() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let has = |text: &str, line: &str| text.lines().any(|l| l == line);
    let empty = api.get("", "/metrics").await;
    assert!(empty.header("content-type").is_some_and(|t| t.starts_with("text/plain; version=0.0.4")));
    for name in ["ai_queue_depth_total", "ai_queue_enqueue_total", "ai_queue_dequeue_total", "ai_queue_workers"] {
        assert!(has(&empty.text, &format!("{name}{{queue=\"default\"}} 0")), "{name}:\n{}", empty.text);
    }
    api.submit(&key, "r1").await;
    api.post(ADMIN, "/queues/default/pause", &json!({})).await;
    let mut text = api.get("", "/metrics").await.text;
    // One reading serves all scrapes of half a second.
    while !has(&text, "ai_queue_depth_total{queue=\"default\"} 1") {
        text = api.get("", "/metrics").await.text;
    }
    assert!(has(&text, "windlass_queue_paused{queue=\"default\"} 1"), "{text}");
    assert_eq!(api.redis.cli(&["LLEN", "ai:queue:pending"]), "1");
}

#[tokio::test]
async fn a_counter_that_went_backwards_is_shown_as_it_is() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    api.submit(&key, "r1").await;
    let line = |n: u32| format!("ai_queue_enqueue_total{{queue=\"default\"}} {n}\n");
    while !api.get("", "/metrics").await.text.contains(&line(1)) {}
    api.redis.cli(&["FLUSHALL"]);
    while !api.get("", "/metrics").await.text.contains(&line(0)) {}
}
