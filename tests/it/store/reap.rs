//! Leases that ran out: who is charged, and who is not.

use std::time::Duration;

use windlass::domain::{FailureReason, JobId, JobState};
use windlass::store::{Answer, Claimed, Scope, Store, WorkspaceLimits};

use crate::support::audit::{Snapshot, audit};
use crate::support::calls::START;
use crate::support::jobs::{TestWorker, enqueue_many, enqueue_new, queue, spec, state, success, until_past, workspace};
use crate::support::redis::TestRedis;

/// A worker that claims, dies, and whose leases have run out.
async fn crash(redis: &TestRedis, store: &Store, want: usize) -> Vec<Claimed> {
    let worker = TestWorker::register(store).await;
    let claimed = worker.claim_and_lose(store, want).await;
    redis.forget_worker(worker.id);
    claimed
}

async fn counts(store: &Store, id: JobId) -> (JobState, u32, u32) {
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    (job.state, job.attempt, job.crashes)
}

#[tokio::test]
async fn an_expired_lease_of_a_dead_worker_charges_a_crash_and_no_attempt() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    let lost = crash(&redis, &store, 1).await.remove(0);
    let worker = TestWorker::register(&store).await;
    assert!(worker.claims(&store, 0).await.jobs.is_empty());
    assert_eq!(counts(&store, id).await, (JobState::Pending, 0, 1));
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!(job.failure.unwrap().reason, FailureReason::Crashed);
    assert_eq!(redis.cli_int(&["HGET", "ai:queue:stats", "lease_expiries"]), 1);
    audit(&redis);
    let again = worker.claim_one(&store).await;
    assert_eq!((again.job.id, again.job.attempt), (id, 1));
    assert_eq!(worker.end(&store, &lost, success()).await, Answer::Stale);
    assert_eq!(worker.end(&store, &again, success()).await, Answer::Done);
}

#[tokio::test]
async fn an_expired_lease_of_a_live_worker_is_a_lost_reply_and_charges_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    let worker = TestWorker::register(&store).await;
    for _ in 0..5 {
        assert_eq!(worker.claim_and_lose(&store, 1).await.len(), 1);
    }
    worker.claims(&store, 0).await;
    assert_eq!(counts(&store, id).await, (JobState::Pending, 0, 0));
    audit(&redis);
}

#[tokio::test]
async fn an_expired_lease_is_reaped_once() {
    let redis = TestRedis::start().await;
    let stores = [redis.store().await, redis.store().await, redis.store().await];
    enqueue_many(&stores[0], "ws", "r", 50, |_| {}).await;
    crash(&redis, &stores[0], 50).await;
    let mut calls = tokio::task::JoinSet::new();
    for i in 0..30 {
        let store = stores[i % 3].clone();
        calls.spawn(async move { TestWorker::register(&store).await.claims(&store, 0).await });
    }
    calls.join_all().await;
    assert_eq!(redis.cli_int(&["HGET", "ai:queue:stats", "lease_expiries"]), 50);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 50);
    audit(&redis);
}

#[tokio::test]
async fn who_let_its_own_registration_run_out_reaps_nobody() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    crash(&redis, &store, 1).await;
    let was_away = TestWorker::unregistered();
    assert!(was_away.claims(&store, 1).await.jobs.is_empty());
    assert_eq!(state(&store, id).await, JobState::Running);
    was_away.heartbeat(&store, Duration::from_secs(60)).await;
    assert_eq!(was_away.claim_one(&store).await.job.id, id);
}

#[tokio::test]
async fn a_caller_that_may_not_reap_leaves_leases_alone_and_is_not_called_back_for_them() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    crash(&redis, &store, 1).await;
    let careful = TestWorker { may_reap: false, ..TestWorker::register(&store).await };
    let claims = careful.claims(&store, 1).await;
    assert!(claims.jobs.is_empty());
    assert_eq!(claims.next_due, None);
    assert_eq!(state(&store, id).await, JobState::Running);
    assert_eq!(TestWorker::register(&store).await.claim_one(&store).await.job.id, id);
}

#[tokio::test]
async fn a_heartbeat_after_the_deadline_saves_a_lease_that_nobody_took() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    enqueue_new(&store, spec("r1")).await;
    let worker = TestWorker::register(&store).await;
    let late = worker.claim_and_lose(&store, 1).await.remove(0);
    let lease = windlass::store::LeaseRef { queue: queue(), job: late.job.id, attempt_id: late.attempt_id };
    let held = store.heartbeat(worker.id, Duration::from_secs(15), &worker.about(), &[lease]).await.unwrap();
    assert_eq!(held, [true]);
    assert!(TestWorker::register(&store).await.claim(&store, 1).await.is_empty());
    assert_eq!(worker.end(&store, &late, success()).await, Answer::Done);
}

#[tokio::test]
async fn a_worker_whose_last_heartbeat_fell_behind_a_claim_is_charged_the_crash() {
    let redis = TestRedis::start_halted(START).await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    let dead = TestWorker { lease: Duration::from_millis(1), ..TestWorker::register(&store).await };
    dead.claim_one(&store).await;
    redis.set_clock(START + 2);
    let registered = Duration::from_secs(2);
    dead.heartbeat(&store, registered).await;
    let end = store.now().await.unwrap().plus(registered);
    let other = TestWorker::register(&store).await;
    let claims = other.claims(&store, 1).await;
    assert!(claims.jobs.is_empty() && claims.next_due.is_some_and(|wait| wait <= registered));
    assert_eq!(state(&store, id).await, JobState::Running, "not known yet");
    audit(&redis);
    redis.set_clock(end.unix_ms() + 1);
    let claimed = other.claim_one(&store).await;
    assert_eq!((claimed.job.id, claimed.job.crashes), (id, 1));
    assert_eq!(redis.cli_int(&["HGET", "ai:queue:stats", "lease_expiries"]), 1);
    audit(&redis);
}

#[tokio::test]
async fn suspects_run_one_at_a_time() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    enqueue_many(&store, "ws", "r", 4, |_| {}).await;
    crash(&redis, &store, 4).await;
    assert_eq!(crash(&redis, &store, 4).await.len(), 4, "one crash makes no suspect");
    let fresh = enqueue_new(&store, spec("fresh")).await;
    let worker = TestWorker::register(&store).await;
    let first = worker.claim(&store, 10).await;
    assert_eq!(first.iter().filter(|c| c.job.crashes == 2).count(), 1);
    assert!(first.iter().any(|c| c.job.id == fresh), "jobs without a crash are not held up");
    assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:parked:normal:s"]), 3);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 3);
    audit(&redis);
    let busy = TestWorker { may_suspect: false, ..worker.clone() };
    let claims = busy.claims(&store, 10).await;
    assert!(claims.jobs.is_empty() && claims.declined, "it runs one already");
    for _ in 0..3 {
        assert_eq!(worker.claim(&store, 10).await.len(), 1);
    }
    audit(&redis);
}

#[tokio::test]
async fn the_third_crash_is_poison_and_the_neighbours_keep_their_attempts() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let bad = enqueue_new(&store, spec("bad")).await;
    let neighbours = enqueue_many(&store, "ws", "n", 3, |_| {}).await;
    for _ in 0..2 {
        assert_eq!(crash(&redis, &store, 4).await.len(), 4);
    }
    let mut crashes = 2;
    // Each suspect runs alone: the neighbours succeed, the bad one takes its worker with it.
    while state(&store, bad).await != JobState::Dead {
        let worker = TestWorker::register(&store).await;
        for claimed in worker.claim_and_lose(&store, 4).await {
            assert_eq!(claimed.job.attempt, 1, "no crash was charged as an attempt");
            if claimed.job.id == bad {
                redis.forget_worker(worker.id);
                crashes += 1;
            } else {
                assert!(neighbours.contains(&claimed.job.id));
                assert_eq!(worker.end(&store, &claimed, success()).await, Answer::Done);
            }
        }
        TestWorker::unregistered().claims(&store, 0).await;
    }
    assert_eq!(crashes, 3);
    let job = store.job(&Scope::All, bad).await.unwrap().unwrap();
    assert_eq!((job.crashes, job.failure.unwrap().reason), (3, FailureReason::Poison));
    let groups = store.dead_groups().await.unwrap();
    assert_eq!((groups[0].fingerprint.as_str(), groups[0].reason), ("poison", Some(FailureReason::Poison)));
    audit(&redis);
}

#[tokio::test]
async fn a_worker_whose_registration_ran_out_counts_as_dead() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    let worker = TestWorker::unregistered();
    worker.heartbeat(&store, Duration::from_millis(1)).await;
    let lost = worker.claim_and_lose(&store, 1).await;
    until_past(&store, store.now().await.unwrap()).await;
    assert_eq!(lost.len(), 1);
    TestWorker::register(&store).await.claims(&store, 0).await;
    assert_eq!(counts(&store, id).await, (JobState::Pending, 0, 1));
}

#[tokio::test]
async fn a_reaped_lease_gives_its_slot_back() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let limits = WorkspaceLimits { weight: 1, max_running: Some(2) };
    store.set_workspace_limits(&workspace("ws"), limits).await.unwrap();
    enqueue_many(&store, "ws", "r", 5, |_| {}).await;
    assert_eq!(crash(&redis, &store, 5).await.len(), 2);
    let worker = TestWorker::register(&store).await;
    worker.claims(&store, 0).await;
    assert!(Snapshot::take(&redis).items("ai:queue:slots:ws").is_empty());
    audit(&redis);
    assert_eq!(worker.claim(&store, 5).await.len(), 2, "as many as the cap allows");
    audit(&redis);
}

#[tokio::test]
async fn more_orphans_than_one_call_takes_come_back_bit_by_bit() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    enqueue_many(&store, "ws", "r", 250, |_| {}).await;
    let worker = TestWorker::unregistered();
    let brief = TestWorker { lease: Duration::from_millis(1), may_reap: false, ..worker };
    for _ in 0..3 {
        brief.claim_and_lose(&store, 100).await;
    }
    let other = TestWorker::register(&store).await;
    for left in [150, 50] {
        assert_eq!(other.claims(&store, 0).await.next_due, Some(Duration::ZERO), "there is more to do at once");
        assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:running"]), left + 1);
    }
    assert_eq!(other.claims(&store, 0).await.next_due, None);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 250);
    audit(&redis);
}
