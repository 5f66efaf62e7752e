//! `DURABILITY=strict`: what is acknowledged survives the primary.

use tokio_util::sync::CancellationToken;
use windlass::domain::{EffectClass, JobId, JobState, RawJson};
use windlass::engine::Guard;
use windlass::store::{Answer, Cancelled, Enqueued, Finished, Redriven, Scope, Store, StoreError, Unheld, Unhold};

use super::pair::{Pair, strict_of};
use crate::support::api::Api;
use crate::support::fleet::{eventually, options, reaches, registry, start};
use crate::support::jobs::{TestWorker, death, enqueue_new, hold, queue, spec, state, success};
use crate::support::processes::stat;
use crate::support::redis::TestRedis;

async fn try_enqueue(store: &Store, request: &str) -> Result<JobId, StoreError> {
    let id = JobId::new(store.now().await?.unix_ms() as u64, 0);
    match store.enqueue(&queue(), &[(id, spec(request))]).await?.remove(0) {
        Enqueued::New(job) => Ok(job.id),
        other => panic!("expected a new job, got {other:?}"),
    }
}

fn not_durable<T: std::fmt::Debug>(outcome: Result<T, StoreError>) {
    assert!(matches!(outcome, Err(StoreError::NotDurable(_))), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_over_http_waits_for_the_replica_and_is_no_2xx_without_it() {
    let Pair { primary, replica: _replica, between } = Pair::start().await;
    let store = strict_of(&primary, 1).await;
    let api = Api::start_on(primary, store, |_, _| {}).await;
    let key = api.client_key("acme").await;
    let ready = api.get("", "/ready").await.json();
    assert_eq!((&ready["durability"], &ready["checks"]["durability"]["status"]), (&"strict".into(), &"ok".into()));
    let first = api.submit(&key, "r1").await;
    assert_eq!(first.status, 202, "{first:?}");
    let cancel = format!("/ai/jobs/{}/cancel", first.id());

    between.go_silent();
    for request in ["r2", "r2", "r1"] {
        let answer = api.submit(&key, request).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "durability_unknown"), "{request}: {answer:?}");
        assert!(answer.header("retry-after").is_some());
    }
    // The second finds the job cancelled already, and may not take that for granted either.
    for _ in 0..2 {
        let answer = api.command(&key, &cancel).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "durability_unknown"), "{answer:?}");
    }

    between.forward();
    assert_eq!(api.command(&key, &cancel).await.status, 200);
    let second = api.submit(&key, "r2").await;
    assert_eq!((second.status, second.header("idempotent-replayed")), (200, Some("true")), "{second:?}");
    assert_eq!(api.submit(&key, "r3").await.status, 202);
}

#[tokio::test]
async fn every_verb_whose_answer_is_a_promise_waits() {
    let pair = Pair::start().await;
    let (store, plain) = (pair.strict().await, pair.primary.store().await);
    let worker = TestWorker::register(&plain).await;
    let (dead, done) = (enqueue_new(&plain, spec("dead")).await, enqueue_new(&plain, spec("done")).await);
    let held = enqueue_new(&plain, spec("held")).await;
    let claimed = worker.claim(&plain, 3).await;
    let of = |id| claimed.iter().find(|c| c.job.id == id).cloned().unwrap();
    assert_eq!(worker.end(&plain, &of(dead), death()).await, Answer::Done);
    assert_eq!(worker.end(&plain, &of(held), hold()).await, Answer::Done);
    let waiting = enqueue_new(&plain, spec("waiting")).await;
    pair.between.go_silent();

    not_durable(store.redrive(&queue(), dead, None).await);
    not_durable(store.cancel(&queue(), waiting).await);
    not_durable(try_enqueue(&store, "new").await);
    not_durable(store.confirm().await);
    let begin = async || store.effect_begin(&of(done), "send", EffectClass::Once, false, "").await;
    not_durable(begin().await);
    not_durable(store.effect_note(&of(done), "send", &RawJson::from_compact("1")).await);
    not_durable(store.unhold(&queue(), held, None, Unhold::Release).await);
    // The report is kept to be repeated; what was claimed beside it is leased and arrives.
    let report = [Finished { claimed: of(done), ending: success() }];
    let (answers, claims) = store.cycle(&report, &worker.request(1)).await.unwrap();
    assert_eq!((answers, claims.jobs.len()), (vec![Answer::Unconfirmed], 1));
    assert_eq!(store.release(&queue(), &report).await.unwrap(), [Answer::Unconfirmed]);
    // Claims and heartbeats promise nothing and wait for nothing.
    assert_eq!(worker.claims(&store, 1).await.jobs.len(), 1);
    worker.heartbeat(&store, worker.lease).await;

    pair.between.forward();
    assert_eq!(store.release(&queue(), &report).await.unwrap(), [Answer::DoneBefore]);
    assert_eq!(store.cancel(&queue(), waiting).await.unwrap(), Cancelled::NotLive);
    assert_eq!(store.redrive(&queue(), dead, None).await.unwrap(), Redriven::NotRedrivable);
    assert_eq!(store.unhold(&queue(), held, None, Unhold::Release).await.unwrap(), Unheld::NotHeld);
    store.confirm().await.unwrap();
}

#[tokio::test]
async fn a_repeat_that_wrote_nothing_waits_for_what_it_repeats() {
    let pair = Pair::start().await;
    let (plain, strict) = (pair.primary.store().await, pair.strict().await);
    pair.between.go_silent();
    let id = enqueue_new(&plain, spec("r")).await;
    // A connection that never wrote: Redis would call its WAIT fulfilled at once.
    not_durable(strict.enqueue(&queue(), &[(id, spec("r"))]).await);
    pair.between.forward();
    assert!(matches!(strict.enqueue(&queue(), &[(id, spec("r"))]).await.unwrap()[0], Enqueued::New(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_repeats_its_report_until_the_replica_has_it_and_takes_no_more_meanwhile() {
    let pair = Pair::start().await;
    let (store, plain) = (pair.strict().await, pair.primary.store().await);
    let began = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&began);
    let registry = registry(move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async { Ok(RawJson::from_compact("1")) }
    });
    let worker = start(&store, &registry, options());
    let first = enqueue_new(&plain, spec("first")).await;
    reaches(&plain, first, JobState::Succeeded).await;
    // Behind the worker's own wait: once this is answered, so is that.
    store.confirm().await.unwrap();
    pair.between.go_silent();
    let second = enqueue_new(&plain, spec("second")).await;
    // Written, and reported again and again.
    reaches(&plain, second, JobState::Succeeded).await;
    let calls = || pair.primary.ask(&["INFO", "commandstats"]);
    let waits = |stats: &str| {
        let line = stats.lines().find_map(|l| l.strip_prefix("cmdstat_wait:calls="));
        line.and_then(|l| l.split(',').next()?.parse::<u32>().ok()).unwrap_or_default()
    };
    let before = waits(&calls());
    eventually("the report is repeated", || waits(&calls()) > before + 1).await;
    let third = enqueue_new(&plain, spec("third")).await;
    let before = waits(&calls());
    eventually("it is repeated again", || waits(&calls()) > before).await;
    assert_eq!(state(&plain, third).await, JobState::Pending, "no more jobs while a report is in doubt");
    pair.between.forward();
    reaches(&plain, third, JobState::Succeeded).await;
    worker.stop().await;
    assert_eq!(began.load(std::sync::atomic::Ordering::SeqCst), 3);
    assert_eq!(stat(&pair.primary, "succeeded"), 3);
}

/// Enqueues from several sides until the primary is gone; what was acknowledged.
async fn enqueue_until_the_end(store: &Store, prefix: &str, from: std::ops::Range<usize>) -> Vec<JobId> {
    let mut acknowledged = Vec::new();
    for n in from {
        if let Ok(id) = try_enqueue(store, &format!("{prefix}{n}")).await {
            acknowledged.push(id);
        }
    }
    acknowledged
}

async fn lost(survivor: &TestRedis, acknowledged: &[JobId]) -> usize {
    let store = survivor.store().await;
    let mut lost = 0;
    for id in acknowledged {
        lost += usize::from(store.job(&Scope::All, *id).await.unwrap().is_none());
    }
    lost
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_loses_no_job_that_strict_acknowledged_and_some_of_the_others() {
    let mut pair = Pair::start().await;
    let (plain, strict) = (pair.primary.store().await, pair.strict().await);
    let mut safe = enqueue_until_the_end(&strict, "s", 0..50).await;
    assert_eq!(safe.len(), 50);
    pair.between.go_silent();
    let (unsafe_ones, more) =
        tokio::join!(enqueue_until_the_end(&plain, "p", 0..50), enqueue_until_the_end(&strict, "s", 50..52));
    assert_eq!(unsafe_ones.len(), 50);
    safe.extend(more);
    pair.fail_over();
    assert_eq!(lost(&pair.replica, &safe).await, 0);
    assert_eq!(lost(&pair.replica, &unsafe_ones).await, 50, "the replica never got them");
}

#[tokio::test]
async fn strict_is_not_ready_where_it_cannot_be_kept() {
    let pair = Pair::start().await;
    let guard = Guard::start(strict_of(&pair.primary, 1).await, CancellationToken::new());
    assert!(guard.first_look().await.ready());
    assert_eq!(guard.findings().durability, "strict");
    pair.between.refuse();
    eventually("a lost replica is noticed", || !guard.findings().ready()).await;
    let reason = guard.findings().unsafe_reason().unwrap();
    assert!(reason.contains("0 of 1 replicas"), "{reason}");
    pair.between.forward();
    eventually("and its return", || guard.findings().ready()).await;

    let alone = Guard::start(strict_of(&pair.primary, 0).await, CancellationToken::new());
    assert!(!alone.first_look().await.ready());
    assert!(alone.findings().checks["durability"].remedy.contains("appendfsync always"));
    pair.primary.ask(&["CONFIG", "SET", "appendfsync", "always"]);
    eventually("it is ready once every write is synced", || alone.findings().ready()).await;
    assert_eq!(alone.findings().durability, "strict");
    pair.primary.ask(&["CONFIG", "SET", "appendonly", "no"]);
    eventually("it is not without a file", || !alone.findings().ready()).await;
}
