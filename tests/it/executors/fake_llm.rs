//! The fake provider itself: it must be a fair stand-in.

use secrecy::SecretString;
use serde_json::{Value, json};
use windlass::executors::llm::fake::{FakeLlmOptions, Fault, FaultKind};

use super::llm::Fake;

const CHAT: &str = "/v1/chat/completions";

fn request(text: &str, stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": text}]})
}

async fn stream(fake: &Fake, body: &Value) -> Vec<String> {
    let response = fake.post(CHAT, body).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.unwrap();
    text.split("\n\n").filter(|e| !e.is_empty()).map(|e| e.strip_prefix("data: ").unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_stream_has_the_shape_of_openai() {
    let fake = Fake::start(FakeLlmOptions::default()).await;
    let mut body = request("hello world", true);
    body["stream_options"] = json!({"include_usage": true});
    let mut events = stream(&fake, &body).await;
    assert_eq!(events.pop().as_deref(), Some("[DONE]"));
    let events: Vec<Value> = events.iter().map(|e| serde_json::from_str(e).unwrap()).collect();
    let text: String = events.iter().filter_map(|e| e.pointer("/choices/0/delta/content")?.as_str()).collect();
    assert_eq!(text, "Echo: hello world");
    let [.., finish, usage] = &events[..] else { panic!("{events:?}") };
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!((&usage["choices"], &usage["usage"]["total_tokens"]), (&json!([]), &json!(5)));
}

#[tokio::test]
async fn a_truncated_stream_ends_cleanly_without_a_finish() {
    let faults = vec![Fault::new(FaultKind::Truncate)];
    let fake = Fake::start(FakeLlmOptions { faults, ..FakeLlmOptions::default() }).await;
    let events = stream(&fake, &request("a b c d e f", true)).await;
    assert!(!events.is_empty() && events.iter().all(|e| !e.contains("\"stop\"") && e != "[DONE]"), "{events:?}");
}

#[tokio::test]
async fn a_malformed_stream_has_one_broken_event() {
    let faults = vec![Fault::new(FaultKind::Malformed)];
    let fake = Fake::start(FakeLlmOptions { faults, ..FakeLlmOptions::default() }).await;
    let events = stream(&fake, &request("a b c", true)).await;
    let broken = events.iter().filter(|e| serde_json::from_str::<Value>(e).is_err() && *e != "[DONE]").count();
    assert_eq!(broken, 1, "{events:?}");
}

#[tokio::test]
async fn answers_are_the_same_for_the_same_request() {
    let fake = Fake::start(FakeLlmOptions { answer_tokens: Some(5), ..FakeLlmOptions::default() }).await;
    for _ in 0..2 {
        let answer: Value =
            serde_json::from_str(&fake.post(CHAT, &request("x y", false)).await.text().await.unwrap()).unwrap();
        assert_eq!(answer["choices"][0]["message"]["content"], "Echo: x y Echo: x");
        assert_eq!(answer["usage"]["completion_tokens"], 5);
    }
}

#[tokio::test]
async fn bad_requests_are_refused_in_the_dialect() {
    let fake = Fake::start(FakeLlmOptions::default()).await;
    for body in [json!("x"), json!({}), json!({"model": "m"}), json!({"model": "m", "messages": []})] {
        let response = fake.post(CHAT, &body).await;
        assert_eq!(response.status(), 400, "{body}");
        let error: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert!(error["error"]["message"].is_string());
    }
}

#[tokio::test]
async fn the_wrong_key_is_refused() {
    let api_key = Some(SecretString::from("sk-right"));
    let fake = Fake::start(FakeLlmOptions { api_key, ..FakeLlmOptions::default() }).await;
    assert_eq!(fake.post(CHAT, &request("x", false)).await.status(), 401);
}

#[tokio::test]
async fn faults_can_be_scripted_listed_and_cleared() {
    let fake = Fake::start(FakeLlmOptions::default()).await;
    fake.fault(json!({"kind": "status", "status": 503, "count": 2, "match": "only me"})).await;
    assert_eq!(fake.get("/faults").await["faults"][0]["count"], 2);
    assert_eq!(fake.post(CHAT, &request("another", false)).await.status(), 200);
    assert_eq!(fake.post(CHAT, &request("only me", false)).await.status(), 503);
    let requests = fake.get("/requests").await;
    assert_eq!((&requests["count"], &requests["faulted"]), (&json!(2), &json!(1)));
    let cleared = reqwest::Client::new().delete(fake.url("/faults")).send().await.unwrap();
    assert_eq!(cleared.status(), 204);
    assert_eq!(fake.post(CHAT, &request("only me", false)).await.status(), 200);
    for bad in [json!({"kind": "explode"}), json!({"kind": "stall", "typo": 1}), json!({})] {
        assert_eq!(fake.post("/faults", &bad).await.status(), 400, "{bad}");
    }
}

#[tokio::test]
async fn health_and_models_answer_without_a_count() {
    let fake = Fake::start(FakeLlmOptions::default()).await;
    assert_eq!(fake.get("/health").await["status"], "ok");
    assert_eq!(fake.get("/v1/models").await["data"][0]["object"], "model");
    assert_eq!(fake.get("/requests").await["count"], 0);
}

#[tokio::test]
async fn shutdown_ends_a_stalled_answer() {
    let faults = vec![Fault::new(FaultKind::Stall)];
    let fake = Fake::start(FakeLlmOptions { faults, ..FakeLlmOptions::default() }).await;
    let mut response = fake.post(CHAT, &request("a b c", true)).await;
    assert!(response.chunk().await.unwrap().is_some());
    fake.shutdown.cancel();
    while let Ok(Some(_)) = response.chunk().await {}
    fake.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn limits_are_kept_and_told() {
    let options = FakeLlmOptions { requests_per_minute: Some(2), ..FakeLlmOptions::default() };
    let fake = Fake::start(options).await;
    let call = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    for left in ["1", "0"] {
        let answer = fake.post("/v1/chat/completions", &call).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-ratelimit-remaining-requests"]),
            (200, &left.parse().unwrap())
        );
    }
    let refused = fake.post("/v1/chat/completions", &call).await;
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert_eq!((refused.status().as_u16(), (50..=60).contains(&wait)), (429, true), "{wait}");
    let seen = fake.get("/requests").await;
    assert_eq!((&seen["count"], &seen["limited"], &seen["peak"]), (&json!(3), &json!(1), &json!(1)));
}

#[tokio::test]
async fn a_stream_counts_as_under_way_to_its_end() {
    let options = FakeLlmOptions { concurrency: Some(1), ..FakeLlmOptions::default() };
    let fake = Fake::start(options).await;
    fake.fault(json!({"kind": "stall"})).await;
    let call = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let stalled = fake.post("/v1/chat/completions", &call).await;
    assert_eq!(fake.post("/v1/chat/completions", &call).await.status(), 429);
    drop(stalled);
    while fake.post("/v1/chat/completions", &call).await.status() != 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.get("/requests").await["peak"], 1);
}
