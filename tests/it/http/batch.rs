//! Many jobs in one request: each for itself.

use http::Method;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api, send};

fn item(id: &str) -> Value {
    json!({"client_request_id": id, "type": "echo", "input": {"id": id}})
}

fn statuses(answer: &Answer) -> Vec<u64> {
    let results = answer.json()["results"].as_array().cloned().unwrap_or_default();
    results.iter().map(|r| r["status"].as_u64().expect("a status")).collect()
}

#[tokio::test]
async fn each_item_is_accepted_or_refused_for_itself() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    api.post(&key, "/ai/jobs", &item("old")).await;
    let body = r#"[
        {"client_request_id":"new","type":"echo"},
        {"client_request_id":"old","type":"echo","input":{"id":"old"}},
        {"client_request_id":"old","type":"echo","input":"other"},
        {"client_request_id":"a","type":"nothing"},
        {"client_request_id":"b","type":"echo","input":{"x":1,"x":2}},
        {"client_request_id":"c","type":"echo","attempt":1},
        7,
        {"client_request_id":"new","type":"echo"}
    ]"#;
    let answer = api.post_text(&key, "/ai/jobs/batch", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let result = answer.json();
    let mut expected = vec![202, 200, 422, 422, 400, 400, 400, 200];
    let mut got = statuses(&answer);
    // Two items with one id: one of them is the job, the other its replay.
    expected.sort_unstable();
    got.sort_unstable();
    assert_eq!(got, expected, "{result}");
    assert_eq!((&result["accepted"], &result["replayed"], &result["refused"]), (&json!(1), &json!(2), &json!(5)));
    assert_eq!(result["results"][4]["problem"]["errors"][0]["pointer"], "/input/x");
    assert_eq!(result["results"][4]["problem"]["code"], "duplicate_key");
    assert_eq!(result["results"][0]["job"]["id"], result["results"][7]["job"]["id"]);
    assert_eq!(api.redis.cli(&["LLEN", "ai:queue:pending"]), "2");
}

#[tokio::test]
async fn lines_work_like_an_array() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let body = format!("{}\n\nnonsense\n{}\n", item("a"), item("b"));
    let request = api.request(Method::POST, "/ai/jobs/batch").bearer_auth(&key);
    let answer = send(request.header("content-type", "application/x-ndjson").body(body)).await;
    assert_eq!(statuses(&answer), [202, 400, 202]);
}

#[tokio::test]
async fn a_thousand_jobs_fit_and_no_more() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let batch: Vec<Value> = (0..1001).map(|i| item(&format!("r{i}"))).collect();
    let answer = api.post(&key, "/ai/jobs/batch", &json!(batch)).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "batch_too_large"));
    assert_eq!(api.redis.cli(&["LLEN", "ai:queue:pending"]), "0");
    let answer = api.post(&key, "/ai/jobs/batch", &json!(batch[..1000])).await;
    assert_eq!(answer.json()["accepted"], 1000);
    assert_eq!(api.redis.cli(&["LLEN", "ai:queue:pending"]), "1000");
    let again = api.post(&key, "/ai/jobs/batch", &json!(batch[..1000])).await;
    assert_eq!(again.json()["replayed"], 1000);
}

#[tokio::test]
async fn what_is_no_batch_is_refused_whole() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    assert_eq!(api.post(&key, "/ai/jobs/batch", &item("a")).await.code(), "invalid_field");
    assert_eq!(api.post_text(&key, "/ai/jobs/batch", "[{}").await.code(), "invalid_json");
    assert_eq!(api.post_text(&key, "/ai/jobs/batch", &"[".repeat(100_000)).await.code(), "too_deep");
    let large = api.post_text(&key, "/ai/jobs/batch", &" ".repeat(9 * 1024 * 1024)).await;
    assert_eq!(large.code(), "body_too_large");
    assert_eq!(api.post_text(&key, "/ai/jobs/batch", "[]").await.json()["results"], json!([]));
}

#[tokio::test]
async fn an_item_has_the_limit_of_a_single_job() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let mut large = item("large");
    large["input"] = json!("x".repeat(300 * 1024));
    let answer = api.post(&key, "/ai/jobs/batch", &json!([large, item("small")])).await;
    assert_eq!(statuses(&answer), [413, 202]);
}
