//! Enqueues that arrive together share a call and nothing else.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;
use windlass::domain::{JobSpec, RawJson};
use windlass::engine::{Guard, SubmitError, Submitter};
use windlass::store::StoreError;

use crate::support::fleet::{eventually, options, registry, start};
use crate::support::jobs::spec;
use crate::support::processes::stat;
use crate::support::redis::TestRedis;

struct Door {
    submitter: Submitter,
    guard: Guard,
    _shutdown: tokio_util::sync::DropGuard,
}

async fn door(redis: &TestRedis) -> Door {
    let (store, shutdown) = (redis.store().await, CancellationToken::new());
    let guard = Guard::start(store.clone(), shutdown.clone());
    guard.first_look().await;
    let submitter = Submitter::start(store, guard.clone(), shutdown.clone());
    Door { submitter, guard, _shutdown: shutdown.drop_guard() }
}

fn sized(request: &str, bytes: usize) -> JobSpec {
    let mut spec = spec(request);
    spec.input = RawJson::from_compact(format!("\"{}\"", "x".repeat(bytes)));
    spec
}

#[tokio::test]
async fn enqueues_that_arrive_together_share_calls() {
    let redis = TestRedis::start().await;
    let door = door(&redis).await;
    let before = redis.cli(&["INFO", "commandstats"]);
    let all = join_all((0..500).map(|n| door.submitter.submit(spec(&format!("r{n}"))))).await;
    assert!(all.iter().all(|one| one.as_ref().is_ok_and(|s| !s.replayed)));
    let (before, after) = (scripts(&before), scripts(&redis.cli(&["INFO", "commandstats"])));
    assert!(after - before < 50, "{} calls for 500 jobs", after - before);
    assert_eq!((stat(&redis, "enqueue"), redis.cli_int(&["LLEN", "ai:queue:pending"])), (500, 500));
}

fn scripts(stats: &str) -> i64 {
    let line = stats.lines().find_map(|l| l.strip_prefix("cmdstat_evalsha:calls="));
    line.and_then(|l| l.split(',').next()?.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn a_large_and_a_broken_item_do_not_hurt_their_neighbours() {
    let redis = TestRedis::start().await;
    let door = door(&redis).await;
    redis.cli(&["RPUSH", "ai:idempotency:ws:foreign", "not ours"]);
    let mut specs: Vec<JobSpec> = (0..20).map(|n| spec(&format!("r{n}"))).collect();
    specs.insert(3, spec("foreign"));
    specs.insert(9, sized("large", 900_000));
    specs.insert(15, sized("larger", 1_500_000));
    let outcomes = door.submitter.submit_many(specs).await;
    for (n, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Err(SubmitError::Store(StoreError::Corrupt(_))) if n == 3 => {}
            Ok(submitted) if n != 3 => assert!(!submitted.replayed),
            other => panic!("item {n}: {other:?}"),
        }
    }
    assert_eq!(stat(&redis, "enqueue"), 22);
}

#[tokio::test]
async fn items_that_redis_cannot_digest_fail_alone() {
    let redis = TestRedis::start().await;
    let door = door(&redis).await;
    // A whole queue whose keys are not ours fails; the lanes of the others do not notice.
    redis.cli(&["SET", "ai:queue:order:normal:broken", "not ours"]);
    let mut bad = spec("bad");
    bad.queue = windlass::domain::QueueName::new("broken").unwrap();
    let outcomes = door.submitter.submit_many(vec![spec("a"), bad, spec("b")]).await;
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    assert!(matches!(outcomes[1], Err(SubmitError::Store(StoreError::Corrupt(_)))), "{:?}", outcomes[1]);
}

#[tokio::test]
async fn the_same_request_many_times_at_once_is_one_job() {
    let redis = TestRedis::start().await;
    let door = door(&redis).await;
    let all = join_all((0..100).map(|_| door.submitter.submit(spec("r")))).await;
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    assert_eq!(all.iter().filter(|s| !s.replayed).count(), 1);
    assert!(all.iter().all(|s| s.job.id == all[0].job.id));
    let mut other = spec("r");
    other.fingerprint = "another body".into();
    let refused = door.submitter.submit(other).await;
    assert!(matches!(refused, Err(SubmitError::RequestIdReused { existing }) if existing == all[0].job.id));
}

#[tokio::test]
async fn an_unsafe_redis_gets_no_job() {
    let redis = TestRedis::start_with(&["--maxmemory-policy", "volatile-lru"]).await;
    let door = door(&redis).await;
    let refused = door.submitter.submit(spec("r")).await;
    assert!(matches!(&refused, Err(SubmitError::Unsafe(why)) if why.contains("policy")), "{refused:?}");
    assert_eq!(redis.cli_int(&["EXISTS", "ai:jobs"]), 0);
}

#[tokio::test]
async fn a_full_redis_refuses_new_jobs_drains_and_opens_again() {
    let redis = TestRedis::start_with(&["--maxmemory", "24mb"]).await;
    let door = door(&redis).await;
    let mut accepted = 0;
    let refusal = loop {
        match door.submitter.submit(sized(&format!("r{accepted}"), 200_000)).await {
            Ok(_) => accepted += 1,
            Err(refusal) => break refusal,
        }
    };
    assert!(matches!(refusal, SubmitError::Store(StoreError::Full(_))), "{refusal:?}");
    assert!(accepted > 20, "{accepted} jobs");
    let registry = registry(|_| async { Ok(RawJson::from_compact("1")) });
    let worker = start(&redis.store().await, &registry, options());
    let redis = Arc::new(redis);
    eventually("everything in line is done", || stat(&redis, "succeeded") == accepted).await;
    eventually("enqueue opens again", || door.guard.findings().full.is_none()).await;
    assert!(door.submitter.submit(spec("after")).await.is_ok());
    worker.stop().await;
}

#[tokio::test]
async fn a_queue_that_drains_refuses_new_jobs_and_replays_known_ones() {
    let redis = TestRedis::start().await;
    let door = door(&redis).await;
    door.submitter.submit(spec("known")).await.unwrap();
    let control = windlass::engine::Control::new(redis.store().await);
    let queue = crate::support::jobs::queue();
    control.drain(&queue, "test", "maintenance", None).await.unwrap();
    let outcomes = door.submitter.submit_many(vec![spec("known"), spec("new")]).await;
    assert!(outcomes[0].as_ref().is_ok_and(|s| s.replayed));
    assert!(matches!(outcomes[1], Err(SubmitError::Draining { .. })));
    control.resume(&queue, &windlass::engine::Selector::Queue, "test").await.unwrap();
    let again = tokio::time::timeout(Duration::from_secs(30), door.submitter.submit(spec("new"))).await;
    assert!(again.unwrap().is_ok());
}
