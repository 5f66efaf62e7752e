//! What the guard sees on real servers.

use tokio_util::sync::CancellationToken;
use windlass::engine::{Guard, Level};
use windlass::store::{Store, StoreOptions};

use crate::support::fleet::eventually;
use crate::support::redis::TestRedis;

async fn guard(redis: &TestRedis) -> Guard {
    let guard = Guard::start(redis.store().await, CancellationToken::new());
    guard.first_look().await;
    guard
}

#[tokio::test]
async fn an_evicting_server_is_not_ready_until_its_policy_is_changed() {
    let redis = TestRedis::start_with(&["--maxmemory-policy", "allkeys-lru"]).await;
    let guard = guard(&redis).await;
    let findings = guard.findings();
    assert!(!findings.ready());
    let policy = &findings.checks["policy"];
    assert_eq!((policy.level, policy.detail.as_str()), (Level::Failed, "allkeys-lru"));
    assert!(policy.remedy.contains("noeviction"));
    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    eventually("it is ready without a restart", || guard.findings().ready()).await;
}

#[tokio::test]
async fn a_replica_is_not_ready() {
    let primary = TestRedis::start().await;
    let replica = TestRedis::start().await;
    let guard = guard(&replica).await;
    assert!(guard.findings().ready());
    // No address of the primary is needed to be a replica.
    replica.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    eventually("it is not ready", || !guard.findings().ready()).await;
    assert!(guard.findings().unsafe_reason().is_some_and(|why| why.contains("role")));
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    eventually("it is ready again", || guard.findings().ready()).await;
    drop(primary);
}

#[tokio::test]
async fn without_an_append_only_file_or_a_limit_it_is_ready_and_degraded() {
    let redis = TestRedis::start_with(&["--appendonly", "no", "--maxmemory", "0"]).await;
    let findings = guard(&redis).await.findings();
    assert!(findings.ready() && findings.degraded());
    for check in ["persistence", "maxmemory"] {
        assert_eq!(findings.checks[check].level, Level::Degraded, "{check}");
        assert!(!findings.checks[check].remedy.is_empty());
    }
}

#[tokio::test]
async fn an_outage_is_seen_and_so_is_its_end() {
    // With `everysec` a kill can lose the last moment, and the epoch would be right to change.
    let mut redis = TestRedis::start_durable().await;
    let guard = guard(&redis).await;
    let before = guard.findings();
    redis.kill();
    eventually("it is not ready", || !guard.findings().ready()).await;
    redis.launch().await;
    eventually("it is ready again", || guard.findings().ready()).await;
    let after = guard.findings();
    assert_eq!(before.epoch, after.epoch, "the append-only file brought everything back");
    assert_ne!(before.run_id, after.run_id);
}

#[tokio::test]
async fn a_server_that_was_never_there_is_not_ready() {
    let store = Store::connect(StoreOptions::new("redis://127.0.0.1:1")).await.unwrap();
    let findings = Guard::start(store, CancellationToken::new()).first_look().await;
    assert!(!findings.ready());
    assert!(findings.checks["redis"].remedy.contains("REDIS_URL"));
}
