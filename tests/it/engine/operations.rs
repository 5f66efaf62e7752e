//! Operations from their beginning to their end.

use std::time::Duration;

use windlass::domain::{
    JobId, JobState, OperationAction, OperationPlan, OperationState, QueueName, Skipped, Timestamp,
};
use windlass::engine::{OperationError, Operations};
use windlass::store::{Scope, Step, Store};

use crate::support::audit::audit;
use crate::support::jobs::{TestWorker, enqueue_many, enqueue_new, kind, queue, retry, shaped, state, workspace};
use crate::support::operations::{
    begun, carried, carry_on, finished, new_id, next_step, plan, planned, seed_dead, skipped, until,
};
use crate::support::redis::TestRedis;

fn stat(redis: &TestRedis, field: &str) -> u64 {
    redis.cli(&["HGET", "ai:queue:stats", field]).parse().unwrap_or_default()
}

#[tokio::test]
async fn every_dead_job_is_redriven_once_and_the_counts_are_equal() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    seed_dead(&redis, 2_250);
    let (operations, _guard) = carried(store.clone());
    let plan = plan(OperationAction::Redrive);
    let preview = operations.preview(&plan).await.unwrap();
    assert_eq!((preview.matched, preview.complete, preview.groups.len()), (2_250, true, 1));
    assert_eq!(preview.sample.len(), 10);
    let id = new_id();
    operations.begin(id, &plan, "ann", Some(preview.matched)).await.unwrap();
    let operation = finished(&operations, id).await;
    assert_eq!((operation.counts.matched, operation.counts.done), (2_250, 2_250));
    assert_eq!((operation.by.as_str(), operation.expected, operation.changed.is_none()), ("ann", Some(2_250), true));
    assert!(operation.finished_at.is_some());
    assert_eq!(stat(&redis, "redriven"), 2_250);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 2_250);
    assert_eq!(redis.cli_int(&["EXISTS", "ai:dead:groups"]), 0);
    for outcome in [operations.stop(id, "ann").await, operations.resume(id, "ann", None).await] {
        assert!(matches!(outcome, Err(OperationError::State(OperationState::Finished))), "{outcome:?}");
    }
    assert!(matches!(operations.get(new_id()).await, Err(OperationError::NotFound)));
    audit(&redis);
}

#[tokio::test]
async fn a_filter_that_matches_nothing_is_an_operation_that_did_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    seed_dead(&redis, 20);
    let (operations, _guard) = carried(store.clone());
    let nobody = planned(OperationAction::Discard, |plan| plan.filter.workspace = Some(workspace("nobody")));
    assert_eq!(operations.preview(&nobody).await.unwrap().matched, 0);
    let id = new_id();
    let first = operations.begin(id, &nobody, "ann", None).await.unwrap();
    let again = operations.begin(id, &plan(OperationAction::Cancel), "bob", None).await.unwrap();
    assert_eq!((again.by, again.plan), (first.by, first.plan), "the one that is there");
    let counts = finished(&operations, id).await.counts;
    assert_eq!((counts.matched, counts.done), (0, 0));
    assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:dead"]), 20);
}

#[tokio::test]
async fn a_preview_counts_jobs_by_queue_type_and_state() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    seed_dead(&redis, 1_200);
    enqueue_many(&store, "ws-07", "r", 3, |_| {}).await;
    enqueue_new(&store, shaped("ws-07", "s", |s| s.job_type = kind("sleep"))).await;
    let (operations, _guard) = carried(store.clone());
    let walked = planned(OperationAction::Redrive, |plan| plan.filter.workspace = Some(workspace("ws-07")));
    let preview = operations.preview(&walked).await.unwrap();
    assert_eq!((preview.matched, preview.complete, preview.sample.len()), (12, true, 10));
    let all = planned(OperationAction::Cancel, |plan| plan.filter.workspace = Some(workspace("ws-07")));
    let rows = operations.preview(&all).await.unwrap().groups;
    let rows: Vec<_> = rows.iter().map(|row| (row.job_type.as_str(), row.state, row.count)).collect();
    assert_eq!(rows, [("echo", JobState::Pending, 3), ("sleep", JobState::Pending, 1)]);
    let one = planned(OperationAction::Redrive, |plan| plan.filter.fingerprint = Some(format!("{:012x}", 49)));
    let cause = operations.preview(&one).await.unwrap();
    assert_eq!((cause.matched, cause.workspaces.iter().map(|(_, n)| n).sum::<u64>()), (24, 24));
    assert_eq!(preview.workspaces, [(workspace("ws-07"), 12)]);
    let dead = planned(OperationAction::Redrive, |plan| plan.filter.after = Some(Timestamp::from_unix_ms(0)));
    let found = operations.preview(&dead).await.unwrap();
    assert_eq!((found.matched, found.workspaces.len(), found.other_workspaces), (1_200, 10, 90), "{found:?}");
}

#[tokio::test]
async fn a_stopped_operation_goes_on_where_it_was() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    seed_dead(&redis, 300);
    let (operations, _guard) = carried(store.clone());
    let id = new_id();
    let slow = planned(OperationAction::Redrive, |plan| plan.rate = 40);
    operations.begin(id, &slow, "ann", None).await.unwrap();
    until(&operations, id, |operation| operation.counts.done >= 4).await;
    let stopped = operations.stop(id, "bob").await.unwrap();
    assert_eq!((stopped.state, stopped.changed.unwrap().0.as_str()), (OperationState::Stopped, "bob"));
    let done = stopped.counts.done;
    assert_eq!(operations.stop(id, "cid").await.unwrap().changed.unwrap().0, "bob", "it is stopped already");
    // The turn is given up, so the step that was under way is over.
    while !store.operation_turn(id, "test", Duration::from_secs(5)).await.unwrap() {
        tokio::task::yield_now().await;
    }
    store.end_operation_turn(id, "test").await.unwrap();
    assert_eq!(operations.get(id).await.unwrap().counts.done, done, "nothing was done behind the answer");
    assert!((4..300).contains(&done), "{done}");
    assert_eq!(stat(&redis, "redriven"), done);
    let resumed = operations.resume(id, "cid", Some(100_000)).await.unwrap();
    assert_eq!((resumed.state, resumed.plan.rate), (OperationState::Running, 100_000));
    let counts = finished(&operations, id).await.counts;
    assert_eq!((counts.matched, counts.done, stat(&redis, "redriven")), (300, 300, 300));
    audit(&redis);
}

#[tokio::test]
async fn a_process_that_slept_before_its_step_makes_none_after_the_stop() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    seed_dead(&redis, 200);
    let asks = Operations::new(store.clone());
    let slept = begun(&store, planned(OperationAction::Discard, |plan| plan.rate = 1)).await;
    // It has looked: the operation runs, these are its next jobs. Here it sleeps.
    let (part, to, ids) = next_step(&store, &slept, &[0], 50).await.unwrap();
    let step = Step { operation: &slept, part: &part, to: &to, ids: &ids };
    assert_eq!(asks.stop(slept.id, "ann").await.unwrap().counts.matched, 0);
    assert_eq!(store.operate(step).await.unwrap().counts.matched, 0, "it woke after the stop");
    asks.resume(slept.id, "ann", Some(100_000)).await.unwrap();
    assert_eq!(store.operate(step).await.unwrap().counts.matched, 0, "who carries it on now has yet to say so");
    let (operations, _guard) = carried(store.clone());
    let taken = until(&operations, slept.id, |operation| operation.counts.done > 0).await;
    assert!(taken.fence > slept.fence);
    let counts = finished(&operations, slept.id).await.counts;
    assert_eq!((counts.matched, counts.done), (200, 200));
    audit(&redis);
}

#[tokio::test]
async fn another_process_goes_on_when_one_stops() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    seed_dead(&redis, 400);
    let (first, guard) = carried(redis.store().await);
    let id = new_id();
    first.begin(id, &planned(OperationAction::Discard, |plan| plan.rate = 100), "ann", None).await.unwrap();
    until(&first, id, |operation| operation.counts.done >= 10).await;
    drop(guard);
    let (second, _guard) = carried(store);
    second.resume(id, "ann", Some(100_000)).await.unwrap();
    let counts = finished(&second, id).await.counts;
    assert_eq!((counts.matched, counts.done), (400, 400));
    assert_eq!(redis.cli_int(&["EXISTS", "ai:queue:dead"]), 0);
    audit(&redis);
}

#[tokio::test]
async fn two_that_carry_it_on_at_once_do_each_job_once() {
    let redis = TestRedis::start().await;
    let stores = [redis.store().await, redis.store().await, redis.store().await];
    seed_dead(&redis, 900);
    let operation = begun(&stores[0], plan(OperationAction::Redrive)).await;
    let all = stores.iter().zip([7, 40, 100]).map(|(store, want)| carry_on(store, &operation, &[0], want));
    futures_util::future::join_all(all).await;
    let counts = stores[0].operation_part(operation.id).await.unwrap().counts;
    assert_eq!((counts.matched, counts.done, stat(&redis, "redriven")), (900, 900, 900));
    audit(&redis);
}

/// Done and wrong state of each of two that run at once.
async fn at_once(store: &Store, plans: [OperationPlan; 2]) -> [u64; 4] {
    let (operations, _guard) = carried(store.clone());
    let ids: Vec<JobId> = plans.iter().map(|_| new_id()).collect();
    for (id, plan) in ids.iter().zip(&plans) {
        operations.begin(*id, plan, "ann", None).await.unwrap();
    }
    let mut figures = Vec::new();
    for id in ids {
        let counts = finished(&operations, id).await.counts;
        assert_eq!(counts.matched, counts.done + counts.skipped.values().sum::<u64>(), "{counts:?}");
        figures.extend([counts.done, skipped(&counts, Skipped::State)]);
    }
    figures.try_into().unwrap()
}

#[tokio::test]
async fn a_redrive_and_a_discard_share_the_dead() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    seed_dead(&redis, 1_000);
    let plans = [plan(OperationAction::Redrive), plan(OperationAction::Discard)];
    let [redriven, _, discarded, _] = at_once(&store, plans).await;
    assert_eq!(redriven + discarded, 1_000);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]) as u64, redriven);
    assert_eq!(redis.cli_int(&["HLEN", "ai:jobs"]) as u64, redriven);
    assert_eq!(redis.cli_int(&["EXISTS", "ai:queue:dead", "ai:dead:groups"]), 0);
    audit(&redis);
}

#[tokio::test]
async fn a_hold_and_a_release_at_once_leave_every_job_in_one_place() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    enqueue_many(&store, "ws", "r", 500, |_| {}).await;
    let plans = [plan(OperationAction::Hold), plan(OperationAction::Release)];
    let [held, _, released, _] = at_once(&store, plans).await;
    assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:held"]) as u64, held - released);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]) as u64, 500 - (held - released));
    audit(&redis);
}

#[tokio::test]
async fn a_cancel_and_a_move_at_once_lose_no_job() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let ids = enqueue_many(&store, "ws", "r", 500, |_| {}).await;
    let other = QueueName::new("other").unwrap();
    let cancel = planned(OperationAction::Cancel, |plan| plan.filter.queue = Some(queue()));
    let moved = planned(OperationAction::Move, |plan| plan.target = Some(other.clone()));
    let [cancelled, _, moved, _] = at_once(&store, [cancel, moved]).await;
    assert_eq!((cancelled + moved, stat(&redis, "cancelled")), (500, cancelled));
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending:other"]) as u64, moved);
    assert_eq!(redis.cli_int(&["EXISTS", "ai:queue:pending", "ai:queue:order:normal"]), 0);
    for id in ids {
        let job = store.job(&Scope::All, id).await.unwrap().unwrap();
        assert_eq!(job.state == JobState::Pending, job.queue == other, "{job:?}");
    }
}

#[tokio::test]
async fn a_cancel_meets_jobs_that_workers_take_and_give_back_meanwhile() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let ids = enqueue_many(&store, "ws", "r", 600, |_| {}).await;
    let (operations, _guard) = carried(store.clone());
    let worker = TestWorker::register(&store).await;
    let id = new_id();
    operations.begin(id, &plan(OperationAction::Cancel), "ann", None).await.unwrap();
    while operations.get(id).await.unwrap().state != OperationState::Finished {
        for claimed in worker.claim(&store, 20).await {
            worker.end(&store, &claimed, retry(Duration::ZERO)).await;
        }
    }
    let counts = operations.get(id).await.unwrap().counts;
    let mut cancelled = 0;
    for id in ids {
        cancelled += u64::from(state(&store, id).await == JobState::Cancelled);
    }
    assert_eq!((counts.done, stat(&redis, "cancelled")), (cancelled, cancelled), "{counts:?}");
    assert!(cancelled > 0);
    audit(&redis);
}
