//! A crowd of one workspace does not keep another waiting.

use windlass::domain::JobId;

use crate::support::jobs::{TestWorker, enqueue_new, queue, spec_of};
use crate::support::redis::TestRedis;

#[tokio::test(flavor = "multi_thread")]
async fn one_job_behind_a_hundred_thousand_of_another_workspace_starts_within_a_few_dozen() {
    let redis = TestRedis::start_with(&["--appendonly", "no", "--maxmemory", "1gb"]).await;
    let store = redis.store().await;
    let now = store.now().await.unwrap().unix_ms() as u64;
    let calls = (0..1000).map(|call| {
        let store = store.clone();
        async move {
            let name = |n: usize| format!("r{}", call * 100 + n);
            let items: Vec<_> = (0..100).map(|n| (JobId::new(now, 0), spec_of("crowd", &name(n)))).collect();
            store.enqueue(&queue(), &items).await.unwrap();
        }
    });
    futures_util::StreamExt::count(futures_util::StreamExt::buffered(futures_util::stream::iter(calls), 4)).await;
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 100_000);
    let single = enqueue_new(&store, spec_of("single", "r")).await;
    let worker = TestWorker::register(&store).await;
    let mut begun = 0;
    while begun < 36 {
        let jobs = worker.claim(&store, 4).await;
        if jobs.iter().any(|claimed| claimed.job.id == single) {
            return;
        }
        begun += jobs.len();
    }
    panic!("{begun} jobs of the crowd began, and the single job waits");
}
