//! Worker processes that are told something from afar.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use windlass::domain::{JobState, Order, RawJson, WorkerState};
use windlass::engine::{Control, Registry};
use windlass::store::{Blocker, Scope, Store};

use crate::support::fleet::{Gated, Running, eventually, options, reaches, registry, registry_of, start, until};
use crate::support::jobs::{enqueue_new, kind, shaped, spec};
use crate::support::redis::TestRedis;

/// A registry that counts what it runs.
fn counting() -> (Arc<Registry>, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let registry = registry(move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        async { Ok(RawJson::from_compact("1")) }
    });
    (registry, count)
}

async fn tell(store: &Store, worker: &Running, order: Order) {
    let id = worker.handle.health().id;
    let told = Control::new(store.clone()).order(id, order, "alice").await.unwrap();
    assert!(told.hears);
}

/// Waits until the fleet's list shows this worker in a state.
async fn shows(store: &Store, worker: &Running, state: WorkerState) {
    let id = worker.handle.health().id;
    let found = async || {
        let listed = store.workers().await.unwrap().into_iter().find(|one| one.id == id)?;
        (listed.state() == state && listed.claims == (state == WorkerState::Active)).then_some(listed)
    };
    let listed = until("the worker shows how it stands", found).await;
    assert_eq!(listed.told_by, if state == WorkerState::Active { "" } else { "alice" });
}

#[tokio::test]
async fn a_quiet_worker_finishes_what_it_runs_claims_nothing_and_claims_again_when_told() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let mut jobs = Gated::new();
    let quiet = start(&store, &jobs.registry, options());
    let running = enqueue_new(&store, spec("running")).await;
    jobs.began().await;
    tell(&store, &quiet, Order::Quiet).await;
    shows(&store, &quiet, WorkerState::Quiet).await;
    assert!(quiet.handle.health().quiet);
    let (others, count) = counting();
    let other = start(&store, &others, options());
    for n in 0..20 {
        let id = enqueue_new(&store, spec(&format!("r{n}"))).await;
        reaches(&store, id, JobState::Succeeded).await;
    }
    assert_eq!((count.load(Ordering::SeqCst), jobs.more_begun()), (20, 0));
    jobs.go.add_permits(1);
    reaches(&store, running, JobState::Succeeded).await;
    other.stop().await;
    let waiting = enqueue_new(&store, spec("waiting")).await;
    let why = store.why(&Scope::All, waiting).await.unwrap().unwrap();
    assert_eq!((why.blocker, why.crew.told_by), (Blocker::NotClaiming(WorkerState::Quiet), vec!["alice".to_owned()]));
    tell(&store, &quiet, Order::Resume).await;
    shows(&store, &quiet, WorkerState::Active).await;
    jobs.go.add_permits(1);
    assert_eq!(jobs.began().await.id, waiting);
    reaches(&store, waiting, JobState::Succeeded).await;
    quiet.stop().await;
}

#[tokio::test]
async fn jobs_that_only_a_quiet_worker_runs_come_back_when_it_claims_again() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (registry, count) = counting();
    let quiet = start(&store, &registry, options());
    shows(&store, &quiet, WorkerState::Active).await;
    tell(&store, &quiet, Order::Quiet).await;
    shows(&store, &quiet, WorkerState::Quiet).await;
    let waiting = enqueue_new(&store, spec("waiting")).await;
    let strange = registry_of("other", |_| async { Ok(RawJson::from_compact("1")) });
    let other = start(&store, &strange, options());
    let theirs = enqueue_new(&store, shaped("ws", "theirs", |s| s.job_type = kind("other"))).await;
    reaches(&store, theirs, JobState::Succeeded).await;
    eventually("it is parked", || redis.cli_int(&["ZCARD", "ai:queue:parked:normal:o:echo"]) == 1).await;
    let why = store.why(&Scope::All, waiting).await.unwrap().unwrap();
    assert_eq!((why.blocker, why.crew.offered_by_others), (Blocker::TypeNotOffered, 1));
    tell(&store, &quiet, Order::Resume).await;
    reaches(&store, waiting, JobState::Succeeded).await;
    assert_eq!(count.load(Ordering::SeqCst), 1);
    other.stop().await;
    quiet.stop().await;
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_gives_back_what_it_cannot_finish_uncharged() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (mut jobs, mut next) = (Gated::new(), Gated::new());
    let leaving =
        start(&store, &jobs.registry, windlass::engine::WorkerOptions { drain_grace: Duration::ZERO, ..options() });
    let id = enqueue_new(&store, spec("r")).await;
    jobs.began().await;
    tell(&store, &leaving, Order::Stop).await;
    // Nothing else asked it to: `ended` would hang if it went on.
    leaving.ended().await;
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt, job.crashes), (JobState::Pending, 0, 0));
    assert!(store.workers().await.unwrap().is_empty(), "no ghost");
    let staying = start(&store, &next.registry, options());
    next.go.add_permits(1);
    assert_eq!(next.began().await.id, id);
    assert_eq!(reaches(&store, id, JobState::Succeeded).await.attempt, 1);
    staying.stop().await;
}

#[tokio::test]
async fn a_worker_whose_claims_fail_says_that_it_is_deaf_and_recovers() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (registry, _) = counting();
    let worker = start(&store, &registry, options());
    let first = enqueue_new(&store, spec("first")).await;
    reaches(&store, first, JobState::Succeeded).await;
    let id = enqueue_new(&store, shaped("ws", "odd", |s| s.job_type = kind("odd"))).await;
    // Claims meet a key of a wrong type, heartbeats do not.
    redis.cli(&["RENAME", "ai:queue:fair", "ai:saved"]);
    redis.cli(&["SET", "ai:queue:fair", "of a wrong type"]);
    let blocker = async |wanted: Blocker| {
        let why = store.why(&Scope::All, id).await.unwrap().unwrap();
        (why.blocker == wanted).then_some(())
    };
    until("it is deaf", async || blocker(Blocker::NotClaiming(WorkerState::Deaf)).await).await;
    redis.cli(&["DEL", "ai:queue:fair"]);
    redis.cli(&["RENAME", "ai:saved", "ai:queue:fair"]);
    until("it hears again", async || blocker(Blocker::TypeNotOffered).await).await;
    worker.stop().await;
}
