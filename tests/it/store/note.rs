//! Verb `note`.

use std::time::Duration;

use windlass::domain::Note;

use crate::support::audit::{Snapshot, refuses_wrong_types};
use crate::support::jobs::{TestWorker, enqueue_many, queue, success};
use crate::support::redis::TestRedis;

/// Makes every note so much older, as if time had passed.
fn age(redis: &TestRedis, seconds: u64) {
    let notes = redis.cli(&["HGET", "ai:queue:pace", "notes"]);
    let older = |note: &str| {
        let (at, rest) = note.split_once(':').unwrap();
        format!("{}:{rest}", at.parse::<u64>().unwrap() - seconds * 1000)
    };
    let notes: Vec<String> = notes.split(' ').map(older).collect();
    redis.cli(&["HSET", "ai:queue:pace", "notes", &notes.join(" ")]);
}

#[tokio::test]
async fn counters_are_noted_at_most_every_few_seconds() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    assert!(store.note(&queue(), Some(8)).await.unwrap());
    let before = Snapshot::take(&redis).contents();
    assert!(!store.note(&queue(), Some(9)).await.unwrap(), "too soon");
    assert_eq!(Snapshot::take(&redis).contents(), before);
    let pace = store.pace(&queue()).await.unwrap();
    assert_eq!((pace.notes.len(), pace.notes[0].enqueued, pace.slots, pace.run), (1, 3, Some(8), None));
    age(&redis, 10);
    assert!(store.note(&queue(), None).await.unwrap());
    let pace = store.pace(&queue()).await.unwrap();
    assert_eq!((pace.notes.len(), pace.slots), (2, Some(8)), "the slots of workers that are gone stay known");
}

#[tokio::test]
async fn the_length_of_a_run_is_slots_held_over_jobs_claimed() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 8, |_| {}).await;
    let first = worker.claim(&store, 4).await;
    store.note(&queue(), None).await.unwrap();
    for claimed in &first {
        worker.end(&store, claimed, success()).await;
    }
    assert_eq!(worker.claim(&store, 4).await.len(), 4);
    age(&redis, 10);
    store.note(&queue(), None).await.unwrap();
    // Four slots held over ten seconds, in which four jobs were claimed.
    let run = store.pace(&queue()).await.unwrap().run.unwrap();
    assert!(run >= Duration::from_secs(10) && run < Duration::from_secs(70), "{run:?}");
    let summary = store.summary(&queue()).await.unwrap();
    let now = Note { at: summary.read_at, enqueued: summary.enqueued_total, dequeued: summary.dequeued_total };
    let rates = store.pace(&queue()).await.unwrap().rates(now).unwrap();
    assert!(rates.enqueue == 0.0 && rates.dequeue > 0.05 && rates.dequeue <= 0.4, "{rates:?}");
}

#[tokio::test]
async fn notes_are_bounded_and_counters_that_ran_backwards_start_anew() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 2, |_| {}).await;
    worker.claim(&store, 2).await;
    for _ in 0..45 {
        assert!(store.note(&queue(), None).await.unwrap());
        age(&redis, 10);
    }
    assert_eq!(store.pace(&queue()).await.unwrap().notes.len(), 40);
    redis.cli(&["HSET", "ai:queue:stats", "dequeue", "1"]);
    store.note(&queue(), None).await.unwrap();
    assert_eq!(store.pace(&queue()).await.unwrap().notes.len(), 1, "as after a restored backup");
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 2, |_| {}).await;
    worker.claim(&store, 1).await;
    store.note(&queue(), None).await.unwrap();
    let keys = ["ai:queue:pace", "ai:queue:stats", "ai:queue:running"];
    refuses_wrong_types(&redis, &keys, async || store.note(&queue(), None).await).await;
}
