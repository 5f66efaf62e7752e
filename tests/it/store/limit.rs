//! Verb `limit`.

use windlass::domain::QueueName;
use windlass::store::{Store, WorkspaceLimits};

use crate::support::audit::{LINE_KEYS, audit, refuses_wrong_types};
use crate::support::jobs::{TestWorker, enqueue_many, enqueue_new, shaped, success, workspace};
use crate::support::redis::TestRedis;

async fn cap(store: &Store, name: &str, max_running: Option<u32>) {
    store.set_workspace_limits(&workspace(name), WorkspaceLimits { weight: 1, max_running }).await.unwrap();
}

#[tokio::test]
async fn limits_are_kept_and_have_defaults() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let ws = workspace("ws");
    assert_eq!(store.workspace_limits(&ws).await.unwrap(), WorkspaceLimits::default());
    let limits = WorkspaceLimits { weight: 7, max_running: Some(2) };
    for _ in 0..2 {
        store.set_workspace_limits(&ws, limits).await.unwrap();
        assert_eq!(store.workspace_limits(&ws).await.unwrap(), limits);
    }
    store.set_workspace_limits(&ws, WorkspaceLimits { weight: 0, max_running: None }).await.unwrap();
    assert_eq!(store.workspace_limits(&ws).await.unwrap(), WorkspaceLimits::default(), "a weight is at least 1");
}

#[tokio::test]
async fn a_cap_set_under_load_counts_the_leases_there_are() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 10, |_| {}).await;
    enqueue_many(&store, "other", "r", 2, |_| {}).await;
    let running = worker.claim(&store, 6).await;
    let mut own: Vec<_> = running.into_iter().filter(|c| c.job.workspace.as_str() == "ws").collect();
    cap(&store, "ws", Some(3)).await;
    assert_eq!(redis.cli_int(&["SCARD", "ai:queue:slots:ws"]), own.len() as i64);
    audit(&redis);
    assert!(worker.claim(&store, 10).await.iter().all(|c| c.job.workspace.as_str() == "other"), "it has too many");
    while own.len() > 2 {
        worker.end(&store, &own.remove(0), success()).await;
        audit(&redis);
    }
    assert_eq!(worker.claim(&store, 10).await.len(), 1);
    audit(&redis);
}

#[tokio::test]
async fn a_raised_or_lifted_cap_brings_parked_jobs_back_and_rings() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    cap(&store, "ws", Some(1)).await;
    enqueue_many(&store, "ws", "r", 10, |_| {}).await;
    assert_eq!(worker.claim(&store, 10).await.len(), 1);
    assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:parked:normal:c:ws"]), 9);
    redis.cli(&["DEL", "ai:queue:wake"]);
    cap(&store, "ws", Some(3)).await;
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:wake"]), 1);
    assert_eq!(worker.claim(&store, 10).await.len(), 2);
    audit(&redis);
    cap(&store, "ws", None).await;
    assert_eq!(redis.cli_int(&["EXISTS", "ai:queue:slots:ws"]), 0);
    assert_eq!(worker.claim(&store, 10).await.len(), 7);
    audit(&redis);
}

#[tokio::test]
async fn a_cap_holds_in_each_queue_on_its_own() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let other = QueueName::new("other").unwrap();
    for i in 0..3 {
        enqueue_new(&store, shaped("ws", &format!("a{i}"), |_| {})).await;
        enqueue_new(&store, shaped("ws", &format!("b{i}"), |s| s.queue = other.clone())).await;
    }
    cap(&store, "ws", Some(2)).await;
    let mut worker = TestWorker::register(&store).await;
    assert_eq!(worker.claim(&store, 10).await.len(), 2);
    worker.queue = other;
    assert_eq!(worker.claim(&store, 10).await.len(), 2);
}

#[tokio::test]
async fn caps_change_while_workers_claim_and_slots_stay_right() {
    let redis = TestRedis::start().await;
    let (store, other) = (redis.store().await, redis.store().await);
    enqueue_many(&store, "ws", "r", 100, |_| {}).await;
    let worker = TestWorker::register(&store).await;
    let changes = async {
        for max in [Some(5), None, Some(1), Some(50), Some(2), None] {
            cap(&other, "ws", max).await;
        }
    };
    let claims = async {
        for _ in 0..10 {
            for claimed in worker.claim(&store, 5).await {
                worker.end(&store, &claimed, success()).await;
            }
        }
    };
    tokio::join!(changes, claims);
    audit(&redis);
    worker.work_off(&store, 10).await;
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 0);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    // The names of the queues are read before the script runs.
    let keys: Vec<&str> = LINE_KEYS.iter().copied().filter(|key| *key != "ai:queues").collect();
    let keys = [&keys[..], &["ai:queue:slots:ws"]].concat();
    let limits = WorkspaceLimits { weight: 1, max_running: Some(1) };
    refuses_wrong_types(&redis, &keys, async || store.set_workspace_limits(&workspace("ws"), limits).await).await;
}
