//! Bulk operations over the shards of a cluster.

use std::time::Duration;

use windlass::domain::{JobId, OperationAction, OperationState, QueueName};
use windlass::engine::Operations;
use windlass::store::{Finished, Shards, Step};

use crate::support::api::{ADMIN, Api};
use crate::support::fleet::until;
use crate::support::jobs::{TestWorker, death, queue, shaped};
use crate::support::operations::{begun, carried, finished, new_id, next_step, plan, planned};
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

#[tokio::test]
async fn a_lost_shard_is_named_in_the_answers_and_told_of_the_stop_when_it_is_back() {
    let redis = TestRedis::cluster(3, 0, &["--appendfsync", "always"]);
    let shards = redis.shards(SHARDS).await;
    fill(&shards, 10).await;
    let ended = Operations::new(shards.clone());
    let nobody = planned(OperationAction::Hold, |plan| plan.filter.queue = QueueName::new("none").ok());
    let finished_before = {
        let (operations, _guard) = carried(shards.clone());
        let id = new_id();
        operations.begin(id, &nobody, "ann", None).await.unwrap();
        finished(&operations, id).await.id
    };
    // An operation of which each shard made a step, and has another one ready.
    let operation = begun(shards.first(), plan(OperationAction::Cancel)).await;
    // Nobody else carries it on, the API neither.
    while !shards.first().operation_turn(operation.id, "test", Duration::from_secs(600)).await.unwrap() {}
    let mut ready = Vec::new();
    for store in shards.all() {
        while store.operation_part(operation.id).await.unwrap().counts.done == 0 {
            let (part, to, ids) = next_step(store, &operation, &[1], 4).await.unwrap();
            store.operate(Step { operation: &operation, part: &part, to: &to, ids: &ids }).await.unwrap();
        }
        ready.push(next_step(store, &operation, &[1], 4).await.unwrap());
    }
    let mut api = Api::start_on(redis, shards.clone(), |_, _| {}).await;
    let servers = api.redis.servers();
    let owners: Vec<usize> = (0..SHARDS).map(|shard| servers.owner(&format!("{{ai:{shard}}}:jobs"))).collect();
    let victim = *owners.iter().find(|server| **server != owners[0]).expect("a server without the first shard");
    let lost: Vec<u8> = (0..SHARDS).filter(|shard| owners[usize::from(*shard)] == victim).collect();
    let known = 4 * (u64::from(SHARDS) - lost.len() as u64);
    servers.kill(victim);
    let path = format!("/operations/{}", operation.id);
    let list = api.get(ADMIN, "/operations").await;
    assert_eq!(list.status, 200, "{list:?}");
    let list = list.json();
    let of = |id: JobId| list["operations"].as_array().unwrap().iter().find(|one| one["id"] == id.to_string()).unwrap();
    assert_eq!(of(operation.id)["missing_shards"], serde_json::json!(lost));
    assert_eq!((of(operation.id)["done"].as_u64(), of(operation.id)["matched"].as_u64()), (Some(known), Some(known)));
    assert!(of(finished_before).get("missing_shards").is_none(), "what is finished is on record: {list}");
    for answer in [api.get(ADMIN, &path).await, api.command(ADMIN, &format!("{path}/stop")).await] {
        assert_eq!((answer.status, &answer.json()["missing_shards"]), (200, &serde_json::json!(lost)), "{answer:?}");
    }
    assert_eq!(ended.get(operation.id).await.unwrap().state, OperationState::Stopped);
    api.redis.servers().launch(victim);
    until("all shards answer", async || shards.server_facts().await.ok().filter(|f| f.shards_away == 0).map(drop))
        .await;
    let told = api.command(ADMIN, &format!("{path}/stop")).await.json();
    assert_eq!((told.get("missing_shards"), told["done"].as_u64()), (None, Some(4 * u64::from(SHARDS))), "{told}");
    for (store, (part, to, ids)) in shards.all().iter().zip(&ready) {
        let late = store.operate(Step { operation: &operation, part, to, ids }).await.unwrap();
        assert_eq!(late.counts.done, 4, "shard {} was told", store.shard());
    }
}
