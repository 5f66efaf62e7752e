//! Bulk operations over HTTP, and jobs for them.

use std::time::Duration;

use serde_json::{Value, json};
use windlass::domain::JobId;
use windlass::store::Store;

use super::api::{Answer, Api};
use super::jobs::{TestWorker, death, enqueue_many};

/// Lets `n` jobs of a workspace die of the same failure.
pub(crate) async fn dead_jobs(store: &Store, workspace: &str, prefix: &str, n: usize) -> Vec<JobId> {
    let ids = enqueue_many(store, workspace, prefix, n, |_| {}).await;
    let worker = TestWorker::register(store).await;
    let mut left = n;
    while left > 0 {
        let claimed = worker.claim(store, left.min(100)).await;
        assert!(!claimed.is_empty(), "{left} of {n} are not claimable");
        for job in &claimed {
            worker.end(store, job, death()).await;
        }
        left -= claimed.len();
    }
    ids
}

/// Begins an operation that is expected to be accepted, and returns its id.
pub(crate) async fn begin(api: &Api, key: &str, body: &Value) -> String {
    let mut body = body.clone();
    body["dry_run"] = json!(false);
    let begun = api.post(key, "/operations", &body).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let id = begun.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(begun.header("location"), Some(format!("/operations/{id}").as_str()));
    id
}

/// The operation once `until` says so of it.
pub(crate) async fn operation_when(api: &Api, key: &str, id: &str, until: impl Fn(&Value) -> bool) -> Value {
    let look = async {
        loop {
            let seen: Answer = api.get(key, &format!("/operations/{id}")).await;
            assert_eq!(seen.status, 200, "{seen:?}");
            let seen = seen.json();
            adds_up(&seen);
            if until(&seen) {
                return seen;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), look).await.unwrap_or_else(|_| panic!("operation {id} hangs"))
}

/// The operation at its end.
pub(crate) async fn finished(api: &Api, key: &str, id: &str) -> Value {
    operation_when(api, key, id, |seen| seen["state"] == "finished").await
}

/// What holds at every moment.
pub(crate) fn adds_up(operation: &Value) {
    let skipped = operation["skipped"].as_object().expect("skipped").values();
    let sum: u64 = skipped.map(|n| n.as_u64().expect("a number")).sum();
    assert_eq!(operation["matched"].as_u64(), operation["done"].as_u64().map(|done| done + sum), "{operation}");
}
