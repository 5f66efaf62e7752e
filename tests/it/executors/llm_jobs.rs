//! `llm.chat` as a whole: jobs in Redis, a worker, and providers that misbehave.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use windlass::domain::{FailureReason, JobSpec, JobState, JobType, RawJson};
use windlass::engine::{AllowList, Control, Disposition, Registry};
use windlass::executors::llm::fake::FakeLlmOptions;
use windlass::executors::llm::{Balancing, Fleet, LlmChat, LlmOptions};
use windlass::store::{Scope, Shards};

use super::llm::Fake;
use super::llm_routing::{model, provider, say};
use crate::support::api::Api;
use crate::support::book::Book;
use crate::support::context::{FakeJob, run_job};
use crate::support::fleet::{options, reaches, short_lease, start};
use crate::support::jobs::{enqueue_new, spec};
use crate::support::receiver::Receiver;
use crate::support::redis::TestRedis;

fn registry(options: &LlmOptions) -> Arc<Registry> {
    let mut registry = Registry::new(AllowList::default());
    registry.register(Arc::new(LlmChat::new(options).unwrap())).unwrap();
    Arc::new(registry)
}

fn chat_job(name: &str) -> JobSpec {
    let mut job = spec(name);
    job.job_type = JobType::new("llm.chat").unwrap();
    job.input = RawJson::from_value(&say(name));
    job
}

#[tokio::test]
async fn jobs_go_round_a_provider_that_is_down_and_each_call_is_accounted_for() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let down = Fake::start(FakeLlmOptions { fault_rate: 1.0, ..FakeLlmOptions::default() }).await;
    let up = [Fake::start(FakeLlmOptions::default()).await, Fake::start(FakeLlmOptions::default()).await];
    let (book, mut settled) = Book::new();
    let named = [("a", &down), ("b", &up[0]), ("c", &up[1])];
    let providers = named.map(|(name, fake)| provider(name, fake.url(""), vec![model("m")])).into();
    let llm =
        LlmOptions { balancing: Balancing::RoundRobin, fleet: Some(book), ..LlmOptions::with_providers(providers) };
    let worker = start(&store, &registry(&llm), options());
    let mut jobs = Vec::new();
    for n in 0..40 {
        jobs.push(enqueue_new(&store, chat_job(&format!("job-{n}"))).await);
    }
    let mut attempts = 0;
    for id in jobs {
        let job = reaches(&store, id, JobState::Succeeded).await;
        let result = job.result.unwrap().to_value();
        assert_ne!(result["provider"], "a");
        attempts += job.attempt;
    }
    worker.stop().await;
    let mut calls = Vec::new();
    while let Ok(end) = settled.try_recv() {
        calls.push(end.status);
    }
    let good = calls.iter().filter(|status| **status == "ok").count();
    let free = calls.iter().filter(|status| **status == "rate_limited").count();
    assert_eq!((good, calls.len() - free), (40, attempts as usize), "{calls:?}");
    let mut sent = 0;
    for (_, fake) in named {
        sent += fake.get("/requests").await["count"].as_u64().unwrap();
    }
    assert_eq!(sent, calls.len() as u64, "each request was settled");
}

#[tokio::test]
async fn a_cancel_reaches_the_provider_and_the_account_at_once() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let mut silent = Receiver::start(String::new()).await;
    let (book, mut settled) = Book::new();
    let providers = vec![provider("a", silent.url(""), vec![model("m")])];
    let llm = LlmOptions { fleet: Some(book), ..LlmOptions::with_providers(providers) };
    // With heartbeats 200 s apart only the inbox can be this quick.
    let worker = start(&store, &registry(&llm), short_lease(600_000));
    let id = enqueue_new(&store, chat_job("x")).await;
    while silent.received().is_empty() {
        tokio::task::yield_now().await;
    }
    Control::new(store.clone()).cancel(&Scope::All, id, "test").await.unwrap();
    let told = async { (silent.hang_ups.recv().await.unwrap(), settled.recv().await.unwrap()) };
    let (_, end) = tokio::time::timeout(Duration::from_secs(60), told).await.expect("well before a heartbeat");
    assert_eq!((end.job, end.status, end.usage.estimated), (id, "cancelled", true));
    worker.stop().await;
}

#[tokio::test]
async fn a_model_that_only_the_door_knew_ends_the_job_at_the_worker() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let never = Receiver::canary().await;
    let llm = LlmOptions::with_providers(vec![provider("a", never.url(""), vec![model("m")])]);
    let worker = start(&store, &registry(&llm), options());
    let mut job = chat_job("x");
    job.input = RawJson::from_value(&json!({"messages": [{"role": "user", "content": "x"}], "model": "gone"}));
    let id = enqueue_new(&store, job).await;
    let job = reaches(&store, id, JobState::Dead).await;
    assert!(job.failure.unwrap().message.contains("no configured provider has the model `gone`"));
    assert_eq!(never.connections(), 0);
    worker.stop().await;
}

#[tokio::test]
async fn a_job_without_room_in_a_limit_is_booked_uncharged_and_says_so() {
    let api = Api::start().await;
    let store = api.store.clone();
    let fake = Fake::start(FakeLlmOptions::default()).await;
    let mut tight = provider("tight", fake.url(""), vec![model("m")]);
    tight.info.quota.requests_per_minute = Some(1);
    let fleet: Arc<dyn Fleet> = Arc::new(Shards::from(store.clone()));
    let llm = LlmOptions { fleet: Some(fleet), ..LlmOptions::with_providers(vec![tight]) };
    let worker = start(&store, &registry(&llm), options());
    let first = enqueue_new(&store, chat_job("first")).await;
    reaches(&store, first, JobState::Succeeded).await;
    let second = enqueue_new(&store, chat_job("second")).await;
    let job = reaches(&store, second, JobState::Scheduled).await;
    assert_eq!(job.attempt, 0);
    let message = job.failure.unwrap().message;
    assert!(message.contains("for room in the requests per minute of provider tight"), "{message}");
    let key = api.client_key(job.workspace.as_str()).await;
    let why = api.get(&key, &format!("/ai/jobs/{second}/why")).await.json();
    assert_eq!((why["blocker"].as_str(), why["detail"].as_str()), (Some("limit"), Some(message.as_str())));
    assert!(why["until"].is_string(), "{why}");
    assert_eq!(fake.get("/requests").await["count"], 1);
    worker.stop().await;
}

#[tokio::test]
async fn an_answer_that_finds_no_room_to_be_mended_is_charged_and_not_paid_for_without_end() {
    let redis = TestRedis::start().await;
    let fake = Fake::start(FakeLlmOptions::default()).await;
    let mut tight = provider("tight", fake.url(""), vec![model("m")]);
    tight.info.quota.requests_per_minute = Some(1);
    let fleet: Arc<dyn Fleet> = Arc::new(Shards::from(redis.store().await));
    let llm = LlmOptions { fleet: Some(fleet), ..LlmOptions::with_providers(vec![tight]) };
    let mut input = say("no JSON");
    input["response_format"] = json!({"type": "json_object"});
    let failed = run_job(&FakeJob::new(), &LlmChat::new(&llm).unwrap(), input).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (FailureReason::Error, Disposition::Retry { after: None }), "{}", failed.2);
    assert!(failed.2.contains("breaks response_format"), "{}", failed.2);
    assert_eq!(fake.get("/requests").await["count"], 1);
}
