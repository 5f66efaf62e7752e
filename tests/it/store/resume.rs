//! Verb `resume`.

use windlass::store::Switch;

use crate::support::audit::{LINE_KEYS, Snapshot, audit, refuses_wrong_types};
use crate::support::jobs::{TestWorker, enqueue_many, kind, queue, workspace};
use crate::support::redis::TestRedis;

fn paused() -> Switch {
    Switch::Workspace(workspace("ws"))
}

#[tokio::test]
async fn parked_jobs_come_back_in_their_old_places_however_many() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    store.pause(&queue(), &paused(), "op", "").await.unwrap();
    let ids = enqueue_many(&store, "ws", "r", 350, |_| {}).await;
    assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:parked:normal:w:ws"]), 350);
    redis.cli(&["DEL", "ai:queue:wake"]);
    store.resume(&queue(), &[paused()]).await.unwrap();
    assert_eq!(redis.cli_int(&["EXISTS", "ai:queue:parked:normal:w:ws"]), 0);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 350);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:wake"]), 1);
    audit(&redis);
    assert_eq!(worker.work_off(&store, 50).await, ids);
}

#[tokio::test]
async fn a_job_behind_two_blocks_waits_for_both() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let kind = Switch::Type(kind("echo"));
    store.pause(&queue(), &paused(), "op", "").await.unwrap();
    store.pause(&queue(), &kind, "op", "").await.unwrap();
    enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    store.resume(&queue(), &[kind]).await.unwrap();
    assert!(worker.claim(&store, 5).await.is_empty());
    audit(&redis);
    store.resume(&queue(), &[paused()]).await.unwrap();
    assert_eq!(worker.claim(&store, 5).await.len(), 3);
    audit(&redis);
}

#[tokio::test]
async fn what_is_not_paused_can_be_resumed_without_effect() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    let before = Snapshot::take(&redis).contents();
    store.resume(&queue(), &[paused(), Switch::Queue, Switch::Intake]).await.unwrap();
    store.resume(&queue(), &[]).await.unwrap();
    assert_eq!(Snapshot::take(&redis).contents(), before);
}

#[tokio::test]
async fn resumes_race_claims_and_lose_nothing() {
    let redis = TestRedis::start().await;
    let stores = [redis.store().await, redis.store().await, redis.store().await];
    stores[0].pause(&queue(), &paused(), "op", "").await.unwrap();
    enqueue_many(&stores[0], "ws", "r", 300, |_| {}).await;
    let worker = TestWorker::register(&stores[0]).await;
    let switches = [paused()];
    let here = queue();
    let (one, two, _) = tokio::join!(
        stores[1].resume(&here, &switches),
        stores[2].resume(&here, &switches),
        worker.claim(&stores[0], 40),
    );
    one.and(two).unwrap();
    audit(&redis);
    worker.work_off(&stores[0], 100).await;
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 0);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    store.pause(&queue(), &paused(), "op", "").await.unwrap();
    enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    refuses_wrong_types(&redis, LINE_KEYS, async || store.resume(&queue(), &[paused()]).await).await;
}
