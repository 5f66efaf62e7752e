//! Bulk operations in tests.

use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};
use windlass::domain::{
    JobFilter, JobId, Operation, OperationAction, OperationCounts, OperationPlan, OperationState, Skipped,
};
use windlass::engine::Operations;
use windlass::store::{OperationPart, PLACE_END, PartPlace, Place, PutOperation, Shards, Step, Store, Survey};

use crate::support::redis::TestRedis;

/// What is done to all jobs that it can be done to, as fast as may be.
pub(crate) fn plan(action: OperationAction) -> OperationPlan {
    let filter = JobFilter { states: action.default_states().to_vec(), ..JobFilter::default() };
    OperationPlan { action, filter, target: None, rate: 100_000, note: String::new() }
}

/// The same with changes.
pub(crate) fn planned(action: OperationAction, change: impl FnOnce(&mut OperationPlan)) -> OperationPlan {
    let mut plan = plan(action);
    change(&mut plan);
    plan
}

pub(crate) fn new_id() -> JobId {
    JobId::new(1, 0)
}

/// An operation that nobody carries on but the test.
pub(crate) async fn begun(store: &Store, plan: OperationPlan) -> Operation {
    let operation = Operation {
        id: new_id(),
        plan,
        state: OperationState::Running,
        by: "tester".into(),
        created_at: store.now().await.unwrap().plus(Duration::from_millis(1)),
        fence: 1,
        changed: None,
        finished_at: None,
        expected: None,
        counts: OperationCounts::default(),
    };
    assert!(matches!(store.put_operation(None, &operation).await.unwrap(), PutOperation::Done));
    operation
}

/// All of a place that is found in one look.
pub(crate) async fn look(store: &Store, operation: &Operation, pass: u8, want: usize) -> Vec<(PartPlace, Vec<JobId>)> {
    let mut all = Vec::new();
    for place in store.places(&operation.plan, pass, operation.created_at).await.unwrap() {
        let what = Survey { plan: &operation.plan, cut: Some(operation.created_at), look: 500, want, count: false };
        let page = store.survey(&place, "", what).await.unwrap();
        let next = page.next.unwrap_or_else(|| PLACE_END.to_owned());
        all.push((PartPlace::At(place, next), page.found));
    }
    all
}

/// One step from what is on record.
pub(crate) async fn step(store: &Store, operation: &Operation, to: &PartPlace, ids: &[JobId]) -> OperationPart {
    let part = store.operation_part(operation.id).await.unwrap();
    store.operate(Step { operation, part: &part, to, ids }).await.unwrap()
}

/// Takes every place of a pass in one step each.
pub(crate) async fn steps(store: &Store, operation: &Operation, pass: u8) -> OperationCounts {
    let mut counts = OperationCounts::default();
    for (to, ids) in look(store, operation, pass, 100).await {
        counts = step(store, operation, &to, &ids).await.counts;
    }
    counts
}

/// Commands, and a process' part of carrying operations on until the guard is dropped.
pub(crate) fn carried(store: impl Into<Shards>) -> (Operations, DropGuard) {
    let (operations, shutdown) = (Operations::new(store), CancellationToken::new());
    operations.start(shutdown.clone());
    (operations, shutdown.drop_guard())
}

/// Waits for the end of an operation.
pub(crate) async fn finished(operations: &Operations, id: JobId) -> Operation {
    until(operations, id, |operation| operation.state == OperationState::Finished).await
}

/// Asks for an operation until it is so.
pub(crate) async fn until(operations: &Operations, id: JobId, so: impl Fn(&Operation) -> bool) -> Operation {
    let end = windlass::clock::now() + Duration::from_secs(120);
    loop {
        let operation = operations.get(id).await.unwrap();
        if so(&operation) {
            return operation;
        }
        assert!(windlass::clock::now() < end, "{operation:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn skipped(counts: &OperationCounts, why: Skipped) -> u64 {
    counts.skipped.get(&why).copied().unwrap_or_default()
}

/// Makes `n` dead letters that never lived, all of one moment an hour ago.
pub(crate) fn seed_dead(redis: &TestRedis, n: usize) {
    const SCRIPT: &str = include_str!("../../../benches/queue/dead.lua");
    let died = redis.cli(&["TIME"]).lines().next().unwrap().parse::<u64>().unwrap() * 1000 - 3_600_000;
    for first in (0..n).step_by(1000) {
        let ids: Vec<String> = (first..n.min(first + 1000)).map(|_| JobId::new(died, 0).to_string()).collect();
        let (first, died) = (first.to_string(), died.to_string());
        let mut args = vec!["EVAL", SCRIPT, "0", redis.base(), &first, &died, "{}"];
        args.extend(ids.iter().map(String::as_str));
        redis.ask(&args);
    }
}

/// The next step of an operation that goes through these passes: what is on record, how far it leads, and its jobs.
/// Nothing when it is through.
pub(crate) async fn next_step(
    store: &Store,
    operation: &Operation,
    passes: &[u8],
    want: usize,
) -> Option<(OperationPart, PartPlace, Vec<JobId>)> {
    let part = store.operation_part(operation.id).await.unwrap();
    let (place, from) = match &part.place {
        PartPlace::End => return None,
        PartPlace::At(place, from) if from != PLACE_END => (place.clone(), from.clone()),
        at => {
            let mut places = Vec::new();
            for pass in passes {
                places.extend(store.places(&operation.plan, *pass, operation.created_at).await.unwrap());
            }
            let behind = |place: &Place| !matches!(at, PartPlace::At(at, _) if place <= at);
            match places.into_iter().find(behind) {
                Some(next) => (next, String::new()),
                None => return Some((part, PartPlace::End, Vec::new())),
            }
        }
    };
    let what = Survey { plan: &operation.plan, cut: Some(operation.created_at), look: 500, want, count: false };
    let page = store.survey(&place, &from, what).await.unwrap();
    let to = PartPlace::At(place, page.next.unwrap_or_else(|| PLACE_END.to_owned()));
    Some((part, to, page.found))
}

/// Carries it on without a turn, as a process does whose turn was lost unseen.
pub(crate) async fn carry_on(store: &Store, operation: &Operation, passes: &[u8], want: usize) {
    while let Some((part, to, ids)) = next_step(store, operation, passes, want).await {
        store.operate(Step { operation, part: &part, to: &to, ids: &ids }).await.unwrap();
    }
}
