//! Leases are kept as long as the process lives and Redis answers, whatever the handlers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use windlass::domain::{JobState, RawJson};

use crate::support::fleet::{Gated, reaches, registry, short_lease, start};
use crate::support::jobs::{enqueue_new, from_now, spec};
use crate::support::processes::{stat, wait_for};
use crate::support::proxy::Proxy;
use crate::support::redis::TestRedis;

/// The lease deadlines, latest first; the sentinel at +inf left out.
fn deadline(redis: &TestRedis) -> f64 {
    let all = redis.cli(&["ZRANGE", "ai:queue:running", "0", "-1", "WITHSCORES"]);
    let scores = all.lines().filter_map(|l| l.parse::<f64>().ok()).filter(|s| s.is_finite());
    scores.fold(0.0, f64::max)
}

/// Blocks until the leases were renewed so often that they would have run out otherwise.
fn outlive_the_lease(redis: &TestRedis, lease_ms: f64) {
    wait_for("a lease is held", || deadline(redis) > 0.0);
    let first = deadline(redis);
    wait_for("the lease is renewed", || deadline(redis) > first + lease_ms + 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_that_block_every_thread_do_not_starve_the_lease_keeper() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let enough = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&enough);
    let registry = registry(move |_| {
        let until = Arc::clone(&until);
        async move {
            while !until.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            Ok(RawJson::from_compact("1"))
        }
    });
    let ids = [enqueue_new(&store, spec("a")).await, enqueue_new(&store, spec("b")).await];
    let worker = start(&store, &registry, short_lease(2000));
    outlive_the_lease(&redis, 2000.0);
    enough.store(true, Ordering::Relaxed);
    for id in ids {
        assert_eq!(reaches(&store, id, JobState::Succeeded).await.attempt, 1);
    }
    assert_eq!(stat(&redis, "lease_expiries"), 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_breaks_for_a_moment_costs_no_attempt() {
    let redis = TestRedis::start().await;
    let proxy = Proxy::start(&redis).await;
    let (store, through) = (redis.store().await, proxy.store().await);
    let mut jobs = Gated::new();
    let worker = start(&through, &jobs.registry, short_lease(3000));
    let id = enqueue_new(&store, spec("r")).await;
    jobs.began().await;
    proxy.refuse();
    proxy.forward();
    outlive_the_lease(&redis, 3000.0);
    jobs.go.add_permits(1);
    assert_eq!(reaches(&store, id, JobState::Succeeded).await.attempt, 1);
    assert_eq!((stat(&redis, "lease_expiries"), stat(&redis, "released"), jobs.more_begun()), (0, 0, 0));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_dies_silently_is_replaced_before_the_lease_ends() {
    let redis = TestRedis::start().await;
    let proxy = Proxy::start(&redis).await;
    let (store, through) = (redis.store().await, proxy.store().await);
    let mut jobs = Gated::new();
    let worker = start(&through, &jobs.registry, short_lease(9000));
    let id = enqueue_new(&store, spec("r")).await;
    jobs.began().await;
    let first = deadline(&redis);
    proxy.silence_old();
    wait_for("the lease is renewed over a new connection", || deadline(&redis) > first);
    jobs.go.add_permits(1);
    assert_eq!(reaches(&store, id, JobState::Succeeded).await.attempt, 1);
    assert_eq!((stat(&redis, "lease_expiries"), stat(&redis, "released"), jobs.more_begun()), (0, 0, 0));
    worker.stop().await;
}

#[tokio::test]
async fn a_full_worker_waits_without_turning() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let mut jobs = Gated::new();
    let mut options = short_lease(500);
    options.slots = 1;
    let mut later = spec("later");
    later.run_at = Some(from_now(&store, 300).await);
    let later = enqueue_new(&store, later).await;
    let id = enqueue_new(&store, spec("r")).await;
    let worker = start(&store, &jobs.registry, options);
    assert_eq!(jobs.began().await.id, id);
    // On another thread, whose CPU time does not count: past the moment at which the later job is due
    // and the claim loop wants to look again.
    let (redis, used) = (Arc::new(redis), thread_ticks());
    let watched = Arc::clone(&redis);
    tokio::task::spawn_blocking(move || outlive_the_lease(&watched, 1500.0)).await.unwrap();
    let used = thread_ticks() - used;
    assert!(used < 12, "{used} ticks of CPU for 150 ticks of waiting");
    jobs.go.add_permits(2);
    for id in [id, later] {
        reaches(&store, id, JobState::Succeeded).await;
    }
    worker.stop().await;
}

/// CPU time of this thread (and so of a single-threaded runtime) in hundredths of a second.
fn thread_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
