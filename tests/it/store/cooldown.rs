//! Verb `cooldown`.

use std::time::Duration;

use windlass::store::{Cooling, StoreError};

use crate::support::audit::Snapshot;
use crate::support::redis::TestRedis;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_one_process_leaves_alone_every_process_leaves_alone() {
    let redis = TestRedis::start().await;
    let (one, other) = (redis.store().await, redis.store().await);
    let set = one.cooldown("webhook:a", MINUTE).await.unwrap();
    assert_eq!(set, Cooling { scope: MINUTE, any: MINUTE });
    let seen = other.cooldown("webhook:a", Duration::ZERO).await.unwrap();
    assert!(!seen.scope.is_zero() && seen.scope <= MINUTE && seen.any >= seen.scope, "{seen:?}");
    let left = redis.cli_int(&["PTTL", "ai:cooldown:webhook:a"]);
    assert!((1..=60_000).contains(&left), "{left}");
}

#[tokio::test]
async fn another_scope_is_not_left_alone_but_says_that_something_is() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    assert_eq!(store.cooldown("b", Duration::ZERO).await.unwrap(), Cooling::default());
    store.cooldown("a", MINUTE).await.unwrap();
    let seen = store.cooldown("b", Duration::ZERO).await.unwrap();
    assert_eq!(seen.scope, Duration::ZERO);
    assert!(!seen.any.is_zero());
}

#[tokio::test]
async fn a_shorter_cooldown_shortens_nothing_and_a_longer_one_lengthens() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    store.cooldown("a", 10 * MINUTE).await.unwrap();
    let kept = store.cooldown("a", MINUTE).await.unwrap();
    assert!(kept.scope > 2 * MINUTE, "{kept:?}");
    store.cooldown("b", 20 * MINUTE).await.unwrap();
    let seen = store.cooldown("a", 2 * MINUTE).await.unwrap();
    assert!(seen.any > 15 * MINUTE && seen.scope <= 10 * MINUTE, "{seen:?}");
}

#[tokio::test]
async fn looking_writes_nothing_and_a_cooldown_leaves_nothing_behind() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let before = Snapshot::take(&redis).contents();
    store.cooldown("a", Duration::ZERO).await.unwrap();
    assert_eq!(Snapshot::take(&redis).contents(), before);
    store.cooldown("a", MINUTE).await.unwrap();
    for key in ["ai:cooldown:a", "ai:cooldown"] {
        redis.cli(&["PEXPIRE", key, "0"]);
    }
    assert_eq!(Snapshot::take(&redis).contents(), before);
}

#[tokio::test]
async fn more_than_a_day_is_refused_and_nothing_is_written() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    assert!(store.cooldown("a", Duration::from_secs(86_401)).await.is_err());
    assert_eq!(store.cooldown("a", Duration::ZERO).await.unwrap(), Cooling::default());
}

#[tokio::test]
async fn keys_of_other_types_are_refused_before_anything_is_written() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    for key in ["ai:cooldown:a", "ai:cooldown"] {
        redis.cli(&["RPUSH", key, "a list"]);
        let before = Snapshot::take(&redis).contents();
        let refused = store.cooldown("a", MINUTE).await.unwrap_err();
        assert!(matches!(refused, StoreError::Corrupt(_)), "{refused:?}");
        assert_eq!(Snapshot::take(&redis).contents(), before, "{key}");
        redis.cli(&["DEL", key]);
    }
}
