//! A worker that is cut off stops by itself, and what it says afterwards counts for nothing.

use windlass::domain::JobState;
use windlass::engine::Control;
use windlass::store::Scope;

use crate::support::fleet::{Gated, reaches, short_lease, start};
use crate::support::jobs::{enqueue_new, spec};
use crate::support::processes::stat;
use crate::support::proxy::Proxy;
use crate::support::redis::TestRedis;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_cut_off_stops_its_handlers_before_others_may_start() {
    let redis = TestRedis::start().await;
    let proxy = Proxy::start(&redis).await;
    let (store, through) = (redis.store().await, proxy.store().await);
    let (mut cut_off, mut healthy) = (Gated::new(), Gated::new());
    let first = start(&through, &cut_off.registry, short_lease(3000));
    let id = enqueue_new(&store, spec("r")).await;
    let context = cut_off.began().await;
    assert!(context.before_effect().is_ok());
    let second = start(&store, &healthy.registry, short_lease(3000));
    proxy.go_silent();
    let again = tokio::select! {
        biased;
        gone = cut_off.gone() => { assert_eq!(gone, id); None }
        again = healthy.began() => Some(again),
    };
    assert!(again.is_none(), "two handlers at once");
    assert!(context.before_effect().is_err() && context.cancelled.is_cancelled());
    let again = healthy.began().await;
    assert_eq!((again.id, again.attempt), (id, 1), "nothing is charged for a lease that ran out on the way");
    proxy.forward();
    healthy.go.add_permits(1);
    assert_eq!(reaches(&store, id, JobState::Succeeded).await.result.unwrap().as_str(), "\"done\"");
    first.stop().await;
    second.stop().await;
    assert_eq!(stat(&redis, "succeeded"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_cut_off_goes_on_by_itself() {
    let redis = TestRedis::start().await;
    let proxy = Proxy::start(&redis).await;
    let (store, through) = (redis.store().await, proxy.store().await);
    let mut jobs = Gated::new();
    let worker = start(&through, &jobs.registry, short_lease(600));
    let id = enqueue_new(&store, spec("r")).await;
    jobs.began().await;
    proxy.refuse();
    jobs.gone().await;
    proxy.forward();
    assert_eq!(jobs.began().await.id, id);
    jobs.go.add_permits(1);
    let job = reaches(&store, id, JobState::Succeeded).await;
    assert_eq!((job.attempt, job.crashes), (1, 0));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_attempt_stops_and_may_start_no_effect() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let mut jobs = Gated::new();
    // With heartbeats 20 s apart only the inbox can be this quick.
    let worker = start(&store, &jobs.registry, short_lease(60_000));
    let id = enqueue_new(&store, spec("r")).await;
    let context = jobs.began().await;
    Control::new(store.clone()).cancel(&Scope::All, id, "test").await.unwrap();
    let gone = tokio::time::timeout(std::time::Duration::from_secs(10), jobs.gone()).await;
    assert_eq!(gone.expect("within half a heartbeat"), id);
    assert!(context.before_effect().is_err());
    let next = enqueue_new(&store, spec("next")).await;
    assert_eq!(jobs.began().await.id, next, "the slot is free again");
    jobs.go.add_permits(1);
    reaches(&store, next, JobState::Succeeded).await;
    worker.stop().await;
    assert_eq!(store.job(&Scope::All, id).await.unwrap().unwrap().state, JobState::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_stood_still_longer_than_a_lease_charges_nobody() {
    let redis = TestRedis::start().await;
    let store = redis.store_with(|o| o.command_timeout = std::time::Duration::from_secs(1)).await;
    let (mut jobs, other) = (Gated::new(), Gated::new());
    let workers = [start(&store, &jobs.registry, short_lease(1500)), start(&store, &other.registry, short_lease(1500))];
    let id = enqueue_new(&store, spec("r")).await;
    let mut other = other;
    let busy = tokio::select! {
        _ = jobs.began() => &mut jobs,
        _ = other.began() => &mut other,
    };
    let server = nix::unistd::Pid::from_raw(redis.pid());
    nix::sys::signal::kill(server, nix::sys::signal::Signal::SIGSTOP).unwrap();
    assert_eq!(busy.gone().await, id);
    nix::sys::signal::kill(server, nix::sys::signal::Signal::SIGCONT).unwrap();
    jobs.go.add_permits(1);
    other.go.add_permits(1);
    let job = reaches(&store, id, JobState::Succeeded).await;
    assert_eq!((job.attempt, job.crashes), (1, 0));
    for worker in workers {
        worker.stop().await;
    }
}
