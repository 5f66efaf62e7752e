//! Verb `heartbeat`.

use std::collections::BTreeSet;
use std::time::Duration;

use windlass::domain::{AttemptId, JobId, QueueName};
use windlass::store::{Claimed, LeaseRef};

use crate::support::audit::{Snapshot, audit, refuses_wrong_types};
use crate::support::jobs::{TestWorker, enqueue_many, enqueue_new, queue, shaped, spec, success, until_past};
use crate::support::redis::TestRedis;

fn lease(claimed: &Claimed) -> LeaseRef {
    LeaseRef { queue: claimed.job.queue.clone(), job: claimed.job.id, attempt_id: claimed.attempt_id }
}

#[tokio::test]
async fn a_heartbeat_registers_the_worker_and_renews_its_leases() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    assert_eq!(redis.cli_int(&["ZCARD", "ai:workers"]), 1);
    assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:workers"]), 1);
    enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    let claims = worker.claims(&store, 3).await;
    let leases: Vec<_> = claims.jobs.iter().map(lease).collect();
    for _ in 0..2 {
        let held = store.heartbeat(worker.id, Duration::from_secs(90), &worker.about(), &leases).await.unwrap();
        assert_eq!(held, [true; 3]);
    }
    let member = format!("{}:{}", leases[0].job, leases[0].attempt_id);
    assert!(redis.cli_int(&["ZSCORE", "ai:queue:running", &member]) >= claims.now.unix_ms() + 90_000);
    audit(&redis);
}

#[tokio::test]
async fn a_lease_that_was_taken_away_is_never_brought_back() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 4, |_| {}).await;
    let claimed = worker.claim(&store, 4).await;
    worker.end(&store, &claimed[0], success()).await;
    store.cancel(&queue(), claimed[1].job.id).await.unwrap();
    let foreign = LeaseRef { attempt_id: AttemptId::random(), ..lease(&claimed[2]) };
    let unknown = LeaseRef { job: JobId::new(1, 0), ..foreign.clone() };
    let leases = [lease(&claimed[0]), lease(&claimed[1]), foreign, unknown, lease(&claimed[3])];
    let leased = || Snapshot::take(&redis).members("ai:queue:running").into_iter().collect::<BTreeSet<_>>();
    let before = leased();
    let held = store.heartbeat(worker.id, Duration::from_secs(60), &worker.about(), &leases).await.unwrap();
    assert_eq!(held, [false, false, false, false, true]);
    assert_eq!(leased(), before);
    audit(&redis);
}

#[tokio::test]
async fn leases_of_several_queues_are_answered_in_the_order_asked() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let other = QueueName::new("other").unwrap();
    let mut worker = TestWorker::register(&store).await;
    enqueue_new(&store, spec("r1")).await;
    enqueue_new(&store, shaped("ws", "r2", |s| s.queue = other.clone())).await;
    let first = worker.claim_one(&store).await;
    worker.queue = other;
    let second = worker.claim_one(&store).await;
    let gone = LeaseRef { attempt_id: AttemptId::random(), ..lease(&first) };
    let leases = [lease(&second), gone, lease(&first)];
    let held = store.heartbeat(worker.id, Duration::from_secs(60), &worker.about(), &leases).await.unwrap();
    assert_eq!(held, [true, false, true]);
    assert_eq!(redis.cli(&["SMEMBERS", "ai:queues"]).lines().count(), 2);
}

#[tokio::test]
async fn a_registration_that_ran_out_is_cleared_by_the_next_heartbeat_of_anyone() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let gone = TestWorker::unregistered();
    gone.heartbeat(&store, Duration::from_millis(1)).await;
    until_past(&store, store.now().await.unwrap()).await;
    until_past(&store, store.now().await.unwrap()).await;
    assert!(store.workers().await.unwrap().is_empty());
    let live = TestWorker::register(&store).await;
    assert_eq!(redis.cli(&["ZRANGE", "ai:workers", "0", "-1"]), live.id.to_string());
    assert_eq!(redis.cli(&["ZRANGE", "ai:queue:workers", "0", "-1"]), live.id.to_string());
    assert!(redis.cli_int(&["PTTL", &format!("ai:worker:{}", live.id)]) > 0, "its description runs out by itself");
}

#[tokio::test]
async fn more_than_a_hundred_leases_are_refused() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::unregistered();
    let one = LeaseRef { queue: queue(), job: JobId::new(1, 0), attempt_id: AttemptId::random() };
    let many = vec![one; 101];
    assert!(store.heartbeat(worker.id, Duration::from_secs(1), &worker.about(), &many).await.is_err());
    assert_eq!(redis.cli_int(&["DBSIZE"]), 0);
    assert!(store.heartbeat(worker.id, Duration::from_secs(1), &worker.about(), &many[..100]).await.is_ok());
}

#[tokio::test]
async fn many_workers_beat_at_once() {
    let redis = TestRedis::start().await;
    let stores = [redis.store().await, redis.store().await];
    let mut calls = tokio::task::JoinSet::new();
    for i in 0..40 {
        let store = stores[i % 2].clone();
        calls.spawn(async move { TestWorker::register(&store).await.id });
    }
    let ids = calls.join_all().await;
    let known: Vec<_> = stores[0].workers().await.unwrap().iter().map(|w| w.id).collect();
    assert_eq!(known.len(), 40);
    assert!(ids.iter().all(|id| known.contains(id)));
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_new(&store, spec("r1")).await;
    let leases = [lease(&worker.claim_one(&store).await)];
    let own = format!("ai:worker:{}", worker.id);
    let keys = ["ai:workers", "ai:queues", "ai:queue:workers", "ai:queue:running", own.as_str()];
    let life = Duration::from_secs(60);
    refuses_wrong_types(&redis, &keys, async || store.heartbeat(worker.id, life, &worker.about(), &leases).await).await;
}
