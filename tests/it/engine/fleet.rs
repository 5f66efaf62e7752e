//! Workers that differ, and jobs that not every worker takes.

use std::sync::Arc;

use windlass::domain::{FailureReason, JobSpec, JobState, JobType, RawJson, RetryPolicy};
use windlass::engine::{AllowList, Executor, JobContext, JobFuture, Registry, TypeInfo};
use windlass::store::{Blocker, Scope};

use crate::support::fleet::{Gated, options, reaches, registry_of, start};
use crate::support::jobs::{enqueue_new, spec};
use crate::support::redis::TestRedis;

fn of_type(kind: &str, request: &str) -> JobSpec {
    JobSpec { job_type: JobType::new(kind).unwrap(), ..spec(request) }
}

#[tokio::test]
async fn workers_that_offer_different_types_each_take_theirs() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let echo = registry_of("echo", |_| async { Ok(RawJson::from_compact("\"echo\"")) });
    let other = registry_of("other", |_| async { Ok(RawJson::from_compact("\"other\"")) });
    let workers = [start(&store, &echo, options()), start(&store, &other, options())];
    let mut ids = Vec::new();
    for n in 0..40 {
        let kind = if n % 3 == 0 { "echo" } else { "other" };
        ids.push((kind, enqueue_new(&store, of_type(kind, &format!("r{n}"))).await));
    }
    for (kind, id) in ids {
        let job = reaches(&store, id, JobState::Succeeded).await;
        assert_eq!((job.result.unwrap().as_str(), job.attempt), (format!("\"{kind}\"").as_str(), 1));
    }
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_type_that_nobody_offers_waits_uncharged_and_says_so() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let echo = registry_of("echo", |_| async { Ok(RawJson::from_compact("1")) });
    let worker = start(&store, &echo, options());
    let strange = enqueue_new(&store, of_type("strange", "s")).await;
    let known = enqueue_new(&store, spec("k")).await;
    reaches(&store, known, JobState::Succeeded).await;
    let why = store.why(&Scope::All, strange).await.unwrap().unwrap();
    assert_eq!((why.blocker, why.job.state, why.job.attempt), (Blocker::TypeNotOffered, JobState::Pending, 0));
    let late = registry_of("strange", |_| async { Ok(RawJson::from_compact("2")) });
    let late = start(&store, &late, options());
    assert_eq!(reaches(&store, strange, JobState::Succeeded).await.attempt, 1);
    worker.stop().await;
    late.stop().await;
}

/// An executor with a bug before its run.
struct BadCheck(TypeInfo);

impl Executor for BadCheck {
    fn info(&self) -> &TypeInfo {
        &self.0
    }

    fn check(&self, _input: &serde_json::Value) -> Result<(), String> {
        panic!("a bug in a check")
    }

    fn run(&self, _context: JobContext) -> JobFuture<'_> {
        Box::pin(async { Ok(RawJson::from_compact("1")) })
    }
}

#[tokio::test]
async fn a_panic_in_a_check_ends_the_attempt_and_frees_its_slot() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let info = TypeInfo {
        name: JobType::new("bad").unwrap(),
        summary: String::new(),
        input_schema: serde_json::json!({}),
        retry: RetryPolicy::default(),
        timeout: std::time::Duration::from_secs(60),
        is_action: false,
        effect: windlass::domain::EffectClass::Repeatable,
    };
    let mut both = Registry::new(AllowList::default());
    both.register(Arc::new(BadCheck(info))).unwrap();
    let mut gated = Gated::new();
    let echo = JobType::new("echo").unwrap();
    both.register(Arc::clone(gated.registry.executor(echo.as_str()).unwrap())).unwrap();
    let mut one_slot = options();
    one_slot.slots = 1;
    let worker = start(&store, &Arc::new(both), one_slot);
    let bad = JobSpec { max_attempts: 1, ..of_type("bad", "b") };
    let bad = enqueue_new(&store, bad).await;
    let job = reaches(&store, bad, JobState::Dead).await;
    assert!(job.failure.is_some_and(|f| f.reason == FailureReason::RetriesExhausted && f.message.contains("check")));
    let id = enqueue_new(&store, spec("next")).await;
    assert_eq!(gated.began().await.id, id);
    gated.go.add_permits(1);
    reaches(&store, id, JobState::Succeeded).await;
    worker.stop().await;
}
