//! Verb `fleet`.

use std::time::Duration;

use crate::support::audit::Snapshot;
use crate::support::jobs::{TestWorker, until_past};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn live_workers_are_listed_with_what_they_say_of_themselves() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    assert!(store.workers().await.unwrap().is_empty());
    let worker = TestWorker::offering(&store, &["echo", "sleep"]).await;
    let brief = TestWorker::unregistered();
    brief.heartbeat(&store, Duration::from_millis(1)).await;
    let beat = store.now().await.unwrap();
    // Its description lives four times as long as its registration.
    until_past(&store, beat.plus(Duration::from_millis(6))).await;
    let before = Snapshot::take(&redis).contents();
    let fleet = store.workers().await.unwrap();
    let [one] = &fleet[..] else { panic!("one is alive: {fleet:?}") };
    assert_eq!((one.id, one.types.as_slice()), (worker.id, &["echo".to_owned(), "sleep".to_owned()][..]));
    assert_eq!((one.host.as_str(), one.slots, one.status.as_str()), ("test", 4, "running"));
    assert_eq!(one.queues, [("default".to_owned(), 1)]);
    assert!(one.seen_at <= beat);
    assert_eq!(Snapshot::take(&redis).contents(), before, "a read writes nothing");
}

#[tokio::test]
async fn a_worker_without_a_description_is_passed_over() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    TestWorker::register(&store).await;
    redis.cli(&["DEL", &format!("ai:worker:{}", worker.id)]);
    assert_eq!(store.workers().await.unwrap().len(), 1);
}
