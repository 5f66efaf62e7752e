//! Bad input: each case has its status, its code and its pointer, and changes nothing in Redis.

use http::Method;
use serde_json::json;

use crate::support::api::{Api, send};

/// Body, status, code, pointer of the first error.
type Case<'a> = (&'a str, u16, &'a str, &'a str);

async fn check(api: &Api, key: &str, cases: &[Case<'_>]) {
    let before = api.keys_in_redis();
    for (body, status, code, pointer) in cases {
        let answer = api.post_text(key, "/ai/jobs", body).await;
        let shown = &body[..body.len().min(120)];
        assert_eq!((answer.status, answer.code().as_str()), (*status, *code), "{shown}");
        assert_eq!(answer.pointers().first().map(String::as_str), Some(*pointer), "{shown}");
    }
    assert_eq!(api.keys_in_redis(), before, "a refused request wrote something");
    assert_eq!(api.submit(key, "r1").await.status, 202, "the id is still free");
}

#[tokio::test]
async fn fields_that_are_wrong_are_named() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let long = format!(r#"{{"client_request_id":"{}","type":"echo"}}"#, "x".repeat(256));
    let cases: Vec<Case<'_>> = vec![
        (r#"{"type":"echo"}"#, 400, "missing_field", "/client_request_id"),
        (r#"{"client_request_id":"r1"}"#, 400, "missing_field", "/type"),
        (r#"{"client_request_id":"","type":"echo"}"#, 400, "invalid_field", "/client_request_id"),
        (r#"{"client_request_id":"a\u0000","type":"echo"}"#, 400, "invalid_field", "/client_request_id"),
        (r#"{"client_request_id":1,"type":"echo"}"#, 400, "invalid_field", "/client_request_id"),
        (&long, 400, "invalid_field", "/client_request_id"),
        (r#"{"client_request_id":"r1","type":"echo","workspace":"b"}"#, 400, "unknown_field", "/workspace"),
        (r#"{"client_request_id":"r1","type":"echo","state":"dead"}"#, 400, "unknown_field", "/state"),
        (r#"{"client_request_id":"r1","type":"echo","a/b":1}"#, 400, "unknown_field", "/a~1b"),
        (r#"{"client_request_id":"r1","type":"echo","timeout_ms":-1}"#, 400, "invalid_field", "/timeout_ms"),
        (
            r#"{"client_request_id":"r1","type":"echo","max_attempts":2147483648}"#,
            400,
            "invalid_field",
            "/max_attempts",
        ),
        (
            r#"{"client_request_id":"r1","type":"echo","run_at":"9999-12-31T23:59:59Z"}"#,
            400,
            "invalid_field",
            "/run_at",
        ),
        (r#"{"client_request_id":"r1","type":"echo","queue":"{a}"}"#, 400, "invalid_field", "/queue"),
        (r#"{"client_request_id":"r1","type":"ECHO"}"#, 400, "invalid_field", "/type"),
        (r#"{"client_request_id":"r1","type":"echo","metadata":{"a":1}}"#, 400, "invalid_field", "/metadata"),
        (
            r#"{"client_request_id":"r1","type":"echo","callback_url":"http://x"}"#,
            400,
            "not_supported",
            "/callback_url",
        ),
        (r#"{"client_request_id":"r1","type":"nothing"}"#, 422, "unknown_type", "/type"),
        (r#"{"client_request_id":"r1","type":"webhook.send"}"#, 403, "action_not_allowed", "/type"),
        (r#"{"client_request_id":"r1","type":"sleep","input":{"ms":"x"}}"#, 422, "invalid_input", "/input/ms"),
        ("[]", 400, "invalid_field", ""),
    ];
    check(&api, &key, &cases).await;
}

#[tokio::test]
async fn text_that_is_no_acceptable_json_is_refused() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let deep = format!(r#"{{"input":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
    let deeper = "[".repeat(100_000);
    let cases: Vec<Case<'_>> = vec![
        ("", 400, "invalid_json", ""),
        ("{", 400, "invalid_json", ""),
        (r#"{"client_request_id":"r1","type":"echo","input":"\ud800"}"#, 400, "invalid_json", "/input"),
        (r#"{"client_request_id":"r1","type":"echo","type":"echo"}"#, 400, "duplicate_key", "/type"),
        (
            r#"{"client_request_id":"r1","type":"echo","input":[{"a":{"b":1,"b":2}}]}"#,
            400,
            "duplicate_key",
            "/input/0/a/b",
        ),
        (r#"{"client_request_id":"r1","type":"echo","input":1e999}"#, 400, "number_out_of_range", "/input"),
        (
            r#"{"client_request_id":"r1","type":"echo","timeout_ms":18446744073709551616}"#,
            400,
            "number_out_of_range",
            "/timeout_ms",
        ),
        (r#"{"client_request_id":"r1","type":"echo","input":NaN}"#, 400, "invalid_json", "/input"),
        (&deep, 400, "too_deep", &format!("/input{}", "/0".repeat(63))),
        (&deeper, 400, "too_deep", &"/0".repeat(64)),
    ]
    .into_iter()
    .map(|(body, status, code, pointer): (&str, u16, &str, &str)| {
        (body, status, code, pointer.to_owned().leak() as &str)
    })
    .collect();
    check(&api, &key, &cases).await;
}

#[tokio::test]
async fn bytes_that_are_not_utf8_are_refused() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let request = api.request(Method::POST, "/ai/jobs").bearer_auth(&key).header("content-type", "application/json");
    let answer = send(request.body(b"{\"client_request_id\":\"\xff\",\"type\":\"echo\"}".to_vec())).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_json"));
}

#[tokio::test]
async fn the_media_type_decides_before_the_body() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let body = r#"{"client_request_id":"r1","type":"echo"}"#;
    let cases = [
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/x-ndjson"),
        Some("application/json; charset=utf-16"),
        None,
    ];
    for media in cases {
        let mut request = api.request(Method::POST, "/ai/jobs").bearer_auth(&key).body(body);
        if let Some(media) = media {
            request = request.header("content-type", media);
        }
        let answer = send(request).await;
        assert_eq!((answer.status, answer.code().as_str()), (415, "unsupported_media_type"), "{media:?}");
    }
    let gzip = api.request(Method::POST, "/ai/jobs").bearer_auth(&key).header("content-encoding", "gzip");
    let answer = send(gzip.header("content-type", "application/json").body(body)).await;
    assert_eq!((answer.status, answer.pointers()), (415, vec!["Content-Encoding".to_owned()]));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_in_any_framing() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let fill = |size: usize| {
        let frame = r#"{"client_request_id":"r1","type":"echo","input":""}"#.len();
        format!(r#"{{"client_request_id":"r1","type":"echo","input":"{}"}}"#, "x".repeat(size - frame))
    };
    let limit = 256 * 1024;
    let chunked =
        |text: String| reqwest::Body::wrap_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(text)]));
    let post = || api.request(Method::POST, "/ai/jobs").bearer_auth(&key).header("content-type", "application/json");
    for request in [post().body(fill(limit + 1)), post().body(chunked(fill(limit + 1)))] {
        let answer = send(request).await;
        assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
    }
    assert_eq!(send(post().body(chunked(fill(limit)))).await.status, 202);
}

#[tokio::test]
async fn commands_refuse_what_they_do_not_know() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let id = api.submit(&key, "r1").await.id();
    let cancel = format!("/ai/jobs/{id}/cancel");
    let answer = api.post(&key, &cancel, &json!({"force": true})).await;
    assert_eq!((answer.status, answer.pointers()), (400, vec!["/force".to_owned()]));
    assert_eq!(api.post(&key, &cancel, &json!([])).await.code(), "invalid_field");
    assert_eq!(api.get(&key, &format!("/ai/jobs/{id}")).await.json()["state"], "pending");
    assert_eq!(api.post(&key, &cancel, &json!({})).await.status, 200);
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_problems() {
    let api = Api::start().await;
    for path in ["/nothing", "/ai", "/ai/jobs/x/y", "/%2e%2e%2fetc", "//ai/jobs", "/docs/../x", "/%00"] {
        let answer = api.get("", path).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "no_route"), "{path}");
    }
    for method in [Method::DELETE, Method::TRACE, Method::PATCH, Method::OPTIONS] {
        let answer = send(api.request(method.clone(), "/ai/jobs")).await;
        assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"), "{method}");
        assert!(answer.header("allow").is_some_and(|a| a.contains("POST")), "{answer:?}");
    }
}

#[tokio::test]
async fn a_request_id_is_taken_over_when_it_is_sane() {
    let api = Api::start().await;
    let with = |id: &str| api.request(Method::GET, "/nothing").header("x-request-id", id);
    let answer = send(with("trace-1")).await;
    assert_eq!((answer.header("x-request-id"), answer.code().as_str()), (Some("trace-1"), "no_route"));
    let answer = send(with("{\"level\":\"error\"}")).await;
    assert_ne!(answer.header("x-request-id"), Some("{\"level\":\"error\"}"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
}
