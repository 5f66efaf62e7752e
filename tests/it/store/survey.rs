//! Verb `survey`: pages of a walk.

use windlass::domain::{JobId, JobState, OperationAction, OperationPlan, RawJson};
use windlass::store::{Place, Store, Survey, Surveyed};

use crate::support::audit::Snapshot;
use crate::support::jobs::{enqueue_many, enqueue_new, queue, shaped, spec, workspace};
use crate::support::operations::{plan, planned};
use crate::support::redis::TestRedis;

async fn place(store: &Store, plan: &OperationPlan, pass: u8, nth: usize) -> Place {
    store.places(plan, pass, store.now().await.unwrap()).await.unwrap().remove(nth)
}

async fn page(store: &Store, place: &Place, plan: &OperationPlan, from: &str, want: usize) -> Surveyed {
    let what = Survey { plan, cut: None, look: 500, want, count: false };
    store.survey(place, from, what).await.unwrap()
}

/// `n` jobs that died in the same millisecond, as a script writes them.
async fn dead_at_once(redis: &TestRedis, store: &Store, n: usize) -> Vec<JobId> {
    let mut ids = enqueue_many(store, "ws", "r", n, |_| {}).await;
    for id in &ids {
        let id = id.to_string();
        redis.cli(&["ZREM", "ai:queue:order:normal", &id]);
        redis.cli(&["ZADD", "ai:queue:dead", "1000", &id]);
        redis.cli(&["HSET", "ai:attempts", &id, "d\t1\t0\t1\t\tt\t1000 echo p error\n{\"reason\":\"error\"}"]);
    }
    ids.sort_by_key(ToString::to_string);
    ids
}

#[tokio::test]
async fn a_walk_goes_on_exactly_though_all_scores_are_equal_and_where_it_stood_is_gone() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let ids = dead_at_once(&redis, &store, 40).await;
    let plan = plan(OperationAction::Redrive);
    let dead = place(&store, &plan, 0, 0).await;
    let (mut seen, mut from) = (Vec::new(), String::new());
    loop {
        let found = page(&store, &dead, &plan, &from, 7).await;
        // Every second page leaves before the walk goes on; so does its last element.
        if seen.len().is_multiple_of(2) {
            found.found.iter().for_each(|id| drop(redis.cli(&["ZREM", "ai:queue:dead", &id.to_string()])));
        }
        seen.extend(found.found);
        match found.next {
            Some(next) => from = next,
            None => break,
        }
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn a_walk_reads_and_writes_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    enqueue_many(&store, "ws", "r", 5, |_| {}).await;
    let plan = plan(OperationAction::Cancel);
    let before = Snapshot::take(&redis).contents();
    for nth in 0..5 {
        page(&store, &place(&store, &plan, 1, nth).await, &plan, "", 10).await;
    }
    assert_eq!(Snapshot::take(&redis).contents(), before);
}

#[tokio::test]
async fn metadata_narrows_a_page_and_cuts_it_where_enough_was_found() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    for i in 0..12 {
        let tagged = RawJson::from_compact(format!("{{\"even\":{}}}", i % 2 == 0));
        enqueue_new(&store, shaped("ws", &format!("r{i}"), |s| s.metadata = tagged)).await;
    }
    let plan = planned(OperationAction::Cancel, |plan| {
        plan.filter.metadata = [("even".to_owned(), "true".to_owned())].into();
        plan.filter.states = vec![JobState::Pending];
        plan.filter.queue = Some(queue());
    });
    let line = place(&store, &plan, 1, 2).await;
    let first = page(&store, &line, &plan, "", 4).await;
    assert_eq!(first.found.len(), 4, "{first:?}");
    let rest = page(&store, &line, &plan, &first.next.unwrap(), 4).await;
    assert_eq!((rest.found.len(), rest.next), (2, None));
    let count = Survey { plan: &plan, cut: None, look: 500, want: 3, count: true };
    let counted = store.survey(&line, "", count).await.unwrap();
    assert_eq!(counted.groups.values().sum::<u64>(), 6);
}

#[tokio::test]
async fn what_does_not_fit_is_passed_over_in_one_call() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    enqueue_many(&store, "ws", "r", 300, |_| {}).await;
    let one = enqueue_new(&store, shaped("other", "one", |_| {})).await;
    let plan = planned(OperationAction::Cancel, |plan| plan.filter.workspace = Some(workspace("other")));
    let line = place(&store, &plan, 1, 2).await;
    let found = page(&store, &line, &plan, "", 10).await;
    assert_eq!((found.found, found.next), (vec![one], None));
}

#[tokio::test]
async fn large_records_make_small_pages() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let large = format!("\"{}\"", "x".repeat(100_000));
    for i in 0..5 {
        let input = RawJson::from_compact(large.clone());
        enqueue_new(&store, shaped("ws", &format!("r{i}"), |s| s.input = input)).await;
    }
    enqueue_new(&store, spec("small")).await;
    let plan = plan(OperationAction::Cancel);
    let line = place(&store, &plan, 1, 2).await;
    let first = page(&store, &line, &plan, "", 100).await;
    assert_eq!(first.found.len(), 3, "256 KiB and the one that passes it");
    assert_eq!(page(&store, &line, &plan, &first.next.unwrap(), 100).await.found.len(), 3);
}
