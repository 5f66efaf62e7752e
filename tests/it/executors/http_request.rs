//! `http.request` against a real receiver.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use windlass::domain::FailureReason::{
    Error, Invalid, NeedsReauth, NotAllowed, OutcomeUnknown, Permanent, RateLimited, Timeout,
};
use windlass::domain::{EffectClass, HeldReason, RawJson};
use windlass::engine::{Disposition, Executor};
use windlass::executors::actions::{Cooldowns, CredentialKind, HttpRequest, HttpRequestOptions, Means, Secret};

use crate::support::context::{FakeJob, run, run_job};
use crate::support::ports::Reserved;
use crate::support::receiver::{Receiver, answer};
use crate::support::vault::{FixedVault, credential};

const RETRY: Disposition = Disposition::Retry { after: None };
const HELD: Disposition = Disposition::Hold(HeldReason::OutcomeUnknown);

fn options(receiver: &Receiver) -> HttpRequestOptions {
    let allow_internal = vec![receiver.address.to_string().parse().unwrap()];
    HttpRequestOptions { allow_internal, ..HttpRequestOptions::default() }
}

fn requester(receiver: &Receiver) -> HttpRequest {
    HttpRequest::new(&options(receiver)).unwrap()
}

fn with_header(receiver: &Receiver, host: &str) -> HttpRequest {
    let secret = Secret::Header { host: host.to_owned(), name: "X-Api-Key".to_owned(), value: "key-canary".into() };
    let vault = FixedVault::with(credential(CredentialKind::HttpHeader, "api", secret));
    requester(receiver).with_means(Means { vault: Some(Arc::new(vault)), cooldowns: Cooldowns::default() })
}

fn post(receiver: &Receiver) -> Value {
    json!({"method": "POST", "url": receiver.url("/orders"), "body": {"b": 1}})
}

fn keyed(receiver: &Receiver) -> Value {
    let mut input = post(receiver);
    input["idempotency_key_header"] = json!("Idempotency-Key");
    input
}

#[tokio::test]
async fn an_answer_in_json_is_the_result() {
    let receiver = Receiver::start(answer(200, "content-type: application/json\r\n", r#"{"a":[1]}"#)).await;
    let result = run(&requester(&receiver), json!({"url": receiver.url("/x?y=1")})).await.unwrap();
    assert_eq!((&result["status"], &result["json"]), (&json!(200), &json!({"a": [1]})));
    assert_eq!((&result["truncated"], &result["content_type"]), (&json!(false), &json!("application/json")));
    assert!(receiver.received()[0].head.starts_with("GET /x?y=1 HTTP/1.1"));
}

#[tokio::test]
async fn a_body_is_sent_as_it_was_written_and_says_what_it_is() {
    let receiver = Receiver::start(answer(200, "", "thanks")).await;
    let requester = requester(&receiver);
    let url = receiver.url("/");
    let text = format!(r#"{{"method":"PUT","url":"{url}","body":{{"b":1.0,"a":1e3}},"headers":{{"X-Trace":"t"}}}}"#);
    let result = requester.run(FakeJob::new().context_of(&requester, RawJson::from_compact(text))).await.unwrap();
    assert_eq!(result.to_value()["text"], "thanks");
    let xml = json!({"method": "POST", "url": url, "text": "<a/>", "content_type": "application/xml"});
    run(&requester, xml).await.unwrap();
    let received = receiver.received();
    assert_eq!(
        (&*received[0].body, received[0].header("content-type")),
        (r#"{"b":1.0,"a":1e3}"#, Some("application/json"))
    );
    assert_eq!(received[0].header("x-trace"), Some("t"));
    assert_eq!((&*received[1].body, received[1].header("content-type")), ("<a/>", Some("application/xml")));
}

#[tokio::test]
async fn a_huge_answer_is_cut_and_says_so() {
    let receiver = Receiver::start(answer(200, "", &"\u{1b}x".repeat(200_000))).await;
    let result = run(&requester(&receiver), json!({"url": receiver.url("/")})).await.unwrap();
    let text = result["text"].as_str().unwrap();
    assert!(text.len() <= 3 * 64 * 1024 && text.len() >= 64 * 1024 && !text.contains('\u{1b}'), "{}", text.len());
    assert_eq!(result["truncated"], true);
}

#[tokio::test]
async fn each_status_has_its_rule() {
    let after = |secs| Disposition::Retry { after: Some(Duration::from_secs(secs)) };
    for (status, headers, reason, disposition) in [
        (408, "", Error, RETRY),
        (500, "", Error, RETRY),
        (503, "retry-after: 7\r\n", Error, after(7)),
        (429, "", RateLimited, RETRY),
        (429, "retry-after: 7\r\n", RateLimited, Disposition::Postpone { after: Duration::from_secs(7) }),
        (302, "location: http://127.0.0.1:1/\r\n", Permanent, Disposition::Dead),
        (404, "", Permanent, Disposition::Dead),
    ] {
        let receiver = Receiver::start(answer(status, headers, "secret words")).await;
        let failed = run(&requester(&receiver), json!({"url": receiver.url("/")})).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (reason, disposition), "{status} {headers}");
        assert!(failed.2.contains(&status.to_string()) && !failed.2.contains("secret"), "{}", failed.2);
        assert_eq!(receiver.connections(), 1, "{status}: one attempt is one request");
    }
}

#[tokio::test]
async fn what_counts_as_a_success_is_the_jobs_choice() {
    let receiver = Receiver::start(answer(404, "", "none")).await;
    let input = json!({"url": receiver.url("/"), "expect_status": [200, 404]});
    assert_eq!(run(&requester(&receiver), input).await.unwrap()["status"], 404);
    let receiver = Receiver::start(answer(200, "", "")).await;
    let mut input = post(&receiver);
    input["expect_status"] = json!([201]);
    let failed = run(&requester(&receiver), input).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Permanent, Disposition::Dead));
    assert!(failed.2.contains("called all the same"), "{}", failed.2);
}

#[tokio::test]
async fn a_post_whose_answer_is_lost_is_held_and_not_sent_again() {
    let receiver = Receiver::start(answer(502, "", "")).await;
    let mut job = FakeJob::new();
    let held = run_job(&job, &requester(&receiver), post(&receiver)).await.unwrap_err();
    assert_eq!((held.0, held.1), (OutcomeUnknown, HELD));
    assert_eq!(job.effects.get("send").unwrap().class, EffectClass::Once);
    job.attempt = 2;
    assert_eq!(run_job(&job, &requester(&receiver), post(&receiver)).await.unwrap_err().1, HELD);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_post_that_times_out_is_held_and_one_that_never_left_is_tried_again() {
    let receiver = Receiver::start(String::new()).await;
    // Long enough for a busy machine to have sent the request by then.
    let options = HttpRequestOptions { timeout: Duration::from_secs(2), ..options(&receiver) };
    let requester = HttpRequest::new(&options).unwrap();
    assert_eq!(run(&requester, post(&receiver)).await.unwrap_err().1, HELD);
    let get = run(&requester, json!({"url": receiver.url("/")})).await.unwrap_err();
    assert_eq!((get.0, get.1), (Timeout, RETRY));

    let nobody = Reserved::new();
    let address = nobody.address();
    let allow_internal = vec![address.parse().unwrap()];
    let requester = HttpRequest::new(&HttpRequestOptions { allow_internal, ..HttpRequestOptions::default() }).unwrap();
    let failed = run(&requester, json!({"method": "POST", "url": format!("http://{address}/")})).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Error, RETRY), "{}", failed.2);
}

#[tokio::test]
async fn a_post_with_a_key_is_sent_again_with_the_same_key() {
    let receiver = Receiver::start(answer(502, "", "")).await;
    let mut job = FakeJob::new();
    for attempt in 1..=2 {
        job.attempt = attempt;
        let failed = run_job(&job, &requester(&receiver), keyed(&receiver)).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (Error, RETRY));
    }
    let keys: Vec<_> = receiver.received().iter().map(|r| r.header("idempotency-key").unwrap().to_owned()).collect();
    assert_eq!(keys, vec![format!("{}.send", job.id); 2]);
}

#[tokio::test]
async fn a_credential_is_sent_to_its_own_host_and_taken_out_of_what_comes_back() {
    let receiver = Receiver::start(answer(200, "", "you sent key-canary")).await;
    let mut input = json!({"url": receiver.url("/"), "credential": "api"});
    let requester = with_header(&receiver, &receiver.address.to_string());
    let result = run(&requester, input.clone()).await.unwrap();
    assert_eq!(receiver.received()[0].header("x-api-key"), Some("key-canary"));
    assert_eq!(result["text"], "you sent [redacted]");
    assert!(!format!("{result} {requester:?}").contains("canary"));

    let elsewhere = with_header(&receiver, "api.example.com");
    let failed = run(&elsewhere, input.clone()).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (NotAllowed, Disposition::Dead));
    assert!(!failed.2.contains("canary"), "{}", failed.2);
    input["credential"] = json!("other");
    assert_eq!(run(&requester, input).await.unwrap_err().0, NeedsReauth);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_credential_is_never_sent_to_a_public_host_in_the_open() {
    let options =
        HttpRequestOptions { allowed_hosts: vec!["api.example.com".parse().unwrap()], ..HttpRequestOptions::default() };
    let secret =
        Secret::Header { host: "api.example.com".into(), name: "X-Api-Key".into(), value: "key-canary".into() };
    let vault = FixedVault::with(credential(CredentialKind::HttpHeader, "api", secret));
    let means = Means { vault: Some(Arc::new(vault)), cooldowns: Cooldowns::default() };
    let requester = HttpRequest::new(&options).unwrap().with_means(means);
    let failed = run(&requester, json!({"url": "http://api.example.com/", "credential": "api"})).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (NotAllowed, Disposition::Dead), "{}", failed.2);
}

#[tokio::test]
async fn a_host_that_asks_for_patience_is_left_alone_by_the_next_job() {
    let receiver = Receiver::start(answer(429, "retry-after: 60\r\n", "")).await;
    let requester = requester(&receiver);
    for _ in 0..2 {
        assert!(matches!(run(&requester, post(&receiver)).await.unwrap_err().1, Disposition::Postpone { .. }));
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn no_request_leaves_when_the_lease_may_be_lost_or_the_input_does_not_fit() {
    let receiver = Receiver::canary().await;
    let job = FakeJob::new();
    job.gate.close();
    assert!(run_job(&job, &requester(&receiver), post(&receiver)).await.is_err());
    assert_eq!(run(&requester(&receiver), json!({"url": receiver.url("/"), "what": 1})).await.unwrap_err().0, Invalid);
    let mut forged = post(&receiver);
    forged["headers"] = json!({"Authorization": "Bearer x"});
    assert!(requester(&receiver).check(&forged).is_err());
    assert!(run(&requester(&receiver), forged).await.is_err());
    assert_eq!(receiver.connections(), 0);
}
