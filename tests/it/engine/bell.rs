//! Idle workers are woken, not polled for.

use std::time::Duration;

use windlass::domain::{JobState, QueueName, Timestamp};

use crate::support::fleet::{Gated, options, reaches, registry, short_lease, start};
use crate::support::jobs::{enqueue_new, spec, spec_of};
use crate::support::redis::TestRedis;

/// Calls of a command that clients made.
fn calls(redis: &TestRedis, command: &str) -> i64 {
    let stats = redis.cli(&["INFO", "commandstats"]);
    let line = stats.lines().find_map(|l| l.strip_prefix(&format!("cmdstat_{command}:calls=")).map(str::to_owned));
    line.and_then(|l| l.split(',').next().and_then(|n| n.parse().ok())).unwrap_or(0)
}

async fn blocked(redis: &TestRedis, count: i64) {
    let want = format!("blocked_clients:{count}");
    crate::support::fleet::eventually("idle workers block", || {
        redis.cli(&["INFO", "clients"]).lines().any(|l| l.trim() == want)
    })
    .await;
}

#[tokio::test]
async fn an_idle_worker_asks_once_per_wait() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let registry = registry(|context| async move { Ok(context.raw_input().clone()) });
    let worker = start(&store, &registry, short_lease(1500));
    blocked(&redis, 2).await;
    let (scripts, waits) = (calls(&redis, "evalsha"), calls(&redis, "blpop"));
    crate::support::fleet::eventually("four waits pass", || calls(&redis, "blpop") >= waits + 4).await;
    let (scripts, waits) = (calls(&redis, "evalsha") - scripts, calls(&redis, "blpop") - waits);
    assert!(scripts <= 2 * waits + 3, "a claim and a heartbeat per wait, not {scripts} scripts in {waits} waits");
    worker.stop().await;
}

#[tokio::test]
async fn a_bell_wakes_an_idle_worker_before_its_wait_is_over() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let registry = registry(|context| async move { Ok(context.raw_input().clone()) });
    let worker = start(&store, &registry, short_lease(60_000));
    blocked(&redis, 2).await;
    for n in 0..3 {
        let id = enqueue_new(&store, spec(&format!("r{n}"))).await;
        let job = reaches(&store, id, JobState::Succeeded).await;
        let waited = job.started_at.unwrap().since(job.created_at);
        assert!(waited < Duration::from_secs(4), "the wait is 5 s, and the job waited {waited:?}");
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_scheduled_job_starts_when_it_is_due() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let registry = registry(|context| async move { Ok(context.raw_input().clone()) });
    let worker = start(&store, &registry, short_lease(60_000));
    blocked(&redis, 2).await;
    let mut later = spec("later");
    let due = store.now().await.unwrap().unix_ms() + 300;
    later.run_at = Some(Timestamp::from_unix_ms(due));
    let id = enqueue_new(&store, later).await;
    let job = reaches(&store, id, JobState::Succeeded).await;
    let started = job.started_at.unwrap().unix_ms();
    assert!((due..due + 4000).contains(&started), "due at {due}, started at {started}");
    worker.stop().await;
}

#[tokio::test]
async fn a_full_worker_hands_its_token_on() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (mut full, mut idle) = (Gated::new(), Gated::new());
    let mut one_slot = short_lease(60_000);
    one_slot.slots = 1;
    let first = start(&store, &full.registry, one_slot);
    blocked(&redis, 2).await;
    // Due soon: the worker claims it while its wait for the bell is under way.
    let mut soon = spec("soon");
    soon.run_at = Some(Timestamp::from_unix_ms(store.now().await.unwrap().unix_ms() + 300));
    let soon = enqueue_new(&store, soon).await;
    assert_eq!(full.began().await.id, soon);
    let second = start(&store, &idle.registry, short_lease(60_000));
    blocked(&redis, 4).await;
    let id = enqueue_new(&store, spec("next")).await;
    assert_eq!(idle.began().await.id, id);
    full.go.add_permits(1);
    idle.go.add_permits(1);
    for id in [soon, id] {
        let job = reaches(&store, id, JobState::Succeeded).await;
        let able = job.run_at.unwrap_or(job.created_at);
        assert!(job.started_at.unwrap().since(able) < Duration::from_secs(4));
    }
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_worker_serves_all_its_queues_whatever_their_weights() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let names: Vec<QueueName> = ["heavy", "light", "rare"].iter().map(|n| QueueName::new(n).unwrap()).collect();
    let mut ids = Vec::new();
    for n in 0..60 {
        let mut spec = spec_of("ws", &format!("r{n}"));
        spec.queue = names[n % 3].clone();
        ids.push(enqueue_new(&store, spec).await);
    }
    let mut options = options();
    options.queues = names.iter().cloned().zip([100, 10, 1]).collect();
    let registry = registry(|context| async move { Ok(context.raw_input().clone()) });
    let worker = start(&store, &registry, options);
    for id in ids {
        reaches(&store, id, JobState::Succeeded).await;
    }
    for name in ["heavy", "light", "rare"] {
        assert_eq!(redis.cli_int(&["LLEN", &format!("ai:queue:pending:{name}")]), 0);
    }
    worker.stop().await;
}
