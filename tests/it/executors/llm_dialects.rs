//! `llm.chat` against answers as other servers than OpenAI's write them, byte for byte.

use std::time::Duration;

use serde_json::{Value, json};
use windlass::domain::FailureReason::{self, Error, Invalid, Permanent, RateLimited};
use windlass::engine::{Disposition, Executor};
use windlass::executors::llm::{LlmChat, LlmOptions};

use crate::support::context::{Failed, run};
use crate::support::receiver::{Receiver, answer};

async fn ask(answer: String) -> Result<Value, Failed> {
    let server = Receiver::start(answer).await;
    let chat = LlmChat::new(&LlmOptions::new(server.url("/v1"), "m")).unwrap();
    let outcome = run(&chat, json!({"messages": [{"role": "user", "content": "hi"}]})).await;
    assert_eq!(server.connections(), 1, "one attempt is one request");
    assert!(server.received()[0].head.starts_with("POST /v1/chat/completions "));
    outcome
}

async fn refused(status: u16, headers: &str, body: &str) -> (FailureReason, Disposition) {
    let failed = ask(answer(status, headers, body)).await.unwrap_err();
    assert!(failed.2.contains(&status.to_string()), "{}", failed.2);
    (failed.0, failed.1)
}

#[tokio::test]
async fn errors_keep_their_status_in_every_dialect() {
    let retry = Disposition::Retry { after: None };
    let wait = Disposition::Postpone { after: Duration::from_secs(5) };
    let vllm = r#"{"object":"error","message":"no","type":"BadRequestError","param":null,"code":400}"#;
    assert_eq!(refused(400, "", vllm).await, (Invalid, Disposition::Dead));
    let openrouter = r#"{"error":{"message":"busy","code":429}}"#;
    assert_eq!(refused(429, "", openrouter).await, (RateLimited, wait));
    let xai = r#"{"code":"The service is currently unavailable","error":"at capacity"}"#;
    assert_eq!(refused(503, "", xai).await, (Error, retry));
    assert_eq!(refused(429, "", "<html>429</html>").await, (RateLimited, wait));
    assert_eq!(refused(529, "", "").await, (Error, retry));
    assert_eq!(refused(413, "", "too large").await, (Invalid, Disposition::Dead));
}

#[tokio::test]
async fn a_wait_can_be_a_date_and_nonsense_is_no_wait() {
    let long = Disposition::Postpone { after: Duration::from_secs(900) };
    assert_eq!(refused(429, "retry-after: Tue, 01 Jan 2999 00:00:00 GMT\r\n", "{}").await, (RateLimited, long));
    let none = Disposition::Postpone { after: Duration::from_secs(5) };
    assert_eq!(refused(429, "retry-after: -1\r\n", "{}").await, (RateLimited, none));
}

#[tokio::test]
async fn unknown_words_and_fields_do_not_spoil_an_answer() {
    let body = json!({
        "id": "x", "object": "chat.completion", "created": 1e10, "model": "llama3", "service_tier": "on_demand",
        "choices": [{"index": 0, "finish_reason": "eos", "message": {"role": "assistant", "content": "hello",
            "reasoning_content": "hm"}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 0.1}
    });
    let result = ask(answer(200, "content-type: text/plain\r\n", &body.to_string())).await.unwrap();
    assert_eq!((&result["content"], &result["finish_reason"]), (&json!("hello"), &json!("eos")));
}

#[tokio::test]
async fn a_key_does_not_follow_a_redirect() {
    let canary = Receiver::canary().await;
    let location = format!("location: {}\r\n", canary.url("/v1/chat/completions"));
    let server = Receiver::start(answer(307, &location, "")).await;
    let chat = LlmChat::new(&LlmOptions::new(server.url(""), "m").with_key("sk-canary")).unwrap();
    let failed = run(&chat, json!({"messages": [{"role": "user", "content": "hi"}]})).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Permanent, Disposition::Dead));
    assert_eq!(server.received()[0].header("authorization"), Some("Bearer sk-canary"));
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let failed = ask(answer(200, "", &"[".repeat(3 << 20))).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Permanent, Disposition::Dead), "{}", failed.2);
}

#[test]
fn numbers_that_only_look_whole_are_refused_at_the_door() {
    let chat = LlmChat::new(&LlmOptions::new("http://127.0.0.1:1", "m")).unwrap();
    let messages = json!([{"role": "user", "content": "hi"}]);
    assert!(chat.check(&json!({"messages": messages, "max_output_tokens": 5})).is_ok());
    assert!(chat.check(&json!({"messages": messages, "max_output_tokens": 5.0})).is_err());
}
