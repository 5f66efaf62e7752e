//! Verb `pause`.

use std::time::Duration;

use windlass::domain::{DrainThen, QueueName};
use windlass::store::{Shards, Switch};

use crate::support::audit::{audit, refuses_wrong_types};
use crate::support::jobs::{TestWorker, enqueue_many, kind, queue, workspace};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn a_pause_says_who_when_and_why_and_keeps_its_first_record() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let before = store.now().await.unwrap();
    assert!(store.pause(&queue(), &Switch::Queue, "alice", "a\tb\nc").await.unwrap().first);
    let again = store.pause(&queue(), &Switch::Queue, "bob", "again").await.unwrap();
    assert_eq!((again.first, again.by.by.as_str()), (false, "alice"), "who came later is told who was first");
    store.pause(&queue(), &Switch::Intake, "carol", "moving").await.unwrap();
    let summary = store.summary(&queue()).await.unwrap();
    let paused = summary.paused.unwrap();
    assert_eq!((paused.by.as_str(), paused.reason.as_str()), ("alice", "a b c"));
    assert!(paused.at >= before);
    assert_eq!(summary.draining.unwrap().by, "carol");
}

#[tokio::test]
async fn a_drain_keeps_its_deadline_and_what_comes_then_beside_the_reason() {
    let redis = TestRedis::start().await;
    let store = Shards::from(redis.store().await);
    let before = store.now().await.unwrap();
    let then = DrainThen::Move(QueueName::new("later").unwrap());
    let hour = Duration::from_secs(3600);
    assert!(store.drain(&queue(), ("carol", "db work"), Some((hour, then.clone()))).await.unwrap().first);
    let again = store.drain(&queue(), ("dave", ""), Some((hour * 2, DrainThen::Hold))).await.unwrap();
    let record = store.summary(&queue()).await.unwrap().draining.unwrap();
    assert_eq!((again.first, &again.by), (false, &record));
    assert_eq!((record.by.as_str(), record.reason.as_str()), ("carol", "db work"));
    let (deadline, kept) = record.deadline.unwrap();
    assert_eq!(kept, then);
    assert!(deadline >= before.plus(hour) && deadline < before.plus(hour + Duration::from_secs(60)));
    store.resume(&queue(), &[Switch::Intake]).await.unwrap();
    assert!(store.summary(&queue()).await.unwrap().draining.is_none());
}

#[tokio::test]
async fn paused_types_and_workspaces_are_part_of_the_figures() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    store.pause(&queue(), &Switch::Type(kind("echo")), "op", "a").await.unwrap();
    store.pause(&queue(), &Switch::Workspace(workspace("ws")), "op", "b").await.unwrap();
    let summary = store.summary(&queue()).await.unwrap();
    let parts: Vec<_> = summary.paused_parts.iter().map(|(what, by)| (what.clone(), by.reason.as_str())).collect();
    assert_eq!(parts, [(Switch::Type(kind("echo")), "a"), (Switch::Workspace(workspace("ws")), "b")]);
    assert!(summary.paused.is_none() && summary.draining.is_none());
}

#[tokio::test]
async fn a_pause_moves_nothing_until_a_claim_meets_the_job() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 4, |_| {}).await;
    store.pause(&queue(), &Switch::Workspace(workspace("ws")), "op", "").await.unwrap();
    assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:order:normal"]), 4);
    assert!(worker.claim(&store, 10).await.is_empty());
    assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:parked:normal:w:ws"]), 4);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 4);
    audit(&redis);
}

#[tokio::test]
async fn a_pause_covers_its_own_queue_only() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let other = QueueName::new("other").unwrap();
    store.pause(&other, &Switch::Queue, "op", "").await.unwrap();
    assert!(store.summary(&queue()).await.unwrap().paused.is_none());
    assert!(store.queue(&other).await.unwrap().unwrap().paused.is_some(), "a queue can be paused before its first job");
}

#[tokio::test]
async fn one_of_many_pauses_at_once_is_recorded() {
    let redis = TestRedis::start().await;
    let stores = [redis.store().await, redis.store().await];
    let mut calls = tokio::task::JoinSet::new();
    for i in 0..20 {
        let store = stores[i % 2].clone();
        calls.spawn(async move { store.pause(&queue(), &Switch::Type(kind("echo")), &format!("op{i}"), "").await });
    }
    assert!(calls.join_all().await.iter().all(Result::is_ok));
    assert_eq!(redis.cli_int(&["HLEN", "ai:queue:blocked"]), 1);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let keys = ["ai:queue:blocked", "ai:queues"];
    refuses_wrong_types(&redis, &keys, async || store.pause(&queue(), &Switch::Queue, "op", "").await).await;
}
