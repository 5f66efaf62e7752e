//! Verb `fence`: who may make steps of a bulk operation.

use windlass::domain::{Operation, OperationAction};
use windlass::store::Step;

use crate::support::audit::{audit, refuses_wrong_types};
use crate::support::operations::{begun, new_id, next_step, plan, seed_dead};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn a_step_that_was_wanted_before_is_refused_and_one_under_the_fence_is_made() {
    for action in [OperationAction::Redrive, OperationAction::Discard] {
        let redis = TestRedis::start().await;
        let store = redis.store().await;
        seed_dead(&redis, 20);
        let before = begun(&store, plan(action)).await;
        let (part, to, ids) = next_step(&store, &before, &[0], 5).await.unwrap();
        let told = store.fence_operation(before.id, before.fence + 1).await.unwrap();
        assert_eq!((told.fence, told.counts.done, &told.place), (before.fence + 1, 0, &part.place));
        let late = store.operate(Step { operation: &before, part: &part, to: &to, ids: &ids }).await.unwrap();
        assert_eq!((late.fence, late.counts.matched, &late.place), (before.fence + 1, 0, &part.place), "{action}");
        assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:dead"]), 20, "{action}");
        let after = Operation { fence: before.fence + 1, ..before };
        let made = store.operate(Step { operation: &after, part: &part, to: &to, ids: &ids }).await.unwrap();
        assert_eq!((made.counts.done, made.fence), (5, after.fence), "{action}");
        assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:dead"]), 15, "{action}");
        audit(&redis);
    }
}

#[tokio::test]
async fn a_smaller_fence_and_a_repeat_change_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = new_id();
    for (fence, then) in [(7, 7), (7, 7), (6, 7), (0, 7), (1_900_000_000_000, 1_900_000_000_000)] {
        assert_eq!(store.fence_operation(id, fence).await.unwrap().fence, then);
    }
    let key = format!("ai:operation:{id}");
    assert_eq!(redis.cli(&["HGETALL", &key]), "fence\n1900000000000");
    assert!(redis.cli_int(&["TTL", &key]) > 30 * 86_400, "it goes after the operation's record");
}

#[tokio::test]
async fn a_full_redis_takes_it() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = new_id();
    store.fence_operation(id, 1).await.unwrap();
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(store.fence_operation(id, 2).await.unwrap().fence, 2);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = new_id();
    let key = format!("ai:operation:{id}");
    refuses_wrong_types(&redis, &[&key], async || store.fence_operation(id, 3).await).await;
    assert_eq!(store.fence_operation(id, 3).await.unwrap().fence, 3);
}
