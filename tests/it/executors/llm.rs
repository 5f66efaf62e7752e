//! `llm.chat` against the fake provider over real HTTP, fault by fault.

use std::net::SocketAddr;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use windlass::domain::FailureReason::{
    self, ContentFilter, Error, Invalid, Permanent, RateLimited, Timeout, Truncated,
};
use windlass::engine::{Disposition, tasks};
use windlass::executors::llm::fake::{FakeLlmOptions, serve};
use windlass::executors::llm::{LlmChat, LlmOptions};

use crate::support::context::{FakeJob, run, run_job};
use crate::support::ports::Reserved;
use crate::support::receiver::Receiver;

/// A fake provider that lives as long as the test.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: tokio::task::JoinHandle<std::io::Result<()>>,
    http: reqwest::Client,
}

impl Fake {
    pub(crate) async fn start(options: FakeLlmOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let task = tasks::spawn("fake", serve(listener, options, shutdown.clone()));
        // Building an executor installs the TLS provider that the plain client wants too.
        chat(LlmOptions::new("http://127.0.0.1:1", "m"));
        Self { address, shutdown, task, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        self.http.post(self.url(path)).body(body.to_string()).send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let text = self.http.get(self.url(path)).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) async fn fault(&self, fault: Value) {
        assert_eq!(self.post("/faults", &fault).await.status(), 204, "{fault}");
    }

    pub(crate) fn options(&self) -> LlmOptions {
        LlmOptions::new(self.url(""), "fake-small")
    }
}

fn chat(options: LlmOptions) -> LlmChat {
    LlmChat::new(&options).unwrap()
}

fn say(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

fn retry(after: Option<u64>) -> Disposition {
    Disposition::Retry { after: after.map(Duration::from_secs) }
}

#[tokio::test]
async fn a_chat_is_answered_with_its_usage() {
    let fake = Fake::start(FakeLlmOptions::default()).await;
    let job = FakeJob::new();
    let result = run_job(&job, &chat(fake.options()), say("hello there world")).await.unwrap();
    assert_eq!(
        result,
        json!({"content": "Echo: hello there world", "model": "fake-small", "finish_reason": "stop",
            "provider": "local", "id": "chatcmpl-fake-1", "cost_nano_usd": null,
            "usage": {"input_tokens": 3, "cached_input_tokens": 0, "output_tokens": 4, "reasoning_tokens": 0,
                "total_tokens": 7, "estimated": false}})
    );
    let call = &fake.get("/requests").await["latest"][0];
    assert_eq!((&call["stream"], &call["max_tokens"]), (&json!(false), &json!(800)));
    assert_eq!(call["client_request_id"], format!("{}-1", job.id));
    assert_eq!(call["authorization"], false, "no key was given, so none is sent");
}

#[tokio::test]
async fn a_length_limit_is_a_marked_success() {
    let fake = Fake::start(FakeLlmOptions::default()).await;
    let mut input = say("one two three");
    input["max_output_tokens"] = json!(2);
    let result = run(&chat(fake.options()), input).await.unwrap();
    assert_eq!((&result["content"], &result["truncated"]), (&json!("Echo: one"), &json!(true)));
    assert_eq!(result["finish_reason"], "length");
}

/// Every fault of the fake: what it is asked for, and what must become of the job.
fn faults() -> Vec<(Value, FailureReason, Disposition)> {
    let postpone = |ms| Disposition::Postpone { after: Duration::from_millis(ms) };
    let status = |status: u16| json!({"kind": "status", "status": status});
    let with = |mut fault: Value, key: &str, value: Value| {
        fault[key] = value;
        fault
    };
    let dead = Disposition::Dead;
    vec![
        (with(status(429), "retry_after", json!(3)), RateLimited, postpone(3000)),
        (with(status(429), "retry_after_ms", json!(1500)), RateLimited, postpone(1500)),
        (with(status(429), "retry_after", json!("Tue, 01 Jan 2999 00:00:00 GMT")), RateLimited, postpone(900_000)),
        (status(429), RateLimited, postpone(5000)),
        (with(status(429), "body", json!("<html>slow down")), RateLimited, postpone(5000)),
        (with(status(429), "code", json!("insufficient_quota")), Permanent, dead),
        (status(401), Permanent, dead),
        (status(403), Permanent, dead),
        (status(404), Permanent, dead),
        (status(400), Invalid, dead),
        (with(status(400), "code", json!("context_length_exceeded")), Invalid, dead),
        (status(408), Error, retry(None)),
        (status(409), Error, retry(None)),
        (status(500), Error, retry(None)),
        (with(status(503), "retry_after", json!(3)), Error, retry(Some(3))),
        (with(status(502), "body", json!("<html>bad gateway")), Error, retry(None)),
        (json!({"kind": "error_body_200"}), Error, retry(None)),
        (json!({"kind": "error_body_200", "code": 429}), RateLimited, postpone(5000)),
        (json!({"kind": "truncate"}), Truncated, retry(None)),
        (json!({"kind": "stall"}), Timeout, retry(None)),
        (json!({"kind": "malformed"}), Error, retry(None)),
        (json!({"kind": "html"}), Error, retry(None)),
        (json!({"kind": "empty"}), Error, retry(None)),
        (json!({"kind": "finish"}), Truncated, retry(None)),
        (json!({"kind": "finish", "finish_reason": "content_filter"}), ContentFilter, dead),
    ]
}

#[tokio::test]
async fn every_fault_has_its_own_outcome_after_exactly_one_call() {
    let fake = Fake::start(FakeLlmOptions::default()).await;
    let patient = chat(fake.options());
    // Only for what stalls: a busy machine pauses for as long elsewhere.
    let impatient = chat(LlmOptions { idle_timeout: Duration::from_millis(200), ..fake.options() });
    for (number, (fault, reason, disposition)) in faults().into_iter().enumerate() {
        fake.fault(fault.clone()).await;
        let chat = if fault["kind"] == "stall" { &impatient } else { &patient };
        let failed = run(chat, say("a canary prompt")).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (reason, disposition), "{fault}: {}", failed.2);
        assert!(!failed.2.contains("canary"), "{}", failed.2);
        assert_eq!(fake.get("/requests").await["count"], number + 1, "{fault}: the queue alone retries");
    }
    assert!(run(&patient, say("well again")).await.is_ok());
}

#[tokio::test]
async fn a_broken_connection_is_tried_again() {
    let fake = Fake::start(FakeLlmOptions::default()).await;
    fake.fault(json!({"kind": "disconnect"})).await;
    let failed = run(&chat(fake.options()), say("x")).await.unwrap_err();
    assert!(matches!(failed.0, Error | Truncated), "{failed:?}");
    assert_eq!(failed.1, retry(None));
    assert_eq!(fake.get("/requests").await["count"], 1);
}

#[tokio::test]
async fn a_provider_that_does_not_begin_to_answer_is_given_up_on() {
    let fake = Fake::start(FakeLlmOptions { delay: Duration::from_secs(3600), ..FakeLlmOptions::default() }).await;
    let options = LlmOptions { first_byte_timeout: Duration::from_millis(100), ..fake.options() };
    let failed = run(&chat(options), say("x")).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Timeout, retry(None)));
}

#[tokio::test]
async fn a_provider_that_is_down_is_tried_again() {
    let nobody = Reserved::new();
    let failed = run(&chat(LlmOptions::new(format!("http://{}", nobody.address()), "m")), say("x")).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Error, retry(None)));
    assert!(failed.2.starts_with("cannot connect to the provider"), "{}", failed.2);
}

#[tokio::test]
async fn dropping_the_attempt_hangs_up_on_the_provider() {
    let mut silent = Receiver::start(String::new()).await;
    let chat = chat(LlmOptions::new(silent.url(""), "m"));
    let attempt = tasks::spawn("attempt", async move { run(&chat, say("x")).await });
    while silent.received().is_empty() {
        tokio::task::yield_now().await;
    }
    attempt.abort();
    silent.hang_ups.recv().await.unwrap();
}

#[tokio::test]
async fn the_key_is_sent_and_never_shown() {
    let key = Some(SecretString::from("sk-canary-0123456789"));
    let fake = Fake::start(FakeLlmOptions { api_key: key, ..FakeLlmOptions::default() }).await;
    let options = fake.options().with_key("sk-canary-0123456789");
    assert!(!format!("{options:?}").contains("canary"));
    let executor = chat(options);
    assert!(!format!("{executor:?}").contains("canary"));
    assert!(run(&executor, say("x")).await.is_ok());

    let repeating = json!({"kind": "status", "status": 400, "message": "key sk-canary-0123456789 may not"});
    fake.fault(repeating).await;
    let failed = run(&executor, say("x")).await.unwrap_err();
    assert!(failed.2.contains("[redacted]") && !failed.2.contains("canary"), "{}", failed.2);

    let failed = run(&chat(fake.options()), say("x")).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Permanent, Disposition::Dead), "{}", failed.2);
}
