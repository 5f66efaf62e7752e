//! Verb `operation`: records of bulk operations.

use windlass::domain::{Operation, OperationAction, OperationState};
use windlass::store::{MOST_RUNNING, PutOperation};

use crate::support::operations::{begun, new_id, plan};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn a_change_is_made_to_what_its_caller_saw_or_not_at_all() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let operation = begun(&store, plan(OperationAction::Redrive)).await;
    let seen = store.operation(operation.id).await.unwrap().unwrap();
    assert_eq!(seen.operation, operation);
    assert_eq!(store.running_operations().await.unwrap(), [operation.id]);
    let stopped = Operation { state: OperationState::Stopped, ..operation.clone() };
    assert!(matches!(store.put_operation(Some(&seen), &stopped).await.unwrap(), PutOperation::Done));
    assert!(store.running_operations().await.unwrap().is_empty());
    let finished = Operation { state: OperationState::Finished, ..operation.clone() };
    match store.put_operation(Some(&seen), &finished).await.unwrap() {
        PutOperation::Changed(Some(there)) => assert_eq!(there.operation, stopped),
        other => panic!("{other:?}"),
    }
    match store.put_operation(None, &operation).await.unwrap() {
        PutOperation::Changed(Some(there)) => assert_eq!(there.operation, stopped, "begun before"),
        other => panic!("{other:?}"),
    }
    let gone = Operation { id: new_id(), ..operation };
    assert!(matches!(store.put_operation(Some(&seen), &gone).await.unwrap(), PutOperation::Changed(None)));
}

#[tokio::test]
async fn ten_run_at_once_and_another_waits_for_one_to_end() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let mut running = Vec::new();
    for _ in 0..MOST_RUNNING {
        running.push(begun(&store, plan(OperationAction::Redrive)).await);
    }
    let another = Operation { id: new_id(), ..running[0].clone() };
    assert!(matches!(store.put_operation(None, &another).await.unwrap(), PutOperation::TooMany));
    assert!(store.operation(another.id).await.unwrap().is_none());
    let seen = store.operation(running[3].id).await.unwrap().unwrap();
    let stopped = Operation { state: OperationState::Stopped, ..running[3].clone() };
    store.put_operation(Some(&seen), &stopped).await.unwrap();
    assert!(matches!(store.put_operation(None, &another).await.unwrap(), PutOperation::Done));
    let seen = store.operation(running[3].id).await.unwrap().unwrap();
    assert!(matches!(store.put_operation(Some(&seen), &running[3]).await.unwrap(), PutOperation::TooMany));
    assert_eq!(store.operations().await.unwrap().len(), MOST_RUNNING + 1);
}

#[tokio::test]
async fn records_end_after_thirty_days_unless_they_run() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (old, runs) =
        (begun(&store, plan(OperationAction::Redrive)).await, begun(&store, plan(OperationAction::Redrive)).await);
    let seen = store.operation(old.id).await.unwrap().unwrap();
    let stopped = Operation { state: OperationState::Stopped, ..old.clone() };
    store.put_operation(Some(&seen), &stopped).await.unwrap();
    for id in [old.id, runs.id] {
        redis.cli(&["ZADD", "ai:operations:made", "5", &id.to_string()]);
    }
    let new = begun(&store, plan(OperationAction::Redrive)).await;
    let left: Vec<_> = store.operations().await.unwrap().into_iter().map(|operation| operation.id).collect();
    assert!(left.len() == 2 && left.contains(&runs.id) && left.contains(&new.id), "{left:?}");
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let operation = begun(&store, plan(OperationAction::Redrive)).await;
    let keys = ["ai:operations", "ai:operations:made", "ai:operations:running"];
    let another = Operation { id: new_id(), ..operation };
    crate::support::audit::refuses_wrong_types(&redis, &keys, async || store.put_operation(None, &another).await).await;
}
