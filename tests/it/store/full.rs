//! A Redis that has reached its memory limit: no new work, everything else drains.

use std::time::Duration;

use windlass::domain::JobId;
use windlass::store::{Answer, Cancelled, Ending, Enqueued, Finished, LeaseRef, StoreError, Switch};

use crate::support::audit::{Snapshot, audit};
use crate::support::jobs::{TestWorker, death, enqueue, enqueue_many, enqueue_new, hold, queue, retry, spec, success};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn a_full_redis_refuses_new_jobs_whole_and_drains_the_rest() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let ids = enqueue_many(&store, "ws", "r", 20, |_| {}).await;
    let dead = enqueue_new(&store, spec("dead")).await;
    let all = worker.claim(&store, 21).await;
    let (last, claimed) = all.split_last().unwrap();
    assert_eq!(last.job.id, dead);
    worker.end(&store, last, death()).await;
    redis.cli(&["CONFIG", "SET", "maxmemory", "1mb"]);
    let before = Snapshot::take(&redis).contents();
    let items = [(JobId::new(1, 0), spec("new")), (JobId::new(2, 0), spec("r-0"))];
    assert!(matches!(store.enqueue(&queue(), &items).await, Err(StoreError::Full(_))));
    assert!(matches!(store.redrive(&queue(), dead, None).await, Err(StoreError::Full(_))));
    assert_eq!(Snapshot::take(&redis).contents(), before, "nothing was written");

    let leases: Vec<_> =
        claimed.iter().map(|c| LeaseRef { queue: queue(), job: c.job.id, attempt_id: c.attempt_id }).collect();
    let held = store.heartbeat(worker.id, Duration::from_secs(60), &worker.about(), &leases).await.unwrap();
    assert!(held.iter().all(|held| *held));
    assert_eq!(store.cancel(&queue(), ids[19]).await.unwrap(), Cancelled::Now);
    let endings = [success(), retry(Duration::ZERO), retry(Duration::from_secs(60)), death(), hold(), Ending::Released];
    for (claimed, ending) in claimed.iter().zip(&endings) {
        assert_eq!(worker.end(&store, claimed, ending.clone()).await, Answer::Done, "{ending:?}");
    }
    let reports: Vec<_> = claimed[6..19].iter().map(|c| Finished { claimed: c.clone(), ending: success() }).collect();
    assert_eq!(store.release(&queue(), &reports).await.unwrap(), [Answer::Done; 13]);
    assert_eq!(worker.claim(&store, 5).await.len(), 2, "what was retried and given back");
    store.pause(&queue(), &Switch::Queue, "op", "full").await.unwrap();
    store.resume(&queue(), &[Switch::Queue]).await.unwrap();
    store.tend(&queue()).await.unwrap();
    store.ring(&queue()).await.unwrap();
    store.summary(&queue()).await.unwrap();
    store.retire(worker.id, &[queue()]).await.unwrap();
    redis.cli(&["CONFIG", "SET", "maxmemory", "256mb"]);
    redis.cli(&["DEL", "ai:queue:wake"]);
    audit(&redis);
    assert!(matches!(enqueue(&store, spec("new")).await, Enqueued::New(_)), "it recovers without a restart");
}
