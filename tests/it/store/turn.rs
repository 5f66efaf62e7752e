//! Verb `turn`: one process at a time carries an operation on.

use std::time::Duration;

use crate::support::operations::new_id;
use crate::support::redis::TestRedis;

const LIFE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn one_holder_at_a_time_keeps_the_turn_and_gives_it_up() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = new_id();
    assert!(store.operation_turn(id, "a", LIFE).await.unwrap());
    assert!(store.operation_turn(id, "a", LIFE).await.unwrap(), "it is kept");
    assert!(!store.operation_turn(id, "b", LIFE).await.unwrap());
    store.end_operation_turn(id, "b").await.unwrap();
    assert!(!store.operation_turn(id, "b", LIFE).await.unwrap(), "only its holder gives it up");
    assert!(store.operation_turn(new_id(), "b", LIFE).await.unwrap(), "another operation has a turn of its own");
    store.end_operation_turn(id, "a").await.unwrap();
    assert!(store.operation_turn(id, "b", LIFE).await.unwrap());
}

#[tokio::test]
async fn a_turn_that_is_not_kept_ends() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = new_id();
    store.operation_turn(id, "a", Duration::from_millis(1)).await.unwrap();
    while !store.operation_turn(id, "b", LIFE).await.unwrap() {}
    assert!(!store.operation_turn(id, "a", LIFE).await.unwrap());
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = new_id();
    store.operation_turn(id, "a", LIFE).await.unwrap();
    redis.cli(&["DEL", &format!("ai:operation:{id}:turn")]);
    redis.cli(&["RPUSH", &format!("ai:operation:{id}:turn"), "x"]);
    let refused = store.operation_turn(id, "a", LIFE).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("WLTYPE")));
}
