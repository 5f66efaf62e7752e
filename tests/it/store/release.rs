//! Verb `release`.

use std::time::Duration;

use windlass::domain::{AttemptId, JobState};
use windlass::store::{Answer, Ending, Finished, Scope};

use crate::support::audit::{ENDING_KEYS, LINE_KEYS, Snapshot, audit, refuses_wrong_types};
use crate::support::jobs::{TestWorker, enqueue_many, from_now, queue, retry, success};
use crate::support::redis::TestRedis;

fn reports(claimed: &[windlass::store::Claimed], ending: &Ending) -> Vec<Finished> {
    claimed.iter().map(|claimed| Finished { claimed: claimed.clone(), ending: ending.clone() }).collect()
}

#[tokio::test]
async fn released_jobs_are_in_line_again_uncharged_and_someone_is_called() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (stopping, other) = (TestWorker::register(&store).await, TestWorker::register(&store).await);
    let ids = enqueue_many(&store, "ws", "r", 100, |_| {}).await;
    let claimed = stopping.claim(&store, 100).await;
    redis.cli(&["DEL", "ai:queue:wake"]);
    let answers = store.release(&queue(), &reports(&claimed, &Ending::Released)).await.unwrap();
    assert_eq!(answers, [Answer::Done; 100]);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:wake"]), 1);
    let job = store.job(&Scope::All, ids[0]).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt, job.crashes), (JobState::Pending, 0, 0));
    audit(&redis);
    let again = other.claim(&store, 100).await;
    assert_eq!(again.len(), 100);
    assert!(again.iter().all(|claimed| claimed.job.attempt == 1));
}

#[tokio::test]
async fn a_repeat_is_done_before_and_a_stale_one_changes_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    let mut claimed = worker.claim(&store, 3).await;
    claimed[2].attempt_id = AttemptId::random();
    store.release(&queue(), &reports(&claimed[..2], &success())).await.unwrap();
    let before = Snapshot::take(&redis).contents();
    let answers = store.release(&queue(), &reports(&claimed, &success())).await.unwrap();
    assert_eq!(answers, [Answer::DoneBefore, Answer::DoneBefore, Answer::Stale]);
    assert_eq!(store.release(&queue(), &[]).await.unwrap(), []);
    assert_eq!(Snapshot::take(&redis).contents(), before);
    audit(&redis);
}

#[tokio::test]
async fn a_backoff_set_while_stopping_calls_a_worker_that_will_mind_it() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 2, |_| {}).await;
    let claimed = worker.claim(&store, 2).await;
    redis.cli(&["DEL", "ai:queue:wake"]);
    store.release(&queue(), &reports(&claimed[..1], &retry(Duration::from_secs(5)))).await.unwrap();
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:wake"]), 1);
    redis.cli(&["DEL", "ai:queue:wake"]);
    store.release(&queue(), &reports(&claimed[1..], &retry(Duration::from_secs(50)))).await.unwrap();
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:wake"]), 0, "another is due before");
    audit(&redis);
}

#[tokio::test]
async fn releases_race_and_each_attempt_ends_once() {
    let redis = TestRedis::start().await;
    let stores = [redis.store().await, redis.store().await];
    let worker = TestWorker::register(&stores[0]).await;
    enqueue_many(&stores[0], "ws", "r", 20, |_| {}).await;
    let claimed = worker.claim(&stores[0], 20).await;
    let mut calls = tokio::task::JoinSet::new();
    for i in 0..10 {
        let (store, reports) = (stores[i % 2].clone(), reports(&claimed, &Ending::Released));
        calls.spawn(async move { store.release(&queue(), &reports).await.unwrap() });
    }
    let answers = calls.join_all().await.concat();
    assert_eq!(answers.iter().filter(|answer| **answer == Answer::Done).count(), 20);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 20);
    audit(&redis);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 2, |_| {}).await;
    let claimed = worker.claim(&store, 2).await;
    let done = format!("ai:done:{}", from_now(&store, 0).await.unix_ms() / 3_600_000);
    let keys = [LINE_KEYS, ENDING_KEYS, &[done.as_str()]].concat();
    let reports = reports(&claimed, &success());
    refuses_wrong_types(&redis, &keys, async || store.release(&queue(), &reports).await).await;
    assert_eq!(store.release(&queue(), &reports).await.unwrap(), [Answer::Done; 2]);
}
