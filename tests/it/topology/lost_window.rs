//! Acknowledged writes that a promotion or a restore takes away are noticed; what is complete is not suspected.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use windlass::domain::JobState;
use windlass::engine::{Delivery, EventHub, Guard, Subscription};
use windlass::store::{Answer, Store, StoreOptions};

use super::pair::Pair;
use crate::support::fleet::{eventually, reaches};
use crate::support::jobs::{TestWorker, enqueue_new, spec, state, success};
use crate::support::proxy::Proxy;
use crate::support::redis::TestRedis;

/// A process of its own, as far as Redis can tell.
struct Member {
    store: Store,
    guard: Guard,
}

impl Member {
    async fn at(address: &Proxy) -> Self {
        let options =
            StoreOptions { pool_size: 2, ..StoreOptions::new(&format!("redis://127.0.0.1:{}", address.port())) };
        let store = Store::connect(options).await.unwrap();
        store.wait_connected(Duration::from_secs(20)).await.unwrap();
        let guard = Guard::start(store.clone(), CancellationToken::new());
        assert!(guard.first_look().await.ready());
        Self { store, guard }
    }

    fn epoch(&self) -> String {
        self.guard.findings().epoch
    }
}

/// The first delivery of a kind.
async fn told<T>(events: &mut Subscription, wanted: impl Fn(Delivery) -> Option<T>) -> T {
    let look = async {
        loop {
            if let Some(found) = wanted(events.next().await.expect("the hub runs")) {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), look).await.expect("it is told")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_behind_one_address_that_lost_writes_is_noticed_by_all() {
    let mut pair = Pair::start().await;
    let address = Proxy::start(&pair.primary).await;
    let (one, two) = (Member::at(&address).await, Member::at(&address).await);
    let before = one.epoch();
    let kept = enqueue_new(&one.store, spec("kept")).await;
    let worker = TestWorker::register(&one.store).await;
    let hub = EventHub::start(one.store.clone(), CancellationToken::new()).unwrap();
    let mut events = hub.subscribe(kept);
    eventually("the hub listens", || pair.primary.ask(&["CLIENT", "LIST"]).contains("cmd=xread")).await;
    // A connection's own WAIT covers its own writes; this is what the replica really has.
    eventually("the replica has it", || pair.replica.ask(&["HEXISTS", "ai:jobs", &kept.to_string()]) == "1").await;
    pair.between.go_silent();

    let claimed = worker.claim_one(&one.store).await;
    let event = told(&mut events, |delivery| match delivery {
        Delivery::Event(event) => Some(event),
        Delivery::Reset | Delivery::Text => None,
    })
    .await;
    enqueue_new(&two.store, spec("lost")).await;
    pair.fail_over();
    // Others write at once: that the log goes on hides nothing.
    enqueue_new(&pair.replica.store().await, spec("new")).await;
    address.point_to(&pair.replica);

    eventually("both notice", || one.epoch() != before && two.epoch() == one.epoch() && !one.epoch().is_empty()).await;
    assert_eq!(pair.replica.ask(&["GET", "ai:epoch"]), one.epoch());
    // Whoever waits is told to read anew.
    told(&mut events, |delivery| matches!(delivery, Delivery::Reset).then_some(())).await;
    let resumed = hub.since(kept, &event.cursor).await.unwrap();
    assert!(matches!(resumed[..], [Delivery::Reset, ..]), "{resumed:?}");

    // The claim is forgotten, and so its fence holds.
    assert_eq!(state(&one.store, kept).await, JobState::Pending);
    assert_eq!(worker.end(&one.store, &claimed, success()).await, Answer::Stale);
    worker.heartbeat(&one.store, Duration::from_secs(60)).await;
    let after = one.epoch();
    assert_eq!(worker.work_off(&one.store, 10).await.len(), 2);
    reaches(&two.store, kept, JobState::Succeeded).await;
    assert_eq!(one.store.server_facts().await.unwrap().epoch, after, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_lost_nothing_is_no_loss() {
    let mut pair = Pair::start().await;
    let address = Proxy::start(&pair.primary).await;
    let member = Member::at(&address).await;
    let before = member.guard.findings();
    let id = enqueue_new(&member.store, spec("kept")).await;
    // A connection's own WAIT covers its own writes; this is what the replica really has.
    eventually("the replica has it", || pair.replica.ask(&["HEXISTS", "ai:jobs", &id.to_string()]) == "1").await;
    pair.fail_over();
    address.point_to(&pair.replica);
    eventually("the new server is seen", || {
        let now = member.guard.findings();
        now.ready() && now.run_id != before.run_id
    })
    .await;
    assert_eq!(member.epoch(), before.epoch);
}

async fn restarted(redis: &mut TestRedis, guard: &Guard) -> String {
    let run = guard.findings().run_id;
    redis.launch().await;
    eventually("the restart is seen", || guard.findings().ready() && guard.findings().run_id != run).await;
    guard.findings().epoch
}

#[tokio::test]
async fn a_restart_with_everything_is_no_loss_and_one_with_less_is() {
    let mut redis = TestRedis::start_durable().await;
    let store = redis.store().await;
    let guard = Guard::start(store.clone(), CancellationToken::new());
    let before = guard.first_look().await.epoch;
    enqueue_new(&store, spec("a")).await;
    let (files, backup) = (redis.folder().join("appendonlydir"), redis.folder().join("backup"));
    redis.kill();
    std::fs::create_dir(&backup).unwrap();
    for file in std::fs::read_dir(&files).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), backup.join(file.file_name())).unwrap();
    }
    assert_eq!(restarted(&mut redis, &guard).await, before);

    enqueue_new(&store, spec("b")).await;
    redis.kill();
    std::fs::remove_dir_all(&files).unwrap();
    std::fs::rename(&backup, &files).unwrap();
    assert_ne!(restarted(&mut redis, &guard).await, before, "`b` was acknowledged and is gone");
}
