//! A worker that is told to stop takes nothing more and loses nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use windlass::domain::{JobState, RawJson};
use windlass::store::Scope;

use crate::support::fleet::{Gated, options, reaches, registry, short_lease, start};
use crate::support::jobs::{enqueue_new, spec};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn a_stopping_worker_finishes_what_runs_and_claims_nothing_more() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let mut jobs = Gated::new();
    let mut options = options();
    options.slots = 1;
    let worker = start(&store, &jobs.registry, options);
    let running = enqueue_new(&store, spec("running")).await;
    jobs.began().await;
    let waiting = enqueue_new(&store, spec("waiting")).await;
    worker.ask_to_stop();
    worker.is_draining().await;
    jobs.go.add_permits(5);
    worker.stop().await;
    let job = store.job(&Scope::All, running).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt), (JobState::Succeeded, 1));
    let job = store.job(&Scope::All, waiting).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt, jobs.more_begun()), (JobState::Pending, 0, 0));
    assert_eq!(redis.cli_int(&["ZCARD", "ai:workers"]), 0, "no ghost");
}

#[tokio::test]
async fn new_work_goes_to_others_while_a_worker_drains() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (mut old, mut new) = (Gated::new(), Gated::new());
    let leaving = start(&store, &old.registry, options());
    let last = enqueue_new(&store, spec("last")).await;
    old.began().await;
    leaving.ask_to_stop();
    leaving.is_draining().await;
    let staying = start(&store, &new.registry, options());
    for n in 0..3 {
        let id = enqueue_new(&store, spec(&format!("r{n}"))).await;
        assert_eq!(new.began().await.id, id);
    }
    old.go.add_permits(1);
    new.go.add_permits(3);
    reaches(&store, last, JobState::Succeeded).await;
    leaving.stop().await;
    staying.stop().await;
    assert_eq!((old.more_begun(), redis.cli_int(&["LLEN", "ai:queue:pending"])), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_cannot_be_stopped_does_not_hold_up_the_end() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let began = Arc::new(Notify::new());
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let (b, gate) = (Arc::clone(&began), Arc::new(Mutex::new(gate)));
    let registry = registry(move |_| {
        let (b, gate) = (Arc::clone(&b), Arc::clone(&gate));
        async move {
            b.notify_one();
            // Blocks its thread until the test is over.
            let _ = gate.lock().unwrap().recv();
            Ok(RawJson::from_compact("1"))
        }
    });
    let mut options = short_lease(3000);
    options.drain_grace = Duration::from_millis(10);
    let worker = start(&store, &registry, options);
    let id = enqueue_new(&store, spec("r")).await;
    began.notified().await;
    let handle = worker.handle.clone();
    worker.stop().await;
    assert_eq!(handle.health().leaked, 1);
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt), (JobState::Pending, 0));
    drop(go);
}
