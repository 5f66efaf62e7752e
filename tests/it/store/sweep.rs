//! Verb `sweep`, and the janitor's round that goes by it.

use std::time::Duration;

use windlass::domain::{JobState, QueueName};
use windlass::engine::Janitor;
use windlass::store::Switch;

use crate::support::audit::audit;
use crate::support::jobs::{TestWorker, enqueue_ago, enqueue_new, kind, overdue_record, queue, shaped, spec, state};
use crate::support::redis::TestRedis;

/// Rewrites a job's last moment in line to one long past, as if days had gone by.
fn overdue(redis: &TestRedis, id: impl ToString) {
    let record = redis.cli(&["HGET", "ai:jobs", &id.to_string()]);
    redis.cli(&["HSET", "ai:jobs", &id.to_string(), &overdue_record(&record)]);
}

#[tokio::test]
async fn a_parked_job_whose_time_ran_out_expires_without_a_claim() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    store.pause(&queue(), &Switch::Type(kind("echo")), "test", "").await.unwrap();
    let (late, in_time) = (enqueue_new(&store, spec("r1")).await, enqueue_new(&store, spec("r2")).await);
    overdue(&redis, late);
    let round = Janitor::new(store.clone()).run_once().await.unwrap();
    assert_eq!(round.overdue, 1);
    assert_eq!((state(&store, late).await, state(&store, in_time).await), (JobState::Expired, JobState::Pending));
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 1);
    audit(&redis);
}

#[tokio::test]
async fn a_running_job_and_one_of_another_queue_are_told_apart() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let running = enqueue_new(&store, spec("r1")).await;
    let mail = QueueName::new("mail").unwrap();
    let waiting = enqueue_new(&store, shaped("ws", "r2", |s| s.queue = mail.clone())).await;
    TestWorker::register(&store).await.claim_one(&store).await;
    overdue(&redis, running);
    overdue(&redis, waiting);
    let swept = store.sweep(None).await.unwrap();
    assert_eq!((swept.next, swept.queues), (None, vec![mail]));
    assert_eq!(store.sweep(None).await.unwrap().queues.len(), 1, "a repeat marks the same");
    Janitor::new(store.clone()).run_once().await.unwrap();
    assert_eq!((state(&store, running).await, state(&store, waiting).await), (JobState::Running, JobState::Expired));
}

#[tokio::test]
async fn a_week_from_the_time_in_its_id_passes_and_what_is_no_record_is_left_alone() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (week, minute) = (Duration::from_secs(7 * 86_400), Duration::from_secs(60));
    let in_time = enqueue_ago(&redis, &store, "r1", week - minute).await;
    let late = enqueue_ago(&redis, &store, "r2", week + minute).await;
    let garbage = enqueue_ago(&redis, &store, "r3", 2 * week).await;
    redis.cli(&["HSET", "ai:jobs", &garbage.to_string(), "no header at all"]);
    let round = Janitor::new(store.clone()).run_once().await.unwrap();
    assert_eq!(round.overdue, 1);
    assert_eq!((state(&store, in_time).await, state(&store, late).await), (JobState::Pending, JobState::Expired));
    assert_eq!(redis.cli(&["ZSCORE", "ai:queue:expiring", &garbage.to_string()]), "");
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write_and_no_job_is_no_work() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let swept = store.sweep(None).await.unwrap();
    assert_eq!((swept.next, swept.queues.len()), (None, 0));
    let id = enqueue_new(&store, spec("r1")).await;
    overdue(&redis, id);
    redis.cli(&["SET", "ai:queue:expiring", "text"]);
    assert!(store.sweep(None).await.is_err());
    assert_eq!(redis.cli(&["GET", "ai:queue:expiring"]), "text");
}
