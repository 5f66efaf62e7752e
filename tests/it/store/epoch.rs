//! Verb `epoch`: a new epoch for a state that lacks what someone was told of.

use windlass::store::Store;

use crate::support::jobs::{enqueue_new, spec};
use crate::support::redis::TestRedis;

/// The newest entry of the transition log.
fn newest(redis: &TestRedis) -> String {
    redis.ask(&["XREVRANGE", "ai:events", "+", "-", "COUNT", "1"]).lines().next().unwrap_or_default().to_owned()
}

async fn epoch(store: &Store) -> String {
    store.server_facts().await.unwrap().epoch
}

/// A store that was told of three entries, and the epoch.
async fn told(redis: &TestRedis) -> (Store, String) {
    let store = redis.store().await;
    let before = epoch(&store).await;
    for request in ["a", "b", "c"] {
        enqueue_new(&store, spec(request)).await;
    }
    assert_eq!(epoch(&store).await, before);
    (store, before)
}

#[tokio::test]
async fn an_entry_that_is_gone_changes_the_epoch_once_for_all() {
    let redis = TestRedis::start().await;
    let (store, before) = told(&redis).await;
    let others = [redis.store().await, redis.store().await];
    for (n, other) in others.iter().enumerate() {
        assert_eq!(epoch(other).await, before);
        enqueue_new(other, spec(&format!("other-{n}"))).await;
    }
    // All three were told of what is gone, and newer entries hide that.
    for id in redis.ask(&["XRANGE", "ai:events", "-", "+"]).lines().filter(|l| l.contains('-') && l.len() < 20).skip(1)
    {
        redis.ask(&["XDEL", "ai:events", id]);
    }
    enqueue_new(&redis.store().await, spec("newer")).await;
    let (a, b, c) = tokio::join!(epoch(&store), epoch(&others[0]), epoch(&others[1]));
    assert_ne!(a, before);
    assert_eq!((&a, &a), (&b, &c), "one of them changed it");
    assert_eq!((redis.ask(&["GET", "ai:epoch"]), store.known_epoch()), (a.clone(), a.clone()));
    enqueue_new(&store, spec("later")).await;
    assert_eq!(epoch(&store).await, a, "and it stays");
}

#[tokio::test]
async fn a_log_that_ends_too_early_changes_the_epoch() {
    let redis = TestRedis::start().await;
    let (store, before) = told(&redis).await;
    redis.ask(&["DEL", "ai:events"]);
    redis.ask(&["XADD", "ai:events", "1-1", "e", "", "a", ""]);
    assert_ne!(epoch(&store).await, before);
}

#[tokio::test]
async fn a_trimmed_log_has_lost_nothing() {
    let redis = TestRedis::start().await;
    let (store, before) = told(&redis).await;
    redis.ask(&["XTRIM", "ai:events", "MAXLEN", "0"]);
    assert_eq!(epoch(&store).await, before);
    enqueue_new(&redis.store().await, spec("later")).await;
    assert_eq!(epoch(&store).await, before);
    assert!(!newest(&redis).is_empty());
}

#[tokio::test]
async fn without_events_nothing_is_suspected() {
    let redis = TestRedis::start().await;
    let store = redis.store_with(|options| options.events_kept = 0).await;
    let before = epoch(&store).await;
    enqueue_new(&store, spec("a")).await;
    assert_eq!(epoch(&store).await, before);
    redis.ask(&["FLUSHALL"]);
    assert_ne!(epoch(&store).await, before, "a loss of everything takes the epoch along");
}
