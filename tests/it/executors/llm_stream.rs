//! Streaming `llm.chat` against the fake provider over real HTTP, fault by fault.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use windlass::domain::FailureReason::{
    self, ContentFilter, Error, Invalid, Permanent, RateLimited, Timeout, Truncated,
};
use windlass::engine::{DeltaSink, Disposition, Executor, tasks};
use windlass::executors::llm::fake::FakeLlmOptions;
use windlass::executors::llm::{LlmChat, LlmOptions};

use super::llm::Fake;
use crate::support::context::{Failed, FakeJob};
use crate::support::receiver::{Receiver, answer};

/// Only for what stalls: a busy machine pauses for as long elsewhere.
const IDLE: Duration = Duration::from_millis(200);

/// What a reader of the stream sees.
#[derive(Default)]
struct Followed(Mutex<String>);

impl DeltaSink for Followed {
    fn push(&self, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }

    fn reset(&self) {
        self.0.lock().unwrap().clear();
    }
}

fn chat(url: String) -> LlmChat {
    LlmChat::new(&LlmOptions::new(url, "m")).unwrap()
}

fn with_idle(url: String, idle_timeout: Duration) -> LlmChat {
    LlmChat::new(&LlmOptions { idle_timeout, ..LlmOptions::new(url, "m") }).unwrap()
}

fn say(text: &str) -> Value {
    json!({"stream": true, "messages": [{"role": "user", "content": text}]})
}

/// The outcome of a streamed job, and the text that its readers got.
pub(crate) async fn follow(chat: &LlmChat, input: &Value) -> (Result<Value, Failed>, String) {
    let followed = Arc::new(Followed::default());
    let context = FakeJob::new().context(chat, input).with_deltas(followed.clone());
    let outcome = chat.run(context).await;
    let text = followed.0.lock().unwrap().clone();
    (outcome.map(|r| r.to_value()).map_err(|e| (e.reason, e.disposition, e.message)), text)
}

#[tokio::test]
async fn a_streamed_answer_is_the_answer_of_a_whole() {
    let fake = Fake::start(FakeLlmOptions::default()).await;
    let chat = chat(fake.url(""));
    let (whole, nothing) = follow(&chat, &json!({"messages": say("hello\nthere wörld 🦀")["messages"]})).await;
    let (streamed, text) = follow(&chat, &say("hello\nthere wörld 🦀")).await;
    let (mut whole, streamed) = (whole.unwrap(), streamed.unwrap());
    assert_eq!((nothing.as_str(), text.as_str()), ("", "Echo: hello\nthere wörld 🦀"));
    whole["id"] = streamed["id"].clone();
    assert_eq!(streamed, whole);
    assert_eq!(streamed["usage"]["output_tokens"], 5, "usage was asked for and came");
    let call = &fake.get("/requests").await["latest"][0];
    assert_eq!(call["stream"], true);
    assert!(call["client_request_id"].as_str().unwrap().ends_with("-1"));
}

#[tokio::test]
async fn faults_that_are_none_do_not_spoil_a_stream() {
    let fake = Fake::start(FakeLlmOptions::default()).await;
    // Less than the late first token takes.
    let chat = with_idle(fake.url(""), Duration::from_millis(1500));
    for fault in [
        json!({"kind": "keep_alive"}),
        json!({"kind": "no_done"}),
        json!({"kind": "usage_with_choices"}),
        json!({"kind": "slow_first_token", "delay_ms": 2000}),
        json!({"kind": "finish", "finish_reason": "eos"}),
    ] {
        fake.fault(fault.clone()).await;
        let (outcome, text) = follow(&chat, &say("one two three")).await;
        let result = outcome.unwrap();
        assert_eq!((result["content"].as_str(), text.as_str()), (Some("Echo: one two three"), "Echo: one two three"));
        assert_eq!(result["usage"]["total_tokens"], 7, "{fault}");
    }
}

#[tokio::test]
async fn a_tool_call_is_put_together_from_its_pieces() {
    let fake = Fake::start(FakeLlmOptions::default()).await;
    fake.fault(json!({"kind": "tool_calls", "count": 2})).await;
    let chat = chat(fake.url(""));
    let (streamed, text) = follow(&chat, &say("a b c")).await;
    let (whole, _) = follow(&chat, &json!({"messages": say("a b c")["messages"]})).await;
    let calls = |result: Value| result["tool_calls"][0]["function"].clone();
    let streamed = calls(streamed.unwrap());
    assert_eq!(streamed, json!({"name": "lookup", "arguments": "{\"query\":\"Echo: a b c\"}"}));
    assert_eq!((streamed, text.as_str()), (calls(whole.unwrap()), ""));
}

/// Every fault that ends a stream: what must become of the job, and a part of what it says.
fn faults() -> Vec<(Value, FailureReason, Disposition, &'static str)> {
    let retry = Disposition::Retry { after: None };
    let postpone = Disposition::Postpone { after: Duration::from_secs(3) };
    // 429 without a time of its own.
    let patience = Disposition::Postpone { after: Duration::from_secs(5) };
    let quota = json!({"kind": "stream_error", "code": "insufficient_quota", "message": "spent"});
    let refused = json!({"kind": "status", "status": 429, "retry_after": 3});
    let filter = json!({"kind": "finish", "finish_reason": "content_filter"});
    vec![
        (refused, RateLimited, postpone, "429"),
        (json!({"kind": "status", "status": 503, "body": "<html>"}), Error, retry, "503"),
        (json!({"kind": "status", "status": 400}), Invalid, Disposition::Dead, "400"),
        (json!({"kind": "error_body_200", "code": 429}), RateLimited, patience, "429"),
        (json!({"kind": "error_body_200"}), Error, retry, "fake_fault"),
        (json!({"kind": "stream_error", "code": 429}), RateLimited, patience, "bytes of text"),
        (json!({"kind": "stream_error"}), Error, retry, "A scripted fault"),
        (quota, Permanent, Disposition::Dead, "spent"),
        (json!({"kind": "truncate"}), Truncated, retry, "without a finish_reason"),
        (json!({"kind": "finish"}), Truncated, retry, "without a finish_reason"),
        (json!({"kind": "stall"}), Timeout, retry, "stalled for 200ms"),
        (json!({"kind": "only_keep_alive"}), Timeout, retry, "stalled for 6s"),
        (json!({"kind": "malformed"}), Error, retry, "a chunk that cannot be read"),
        (json!({"kind": "html"}), Error, retry, "not JSON"),
        (json!({"kind": "empty"}), Error, retry, "is empty"),
        (filter, ContentFilter, Disposition::Dead, "content filter"),
        (json!({"kind": "endless"}), Permanent, Disposition::Dead, "more text than a result may have"),
    ]
}

#[tokio::test]
async fn every_fault_of_a_stream_has_its_own_outcome_after_exactly_one_call() {
    let fake = Fake::start(FakeLlmOptions::default()).await;
    let (patient, impatient) = (chat(fake.url("")), with_idle(fake.url(""), IDLE));
    // Signs of life come every moment, and have to come in time.
    let steady = with_idle(fake.url(""), Duration::from_secs(1));
    let prompt = format!("a canary {} prompt", "word".repeat(500));
    for (number, (fault, reason, disposition, part)) in faults().into_iter().enumerate() {
        fake.fault(fault.clone()).await;
        let chat = match fault["kind"].as_str() {
            Some("stall") => &impatient,
            Some("only_keep_alive") => &steady,
            _ => &patient,
        };
        let (outcome, _) = follow(chat, &say(&prompt)).await;
        let failed = outcome.unwrap_err();
        assert_eq!((failed.0, failed.1), (reason, disposition), "{fault}: {}", failed.2);
        assert!(failed.2.contains(part) && !failed.2.contains("canary"), "{fault}: {}", failed.2);
        assert_eq!(fake.get("/requests").await["count"], number + 1, "{fault}: the queue alone retries");
    }
    assert!(follow(&patient, &say("well again")).await.0.is_ok());
}

#[tokio::test]
async fn text_before_a_fault_is_passed_on_and_counted() {
    let fake = Fake::start(FakeLlmOptions::default()).await;
    fake.fault(json!({"kind": "stream_error"})).await;
    let (outcome, text) = follow(&chat(fake.url("")), &say("one two three four")).await;
    let message = outcome.unwrap_err().2;
    assert!(!text.is_empty() && "Echo: one two three four".starts_with(&text), "{text}");
    assert!(message.ends_with(&format!(", after {} bytes of text", text.len())), "{message}");
}

#[tokio::test]
async fn a_first_token_that_does_not_come_is_given_up_on() {
    let fake = Fake::start(FakeLlmOptions::default()).await;
    fake.fault(json!({"kind": "slow_first_token", "delay_ms": 3_600_000})).await;
    let first_token_timeout = Duration::from_millis(150);
    let options = LlmOptions { first_token_timeout, ..LlmOptions::new(fake.url(""), "m") };
    let (outcome, _) = follow(&LlmChat::new(&options).unwrap(), &say("x")).await;
    let failed = outcome.unwrap_err();
    assert_eq!((failed.0, failed.2.as_str()), (Timeout, "the provider sent no token within 150ms"));
}

#[tokio::test]
async fn a_provider_that_does_not_stream_is_understood() {
    let whole = json!({"id": "x", "choices": [{"message": {"content": "all at once"}, "finish_reason": "stop"}]});
    let server = Receiver::start(answer(200, "content-type: application/json\r\n", &whole.to_string())).await;
    let (outcome, text) = follow(&chat(server.url("")), &say("hi")).await;
    assert_eq!((outcome.unwrap()["content"].as_str(), text.as_str()), (Some("all at once"), "all at once"));
    let sent: Value = serde_json::from_str(&server.received()[0].body).unwrap();
    assert_eq!((&sent["stream"], &sent["stream_options"]), (&json!(true), &json!({"include_usage": true})));
}

#[tokio::test]
async fn answers_that_are_no_streams_are_no_success() {
    for (body, reason) in [("", Truncated), ("OK", Truncated), ("{\"choices\": [", Error), ("[1]", Truncated)] {
        let server = Receiver::start(answer(200, "", body)).await;
        let failed = follow(&chat(server.url("")), &say("hi")).await.0.unwrap_err();
        assert_eq!((failed.0, failed.1), (reason, Disposition::Retry { after: None }), "{body}: {}", failed.2);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_end_of_an_answer() {
    let head = "HTTP/1.1 200 X\r\ncontent-length: 9999\r\nconnection: close\r\n\r\n";
    let chunk = json!({"choices": [{"delta": {"content": "half"}}]});
    let server = Receiver::start(format!("{head}data: {chunk}\n\n")).await;
    let (outcome, text) = follow(&chat(server.url("")), &say("hi")).await;
    let failed = outcome.unwrap_err();
    assert_eq!((failed.0, text.as_str()), (Truncated, "half"));
    assert_eq!(failed.2, "the provider's answer broke off, after 4 bytes of text");

    let end = json!({"choices": [{"delta": {}, "finish_reason": "stop"}]});
    let server = Receiver::start(format!("{head}data: {chunk}\n\ndata: {end}\n\n")).await;
    let result = follow(&chat(server.url("")), &say("hi")).await.0.unwrap();
    assert_eq!((&result["content"], &result["usage"]["estimated"]), (&json!("half"), &json!(true)), "it is complete");

    let fake = Fake::start(FakeLlmOptions::default()).await;
    fake.fault(json!({"kind": "disconnect"})).await;
    let failed = follow(&chat(fake.url("")), &say("hi")).await.0.unwrap_err();
    assert!(matches!(failed.0, Error | Truncated), "{failed:?}");
}

#[tokio::test]
async fn an_event_named_error_is_an_error() {
    let chunk = json!({"choices": [{"delta": {"content": "x"}}]});
    let body =
        format!("data: {chunk}\n\nevent: error\ndata: {{\"message\": \"boom\", \"code\": 503}}\n\ndata: [DONE]\n\n");
    let server = Receiver::start(answer(200, "", &body)).await;
    let (outcome, text) = follow(&chat(server.url("")), &say("hi")).await;
    let failed = outcome.unwrap_err();
    assert_eq!((failed.0, text.as_str()), (Error, "x"));
    assert!(failed.2.starts_with("the provider answered 503 503: boom"), "{}", failed.2);
}

#[tokio::test]
async fn dropping_a_stream_hangs_up_on_the_provider() {
    let fake = Fake::start(FakeLlmOptions::default()).await;
    let faults = [json!({"kind": "stall"}), json!({"kind": "slow_first_token", "delay_ms": 3_600_000})];
    for (number, fault) in faults.into_iter().enumerate() {
        fake.fault(fault.clone()).await;
        let options = LlmOptions::new(fake.url(""), "m");
        let attempt = tasks::spawn("attempt", async move {
            let chat = LlmChat::new(&options).unwrap();
            follow(&chat, &say("hello")).await
        });
        while fake.get("/requests").await["count"] != number + 1 {}
        attempt.abort();
        // By itself it would write for an hour.
        let left = async { while fake.get("/requests").await["left"] != number + 1 {} };
        let left = tokio::time::timeout(Duration::from_secs(60), left).await;
        assert!(left.is_ok(), "{fault}: the provider still writes");
    }
}
