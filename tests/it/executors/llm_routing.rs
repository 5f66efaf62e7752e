//! Where the calls of a job go: over several providers, attempt by attempt.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use windlass::domain::FailureReason::{self, Error, Invalid, Permanent, RateLimited, Timeout};
use windlass::domain::ProviderName;
use windlass::domain::llm::{ModelInfo, Price, ProviderInfo, Quota, Verdict};
use windlass::engine::{Disposition, Executor};
use windlass::executors::llm::fake::FakeLlmOptions;
use windlass::executors::llm::{Balancing, Capability, LlmChat, LlmOptions, ProviderOptions};

use super::llm::Fake;
use crate::support::book::Book;
use crate::support::context::{FakeJob, run_job};
use crate::support::receiver::{Receiver, answer};

const AT_ONCE: Disposition = Disposition::Postpone { after: Duration::from_millis(1) };

/// A model without price, limits and aliases.
pub(super) fn model(name: &str) -> ModelInfo {
    ModelInfo { name: name.into(), aliases: Vec::new(), context_window: None, price: None, quota: Quota::default() }
}

/// A provider that has these models and no others.
pub(super) fn provider(name: &str, base_url: String, models: Vec<ModelInfo>) -> ProviderOptions {
    let info = ProviderInfo {
        name: ProviderName::new(name).unwrap(),
        kind: "compatible",
        models,
        open_models: false,
        quota: Quota::default(),
    };
    ProviderOptions { info, base_url, api_key: None, lacks: Vec::new() }
}

pub(super) fn say(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

/// Two fakes behind one job type.
struct Pair {
    a: Fake,
    b: Fake,
}

impl Pair {
    async fn start() -> Self {
        Self { a: Fake::start(FakeLlmOptions::default()).await, b: Fake::start(FakeLlmOptions::default()).await }
    }

    fn options(&self) -> LlmOptions {
        let a = provider("a", self.a.url(""), vec![model("small")]);
        LlmOptions::with_providers(vec![a, provider("b", self.b.url(""), vec![model("large")])])
    }

    async fn calls(&self) -> (u64, u64) {
        let count = async |fake: &Fake| fake.get("/requests").await["count"].as_u64().unwrap();
        (count(&self.a).await, count(&self.b).await)
    }
}

fn chat(options: &LlmOptions) -> LlmChat {
    LlmChat::new(options).unwrap()
}

async fn attempt(chat: &LlmChat, job: &mut FakeJob, number: u32) -> Result<Value, (FailureReason, Disposition)> {
    job.attempt = number;
    run_job(job, chat, say("hi")).await.map_err(|failed| (failed.0, failed.1))
}

#[tokio::test]
async fn attempts_go_from_provider_to_provider_and_are_counted_over_all() {
    let pair = Pair::start().await;
    let chat = chat(&pair.options());
    let mut job = FakeJob::new();
    let down = || json!({"kind": "status", "status": 503});
    pair.a.fault(down()).await;
    assert_eq!(attempt(&chat, &mut job, 1).await, Err((Error, Disposition::Elsewhere)));
    pair.b.fault(down()).await;
    let backoff = Disposition::Retry { after: None };
    assert_eq!(attempt(&chat, &mut job, 2).await, Err((Error, backoff)), "all had their turn");
    let third = attempt(&chat, &mut job, 3).await.unwrap();
    assert_eq!((&third["provider"], &third["model"]), (&json!("a"), &json!("small")));
    assert_eq!(pair.calls().await, (2, 1));
    let elsewhere = attempt(&chat, &mut job, 2).await.unwrap();
    assert_eq!((&elsewhere["provider"], &elsewhere["model"]), (&json!("b"), &json!("large")));
}

#[tokio::test]
async fn without_fallback_a_job_stays_with_its_provider() {
    let pair = Pair::start().await;
    let default_provider = Some(ProviderName::new("b").unwrap());
    let chat = chat(&LlmOptions { fallback: false, default_provider, ..pair.options() });
    pair.b.fault(json!({"kind": "status", "status": 503})).await;
    let mut job = FakeJob::new();
    assert_eq!(attempt(&chat, &mut job, 1).await, Err((Error, Disposition::Retry { after: None })));
    assert_eq!(attempt(&chat, &mut job, 2).await.unwrap()["provider"], "b");
    assert_eq!(pair.calls().await, (0, 2));
}

#[tokio::test]
async fn a_provider_that_refuses_the_account_does_not_end_the_job() {
    let pair = Pair::start().await;
    let (book, mut settled) = Book::new();
    let chat = chat(&LlmOptions { fleet: Some(book), ..pair.options() });
    for fault in [json!({"status": 401}), json!({"status": 429, "code": "insufficient_quota"})] {
        let mut fault = fault;
        fault["kind"] = json!("status");
        pair.a.fault(fault).await;
        let (fresh, _) = Book::new();
        let chat = LlmChat::new(&LlmOptions { fleet: Some(fresh), ..pair.options() }).unwrap();
        assert_eq!(attempt(&chat, &mut FakeJob::new(), 1).await, Err((Permanent, Disposition::Elsewhere)));
    }
    pair.a.fault(json!({"kind": "status", "status": 403})).await;
    let mut job = FakeJob::new();
    assert_eq!(attempt(&chat, &mut job, 1).await, Err((Permanent, Disposition::Elsewhere)));
    let end = settled.recv().await.unwrap();
    assert_eq!((end.verdict, end.status), (Verdict::Cool(Duration::from_secs(300)), "refused"));
    assert_eq!(attempt(&chat, &mut job, 1).await.unwrap()["provider"], "b", "what cools is passed by");
}

#[tokio::test]
async fn a_429_costs_no_attempt_and_the_same_attempt_goes_elsewhere() {
    let pair = Pair::start().await;
    let (book, mut settled) = Book::new();
    let chat = chat(&LlmOptions { fleet: Some(book), ..pair.options() });
    pair.a.fault(json!({"kind": "status", "status": 429, "retry_after": 7})).await;
    let mut job = FakeJob::new();
    assert_eq!(attempt(&chat, &mut job, 1).await, Err((RateLimited, AT_ONCE)));
    let end = settled.recv().await.unwrap();
    assert_eq!((end.verdict, end.status), (Verdict::Cool(Duration::from_secs(7)), "rate_limited"));
    assert_eq!(end.usage.total(), 0, "a refused call is not billed");
    assert_eq!(attempt(&chat, &mut job, 1).await.unwrap()["provider"], "b");

    let alone = LlmChat::new(&pair.options()).unwrap();
    pair.a.fault(json!({"kind": "status", "status": 429, "retry_after": 7})).await;
    let wait = Disposition::Postpone { after: Duration::from_secs(7) };
    assert_eq!(attempt(&alone, &mut FakeJob::new(), 1).await, Err((RateLimited, wait)), "nobody would remember");
}

#[tokio::test]
async fn a_prompt_that_is_too_long_after_all_goes_to_a_larger_window_only() {
    let canned = r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#;
    let narrow = Receiver::start(answer(400, "", canned)).await;
    let sized = |name: &str, size| ModelInfo { context_window: Some(size), ..model(name) };
    let order = |first: u64, second: u64| {
        let a = provider("a", narrow.url(""), vec![sized("m", first)]);
        LlmOptions::with_providers(vec![a, provider("b", narrow.url(""), vec![sized("m", second)])])
    };
    let mut job = FakeJob::new();
    let larger = attempt(&chat(&order(1_000, 2_000)), &mut job, 1).await;
    assert_eq!(larger, Err((Invalid, Disposition::Elsewhere)));
    let smaller = attempt(&chat(&order(2_000, 1_000)), &mut job, 1).await;
    assert_eq!(smaller, Err((Invalid, Disposition::Dead)));
}

#[tokio::test]
async fn a_provider_that_is_silent_until_the_attempts_end_is_left_for_another() {
    let silent = Receiver::start(String::new()).await;
    let pair = Pair::start().await;
    let mut options = pair.options();
    options.providers[0].base_url = silent.url("");
    let (book, mut settled) = Book::new();
    let chat = chat(&LlmOptions { fleet: Some(book), ..options });
    let mut context = FakeJob::new().context(&chat, &say("hi"));
    context.deadline = windlass::clock::now() + Duration::from_millis(400);
    let failed = chat.run(context).await.unwrap_err();
    assert_eq!((failed.reason, failed.disposition), (Timeout, Disposition::Elsewhere));
    let end = settled.recv().await.unwrap();
    assert_eq!((end.verdict, end.status, end.usage.estimated), (Verdict::Faulty, "timeout", true));
}

#[test]
fn what_no_provider_can_carry_is_refused_at_the_door() {
    let nowhere = || "http://127.0.0.1:1".to_owned();
    let mut first = provider("a", nowhere(), vec![ModelInfo { context_window: Some(1_000), ..model("small") }]);
    first.info.models[0].aliases.push("tiny".to_owned());
    first.lacks = vec![("small".into(), Capability::Images)];
    let chat = chat(&LlmOptions::with_providers(vec![first]));
    let with = |name: &str, value: Value| {
        let mut input = say("hi");
        input[name] = value;
        chat.check(&input)
    };
    for known in ["small", "tiny", "a/small", "a/tiny"] {
        assert_eq!(with("model", json!(known)), Ok(()), "{known}");
    }
    for unknown in ["large", "a/large", "b/small"] {
        let refusal = with("model", json!(unknown)).unwrap_err();
        assert!(refusal.contains(&format!("has the model `{unknown}`; known are small")), "{refusal}");
    }
    assert!(with("model", json!("sm\u{1}all")).unwrap_err().contains("control characters"));
    let refusal = with("max_output_tokens", json!(1_000)).unwrap_err();
    assert!(refusal.contains("context window") && refusal.contains("1000"), "{refusal}");
    assert!(chat.check(&say(&"word ".repeat(1_000))).is_err());
    let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]);
    let limit = json!({"messages": image, "max_output_tokens": 1});
    assert!(chat.check(&limit).unwrap_err().contains("context window"), "an image is a thousand tokens");
}

#[tokio::test]
async fn a_job_that_needs_what_a_model_lacks_goes_to_one_that_has_it() {
    let pair = Pair::start().await;
    let mut options = pair.options();
    options.providers[0].lacks = vec![("small".into(), Capability::JsonSchema)];
    let mut input = say("hi");
    input["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {}}});
    pair.b.fault(json!({"kind": "say", "message": "{}"})).await;
    assert_eq!(run_job(&FakeJob::new(), &chat(&options), input.clone()).await.unwrap()["provider"], "b");
    options.providers[1].lacks = vec![("large".into(), Capability::JsonSchema)];
    assert!(chat(&options).check(&input).unwrap_err().contains("takes `json_schema`"));
}

/// Which provider each of 300 jobs begins with.
async fn shares(options: &LlmOptions) -> (usize, usize) {
    let (book, _settled) = Book::new();
    let chat = chat(&LlmOptions { fleet: Some(Arc::clone(&book) as _), ..options.clone() });
    for _ in 0..300 {
        book.answer(crate::support::book::later(Duration::from_secs(60)));
        let waiting = attempt(&chat, &mut FakeJob::new(), 1).await.unwrap_err();
        assert_eq!(waiting.0, RateLimited);
    }
    let demands = book.demands();
    let first = |name: &str| demands.iter().filter(|d| d.candidates[0].target.provider.as_str() == name).count();
    assert!(demands.iter().all(|d| d.candidates.len() == 2));
    (first("a"), first("b"))
}

#[tokio::test]
async fn policies_spread_jobs_over_providers() {
    let nowhere = || "http://127.0.0.1:1".to_owned();
    let priced = |usd| ModelInfo { price: Some(Price { input: usd, cached_input: usd, output: usd }), ..model("m") };
    let a = provider("a", nowhere(), vec![model("m")]);
    let b = provider("b", nowhere(), vec![priced(1_000_000_000)]);
    let options = |balancing| LlmOptions { balancing, ..LlmOptions::with_providers(vec![a.clone(), b.clone()]) };
    assert_eq!(shares(&options(Balancing::Default)).await, (300, 0));
    assert_eq!(shares(&options(Balancing::LowestCost)).await, (0, 300), "an unknown price is not a low one");
    for balancing in [Balancing::RoundRobin, Balancing::Random] {
        let (first, second) = shares(&options(balancing)).await;
        assert!(first > 90 && second > 90, "{balancing:?}: {first} and {second}");
    }
}
