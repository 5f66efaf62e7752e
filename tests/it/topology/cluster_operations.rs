//! Bulk operations over the shards of a cluster.

use windlass::domain::{JobId, OperationAction, QueueName};
use windlass::store::{Finished, Shards};

use crate::support::jobs::{TestWorker, death, queue, shaped};
use crate::support::operations::{carried, finished, new_id, plan, planned};
use crate::support::redis::TestRedis;

const SHARDS: u8 = 3;

async fn fill(shards: &Shards, n: usize) {
    for store in shards.all() {
        let now = store.now().await.unwrap().unix_ms() as u64;
        let job = |i| (JobId::new(now, store.shard()), shaped("ws", &format!("r{}-{i}", store.shard()), |_| {}));
        let items: Vec<_> = (0..n).map(job).collect();
        store.enqueue(&queue(), &items).await.unwrap();
    }
}

#[tokio::test]
async fn an_operation_goes_through_every_shard_and_its_counts_are_their_sum() {
    let redis = TestRedis::cluster(3, 0, &[]);
    let shards = redis.shards(SHARDS).await;
    fill(&shards, 70).await;
    for store in shards.all() {
        let worker = TestWorker::register(store).await;
        let claimed = worker.claim(store, 70).await;
        let dead: Vec<Finished> = claimed.into_iter().map(|claimed| Finished { claimed, ending: death() }).collect();
        store.cycle(&dead, &worker.request(0)).await.unwrap();
    }
    let (operations, _guard) = carried(shards.clone());
    let redrive = plan(OperationAction::Redrive);
    assert_eq!(operations.preview(&redrive).await.unwrap().matched, 210);
    let id = new_id();
    operations.begin(id, &redrive, "ann", Some(210)).await.unwrap();
    let counts = finished(&operations, id).await.counts;
    assert_eq!((counts.matched, counts.done), (210, 210));
    assert_eq!(shards.summary(&queue()).await.unwrap().depth, 210);
    let other = QueueName::new("other").unwrap();
    let id = new_id();
    let there = planned(OperationAction::Move, |plan| plan.target = Some(other.clone()));
    operations.begin(id, &there, "ann", None).await.unwrap();
    assert_eq!(finished(&operations, id).await.counts.done, 210);
    assert_eq!(shards.summary(&other).await.unwrap().depth, 210);
    assert_eq!(operations.list(|_| true, 100).await.unwrap().len(), 2);
}
