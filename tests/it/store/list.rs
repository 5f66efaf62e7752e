//! Verb `list`.

use windlass::domain::{JobId, JobState, RequestId};
use windlass::store::{ListPage, ListQuery, Store};

use crate::support::audit::Snapshot;
use crate::support::jobs::{TestWorker, enqueue_many, enqueue_new, kind, queue, spec_of, success, workspace};
use crate::support::redis::TestRedis;

fn query(limit: usize) -> ListQuery {
    ListQuery {
        workspace: workspace("ws"),
        state: None,
        job_type: None,
        queue: None,
        request_id: None,
        created_after: None,
        created_before: None,
        limit,
        from: None,
    }
}

fn ids(page: &ListPage) -> Vec<JobId> {
    page.jobs.iter().map(|job| job.id).collect()
}

/// Every page of a query, joined.
async fn all(store: &Store, mut query: ListQuery) -> Vec<JobId> {
    let mut found = Vec::new();
    loop {
        let page = store.list(&query).await.unwrap();
        found.extend(ids(&page));
        if page.next.is_none() {
            return found;
        }
        query.from = page.next;
    }
}

#[tokio::test]
async fn jobs_are_listed_newest_first_page_by_page() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let mut made = enqueue_many(&store, "ws", "r", 230, |_| {}).await;
    enqueue_many(&store, "another", "r", 5, |_| {}).await;
    made.reverse();
    let page = store.list(&query(200)).await.unwrap();
    assert_eq!(ids(&page), made[..200]);
    for limit in [1, 7, 50, 100, 200] {
        assert_eq!(all(&store, query(limit)).await, made, "in pages of {limit}");
    }
}

#[tokio::test]
async fn jobs_that_arrive_between_two_pages_repeat_and_hide_none() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let mut made = enqueue_many(&store, "ws", "r", 20, |_| {}).await;
    made.reverse();
    let first = store.list(&query(8)).await.unwrap();
    enqueue_many(&store, "ws", "later", 5, |_| {}).await;
    let second = store.list(&ListQuery { from: first.next.clone(), ..query(20) }).await.unwrap();
    assert_eq!([ids(&first), ids(&second)].concat(), made);
}

#[tokio::test]
async fn filters_pick_and_ended_jobs_stay_in_place() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let made = enqueue_many(&store, "ws", "r", 10, |_| {}).await;
    enqueue_many(&store, "ws", "typed", 3, |s| s.job_type = kind("other")).await;
    for claimed in worker.claim(&store, 4).await {
        worker.end(&store, &claimed, success()).await;
    }
    store.cancel(&queue(), made[9]).await.unwrap();
    let of = |state| ListQuery { state: Some(state), ..query(50) };
    assert_eq!(all(&store, of(JobState::Succeeded)).await.len(), 4);
    assert_eq!(all(&store, of(JobState::Cancelled)).await, [made[9]]);
    assert_eq!(all(&store, of(JobState::Pending)).await.len(), 8);
    assert_eq!(all(&store, ListQuery { job_type: Some(kind("other")), ..query(50) }).await.len(), 3);
    let now = store.now().await.unwrap();
    assert!(
        all(&store, ListQuery { created_after: Some(now.plus(std::time::Duration::from_secs(5))), ..query(50) })
            .await
            .is_empty()
    );
    let request = |name: &str| ListQuery { request_id: Some(RequestId::new(name).unwrap()), ..query(50) };
    assert_eq!(all(&store, request("r-3")).await, [made[3]]);
    assert!(all(&store, request("missing")).await.is_empty());
}

#[tokio::test]
async fn an_unknown_workspace_and_a_switched_off_index_are_empty() {
    let redis = TestRedis::start().await;
    let store = redis.store_with(|o| o.listing_index = false).await;
    assert!(all(&store, query(50)).await.is_empty());
    enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    assert!(all(&store, query(50)).await.is_empty());
    assert!(!Snapshot::take(&redis).keys.keys().any(|key| key.starts_with("ai:index")));
}

#[tokio::test]
async fn older_hours_follow_newer_ones() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let hour = store.now().await.unwrap().unix_ms() / 3_600_000;
    let mut made = Vec::new();
    for (age, request) in [(500, "a"), (30, "b"), (0, "c")] {
        let id = enqueue_new(&store, spec_of("ws", request)).await;
        let index = Snapshot::take(&redis);
        let key =
            index.keys.keys().find(|key| key.starts_with("ai:index:ws:") && index.items(key).contains(&id.to_string()));
        if age > 0 {
            redis.cli(&["RENAME", key.unwrap(), &format!("ai:index:ws:{}", hour - age)]);
        }
        made.insert(0, id);
    }
    for limit in [1, 2, 50] {
        assert_eq!(all(&store, query(limit)).await, made);
    }
}

#[tokio::test]
async fn a_list_while_jobs_come_and_go_names_no_job_twice() {
    let redis = TestRedis::start().await;
    let (store, other) = (redis.store().await, redis.store().await);
    let made = enqueue_many(&store, "ws", "r", 100, |_| {}).await;
    let worker = TestWorker::register(&store).await;
    let (listed, _, _) = tokio::join!(
        all(&store, query(9)),
        enqueue_many(&other, "ws", "new", 100, |_| {}),
        worker.work_off(&other, 10),
    );
    let mut unique = listed.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), listed.len());
    assert!(made.iter().all(|id| unique.binary_search(id).is_ok()), "and misses none that was there");
}
