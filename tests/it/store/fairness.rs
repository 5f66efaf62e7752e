//! Whose turn it is.

use std::collections::BTreeMap;
use std::time::Duration;

use windlass::domain::{JobId, Priority};
use windlass::store::{Claimed, Finished, Store, WorkspaceLimits};

use crate::support::audit::{Snapshot, assert_no_leak, audit};
use crate::support::jobs::{TestWorker, enqueue_many, queue, retry, spec_of, workspace};
use crate::support::jobs::{enqueue_new, success};
use crate::support::redis::TestRedis;

async fn weigh(store: &Store, name: &str, weight: u32) {
    let limits = WorkspaceLimits { weight, max_running: None };
    store.set_workspace_limits(&workspace(name), limits).await.unwrap();
}

fn by_workspace(claimed: &[Claimed]) -> BTreeMap<&str, usize> {
    let mut count = BTreeMap::new();
    for one in claimed {
        *count.entry(one.job.workspace.as_str()).or_insert(0) += 1;
    }
    count
}

#[tokio::test]
async fn a_workspace_with_one_job_passes_one_with_ten_thousand() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    enqueue_many(&store, "big", "r", 10_000, |_| {}).await;
    let worker = TestWorker::register(&store).await;
    worker.claim(&store, 20).await;
    let lone = enqueue_new(&store, spec_of("small", "r")).await;
    let next: Vec<JobId> = worker.claim(&store, 5).await.iter().map(|c| c.job.id).collect();
    assert!(next.contains(&lone), "it is among the next five");
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 10_000 + 1 - 25);
}

#[tokio::test]
async fn equal_workspaces_alternate_and_weights_share_three_to_one() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    weigh(&store, "heavy", 3).await;
    for name in ["a", "b", "heavy"] {
        enqueue_many(&store, name, "r", 300, |_| {}).await;
    }
    let worker = TestWorker::register(&store).await;
    let claimed = worker.claim(&store, 100).await;
    let count = by_workspace(&claimed);
    assert!((19..=21).contains(&count["a"]) && (19..=21).contains(&count["b"]), "{count:?}");
    assert!((59..=61).contains(&count["heavy"]), "{count:?}");
    audit(&redis);
}

#[tokio::test]
async fn a_workspace_that_was_idle_has_saved_nothing_up() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "busy", "r", 500, |_| {}).await;
    worker.claim(&store, 100).await;
    worker.claim(&store, 100).await;
    enqueue_many(&store, "late", "r", 500, |_| {}).await;
    let claimed = worker.claim(&store, 100).await;
    let count = by_workspace(&claimed);
    assert!((45..=55).contains(&count["late"]), "{count:?}");
}

#[tokio::test]
async fn a_mass_cancel_is_refunded() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let unwanted = enqueue_many(&store, "a", "unwanted", 300, |_| {}).await;
    enqueue_many(&store, "b", "r", 100, |_| {}).await;
    for id in unwanted {
        store.cancel(&queue(), id).await.unwrap();
    }
    let wanted = enqueue_new(&store, spec_of("a", "wanted")).await;
    let next: Vec<JobId> = worker.claim(&store, 5).await.iter().map(|c| c.job.id).collect();
    assert!(next.contains(&wanted), "it does not pay for what never ran");
    audit(&redis);
}

#[tokio::test]
async fn retries_pay_from_an_account_of_their_own() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "failing", "r", 200, |_| {}).await;
    enqueue_many(&store, "fine", "r", 200, |_| {}).await;
    let mut served = BTreeMap::new();
    let mut reports = Vec::new();
    // Every job of one workspace fails and comes straight back; the other's succeed.
    for _ in 0..20 {
        let (_, claims) = store.cycle(&reports, &worker.request(10)).await.unwrap();
        for claimed in &claims.jobs {
            *served.entry(claimed.job.workspace.to_string()).or_insert(0) += 1;
        }
        let ending = |c: &Claimed| if c.job.workspace.as_str() == "fine" { success() } else { retry(Duration::ZERO) };
        reports = claims.jobs.into_iter().map(|c| Finished { ending: ending(&c), claimed: c }).collect();
    }
    let finish = Snapshot::take(&redis).hash("ai:queue:finish:normal");
    assert!(finish.contains_key("failing:r") && !finish.contains_key("fine:r"), "{finish:?}");
    assert!(served["fine"] >= 60, "failing work takes two shares of three at most: {served:?}");
    audit(&redis);
}

#[tokio::test]
async fn no_band_starves_and_high_goes_first() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let low = enqueue_many(&store, "a", "low", 1, |s| s.priority = Priority::Low).await;
    let normal = enqueue_many(&store, "b", "normal", 1, |s| s.priority = Priority::Normal).await;
    enqueue_many(&store, "c", "high", 100, |s| s.priority = Priority::High).await;
    let mut order = Vec::new();
    for _ in 0..16 {
        order.push(worker.claim_one(&store).await.job.id);
    }
    assert!(order.contains(&low[0]) && order.contains(&normal[0]), "both within sixteen slots");
    assert!(order[0] != low[0] && order[0] != normal[0]);
}

#[tokio::test]
async fn first_in_first_out_within_a_workspace_and_band() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let mut ids = Vec::new();
    for i in 0..30 {
        ids.push(enqueue_new(&store, spec_of("ws", &format!("r{i}"))).await);
    }
    assert_eq!(worker.work_off(&store, 1).await, ids);
}

#[tokio::test]
async fn an_emptied_band_forgets_its_tags() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let unserved = enqueue_many(&store, "a", "unserved", 3, |s| s.priority = Priority::Low).await;
    enqueue_many(&store, "b", "served", 3, |_| {}).await;
    for id in unserved {
        store.cancel(&queue(), id).await.unwrap();
    }
    worker.work_off(&store, 2).await;
    let all = Snapshot::take(&redis);
    assert_eq!(all.hash("ai:queue:fair").keys().collect::<Vec<_>>(), ["slot"]);
    assert_no_leak(&redis);
}
