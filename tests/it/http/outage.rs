//! Redis away and back: refusals that say so, and recovery without a restart.

use std::time::Duration;

use serde_json::json;

use crate::support::api::{ADMIN, Api};
use crate::support::redis::TestRedis;

async fn until_ready(api: &Api, status: u16) {
    let reached = async { while api.get("", "/ready").await.status != status {} };
    tokio::time::timeout(Duration::from_secs(30), reached).await.expect("readiness changed");
}

#[tokio::test]
async fn without_redis_nothing_is_accepted_and_afterwards_everything_works_again() {
    let redis = TestRedis::start_durable().await;
    let mut api = Api::start_with(redis, |_, _| {}).await;
    let key = api.client_key("acme").await;
    let first = api.submit(&key, "r1").await.id();
    api.redis.kill();
    until_ready(&api, 503).await;
    assert_eq!(api.get("", "/ready").await.json()["checks"]["redis"]["status"], "failed");
    assert_eq!(api.get("", "/healthz").await.status, 200);
    let health = api.get("", "/health").await.json();
    assert_eq!((&health["status"], &health["services"]["database"]), (&json!("degraded"), &json!("error")));
    // A key that nobody remembers cannot be checked; the admin key needs no Redis.
    let stranger = api.get("wl_0000000000_x", "/ai/jobs").await;
    assert_eq!((stranger.status, stranger.code().as_str()), (503, "redis_unavailable"));
    assert!(stranger.header("retry-after").is_some());
    let admin = api.get(ADMIN, "/queues").await;
    assert_eq!((admin.status, admin.code().as_str()), (503, "redis_unavailable"));
    let refused = api.submit(&key, "r2").await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").is_some());
    let metrics = api.get("", "/metrics").await;
    assert_eq!(metrics.status, 200);

    api.redis.launch().await;
    until_ready(&api, 200).await;
    let again = api.submit(&key, "r1").await;
    assert_eq!((again.status, again.id()), (200, first), "the acknowledged job survived");
    let second = api.submit(&key, "r2").await;
    assert!(matches!(second.status, 200 | 202), "{second:?}");
}

#[tokio::test]
async fn the_last_known_depth_stands_in_while_redis_is_away() {
    let redis = TestRedis::start_durable().await;
    let mut api = Api::start_with(redis, |_, _| {}).await;
    let key = api.client_key("acme").await;
    api.submit(&key, "r1").await;
    let line = "ai_queue_depth_total{queue=\"default\"} 1\n";
    while !api.get("", "/metrics").await.text.contains(line) {}
    api.redis.kill();
    until_ready(&api, 503).await;
    assert!(api.get("", "/metrics").await.text.contains(line));
}

#[tokio::test]
async fn a_full_redis_refuses_jobs_and_still_serves_reads() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let id = api.submit(&key, "r1").await.id();
    api.redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = async {
        loop {
            let refused = api.submit(&key, "r2").await;
            if refused.status == 503 {
                return refused;
            }
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(20), full).await.expect("refused");
    assert_eq!(refused.code(), "redis_full");
    assert_eq!(api.get(&key, &format!("/ai/jobs/{id}")).await.status, 200);
    assert_eq!(api.command(&key, &format!("/ai/jobs/{id}/cancel")).await.status, 200, "what drains still works");
}
