//! Verb `order`.

use std::time::Duration;

use windlass::domain::{Order, WorkerId};
use windlass::store::{Message, Ordered};

use crate::support::audit::{Snapshot, refuses_wrong_types};
use crate::support::jobs::{TestWorker, until_past};
use crate::support::redis::TestRedis;

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn orders_reach_the_worker_in_their_order_with_who_gave_them() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let inbox = store.inbox(worker.id).unwrap();
    for order in Order::ALL {
        let told = store.order(worker.id, *order, "alice of\nops").await.unwrap();
        assert_eq!(told, Some(Ordered { hears: true }));
    }
    for order in Order::ALL {
        let heard = inbox.wait(SOON).await.unwrap();
        assert_eq!(heard, Some(Message::Order(*order, "alice of ops".to_owned())));
    }
}

#[tokio::test]
async fn an_unknown_and_a_dead_worker_are_told_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let brief = TestWorker::unregistered();
    brief.heartbeat(&store, Duration::from_millis(1)).await;
    let beat = store.now().await.unwrap();
    until_past(&store, beat.plus(Duration::from_millis(2))).await;
    for id in [brief.id, WorkerId::fresh()] {
        assert_eq!(store.order(id, Order::Stop, "alice").await.unwrap(), None);
        assert_eq!(redis.cli_int(&["EXISTS", &format!("ai:worker:{id}:inbox")]), 0);
    }
}

#[tokio::test]
async fn a_worker_of_an_older_version_is_told_and_known_to_ignore_it() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let key = format!("ai:worker:{}", worker.id);
    let about = redis.cli(&["HGET", &key, "about"]);
    redis.cli(&["HSET", &key, "about", &about.replace(",\"hears\":true,\"claims\":true,\"told_by\":\"\"", "")]);
    assert_eq!(store.order(worker.id, Order::Quiet, "alice").await.unwrap(), Some(Ordered { hears: false }));
    let listed = store.workers().await.unwrap().remove(0);
    assert!(!listed.hears && !listed.claims && listed.told_by.is_empty());
}

#[tokio::test]
async fn an_order_that_nobody_reads_is_gone_with_its_inbox() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    store.order(worker.id, Order::Quiet, "alice").await.unwrap();
    let inbox = format!("ai:worker:{}:inbox", worker.id);
    assert!((1..=60).contains(&redis.cli_int(&["TTL", &inbox])));
    let before = Snapshot::take(&redis).contents();
    assert_eq!(store.order(WorkerId::fresh(), Order::Quiet, "alice").await.unwrap(), None);
    assert_eq!(Snapshot::take(&redis).contents(), before);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    store.order(worker.id, Order::Quiet, "alice").await.unwrap();
    let (about, inbox) = (format!("ai:worker:{}", worker.id), format!("ai:worker:{}:inbox", worker.id));
    let keys = ["ai:workers", about.as_str(), inbox.as_str()];
    refuses_wrong_types(&redis, &keys, async || store.order(worker.id, Order::Stop, "alice").await).await;
}
