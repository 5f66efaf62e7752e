//! A worker runs what it claims, and survives what its handlers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use windlass::domain::{FailureReason, JobState, JobType, RawJson, RetryPolicy};
use windlass::engine::{AllowList, Control, ExecutionError, JobContext, Registry, TypeInfo, from_fn};
use windlass::store::Scope;

use crate::support::fleet::{options, reaches, registry, start};
use crate::support::jobs::{enqueue_new, spec};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn jobs_run_and_keep_their_results() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let registry = registry(|context| async move { Ok(context.raw_input().clone()) });
    let worker = start(&store, &registry, options());
    for n in 0..50 {
        enqueue_new(&store, spec(&format!("r{n}"))).await;
    }
    let last = enqueue_new(&store, spec("last")).await;
    let job = reaches(&store, last, JobState::Succeeded).await;
    assert_eq!(job.result.unwrap().as_str(), "{\"n\":\"last\"}");
    assert_eq!(job.attempt, 1);
    worker.stop().await;
    assert_eq!(redis.cli_int(&["HGET", "ai:queue:stats", "succeeded"]), 51);
    assert_eq!(redis.cli_int(&["ZCARD", "ai:workers"]), 0);
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_the_worker_lives() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    let registry = registry(move |_| {
        let first = seen.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            assert!(!first, "a bug in a handler");
            Ok(RawJson::from_compact("1"))
        }
    });
    let worker = start(&store, &registry, options());
    let id = enqueue_new(&store, spec("r")).await;
    let job = reaches(&store, id, JobState::Succeeded).await;
    assert_eq!(job.attempt, 2);
    worker.stop().await;
}

#[tokio::test]
async fn a_job_that_fails_each_time_is_dead_with_its_last_message() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let registry = registry(|_| async { Err(ExecutionError::retryable(FailureReason::Error, "the provider is away")) });
    let worker = start(&store, &registry, options());
    let id = enqueue_new(&store, spec("r")).await;
    let job = reaches(&store, id, JobState::Dead).await;
    assert_eq!(job.attempt, 3);
    let failure = job.failure.unwrap();
    assert_eq!(failure.reason, FailureReason::RetriesExhausted);
    assert!(failure.message.contains("the provider is away"));
    worker.stop().await;
}

#[tokio::test]
async fn an_attempt_that_goes_elsewhere_is_charged_and_does_not_wait_for_backoff() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let hour = Duration::from_secs(3600);
    let info = TypeInfo {
        retry: RetryPolicy { max_attempts: 3, base: hour, cap: hour },
        ..TypeInfo::new(JobType::new("echo").unwrap(), "")
    };
    let elsewhere = || ExecutionError::retryable(FailureReason::Error, "the first provider is down").elsewhere();
    let mut registry = Registry::new(AllowList::default());
    let run = move |context: JobContext| async move {
        assert!(context.expires_at.is_some());
        if context.raw_input().as_str().contains("never") || context.attempt == 1 {
            return Err(elsewhere());
        }
        Ok(RawJson::from_compact(context.attempt.to_string()))
    };
    registry.register(from_fn(info, run)).unwrap();
    let worker = start(&store, &Arc::new(registry), options());
    let id = enqueue_new(&store, spec("r")).await;
    let job = reaches(&store, id, JobState::Succeeded).await;
    assert_eq!((job.attempt, job.result.unwrap().as_str()), (2, "2"));
    let never = enqueue_new(&store, spec("never")).await;
    let job = reaches(&store, never, JobState::Dead).await;
    assert_eq!((job.attempt, job.failure.unwrap().reason), (3, FailureReason::RetriesExhausted));
    worker.stop().await;
}

#[tokio::test]
async fn an_attempt_past_its_deadline_is_stopped() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let registry = registry(|_| async { std::future::pending().await });
    let worker = start(&store, &registry, options());
    let mut spec = spec("r");
    (spec.timeout, spec.max_attempts) = (Duration::from_millis(100), 1);
    let id = enqueue_new(&store, spec).await;
    let job = reaches(&store, id, JobState::Dead).await;
    assert!(job.failure.unwrap().message.contains("timeout"));
    worker.stop().await;
}

#[tokio::test]
async fn a_cancel_stops_the_running_handler() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (began, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (b, d) = (Arc::clone(&began), Arc::clone(&dropped));
    let registry = registry(move |_| {
        let (b, d) = (Arc::clone(&b), Arc::clone(&d));
        async move {
            struct OnDrop(Arc<Notify>);
            impl Drop for OnDrop {
                fn drop(&mut self) {
                    self.0.notify_one();
                }
            }
            let _guard = OnDrop(d);
            b.notify_one();
            std::future::pending().await
        }
    });
    let worker = start(&store, &registry, options());
    let id = enqueue_new(&store, spec("r")).await;
    began.notified().await;
    let job = Control::new(store.clone()).cancel(&Scope::All, id, "test").await.unwrap();
    assert_eq!(job.state, JobState::Cancelled);
    tokio::time::timeout(Duration::from_secs(20), dropped.notified()).await.expect("the handler is dropped");
    worker.stop().await;
    assert_eq!(store.job(&Scope::All, id).await.unwrap().unwrap().state, JobState::Cancelled);
}

#[tokio::test]
async fn a_stopping_worker_gives_back_what_it_cannot_finish_uncharged() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let began = Arc::new(Notify::new());
    let b = Arc::clone(&began);
    let registry = registry(move |_| {
        b.notify_one();
        std::future::pending()
    });
    let mut options = options();
    options.drain_grace = Duration::from_millis(50);
    let worker = start(&store, &registry, options);
    let id = enqueue_new(&store, spec("r")).await;
    began.notified().await;
    worker.stop().await;
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt, job.crashes), (JobState::Pending, 0, 0));
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 1);
}

#[tokio::test]
async fn a_worker_mends_itself_after_a_redis_restart() {
    let mut redis = TestRedis::start_durable().await;
    let store = redis.store().await;
    let registry = registry(|context| async move { Ok(context.raw_input().clone()) });
    let worker = start(&store, &registry, options());
    let before = enqueue_new(&store, spec("before")).await;
    reaches(&store, before, JobState::Succeeded).await;
    redis.kill();
    redis.launch().await;
    store.wait_connected(Duration::from_secs(20)).await.unwrap();
    let after = enqueue_new(&store, spec("after")).await;
    reaches(&store, after, JobState::Succeeded).await;
    assert!(worker.handle.health().deaf.is_none());
    worker.stop().await;
}
