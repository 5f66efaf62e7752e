//! `webhook.send` against a real receiver.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use windlass::domain::FailureReason::{Error, Invalid, Permanent, RateLimited, Timeout};
use windlass::domain::RawJson;
use windlass::engine::{Disposition, Executor};
use windlass::executors::actions::{SigningSecret, WebhookOptions, WebhookSend};

use crate::support::context::{FakeJob, run, run_job};
use crate::support::ports::Reserved;
use crate::support::receiver::{Receiver, answer};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn options(receiver: &Receiver) -> WebhookOptions {
    WebhookOptions {
        signing_secret: Some(SecretString::from(SECRET)),
        allow_internal: vec![receiver.address.to_string().parse().unwrap()],
        ..WebhookOptions::default()
    }
}

fn sender(receiver: &Receiver) -> WebhookSend {
    WebhookSend::new(&options(receiver)).unwrap()
}

fn input(receiver: &Receiver) -> Value {
    json!({"url": receiver.url("/hook?x=1"), "payload": {"b": 1, "a": [null, "ä"]}})
}

#[tokio::test]
async fn a_webhook_is_posted_and_signed() {
    let receiver = Receiver::start(answer(202, "", "thanks")).await;
    let mut input = input(&receiver);
    input["headers"] = json!({"X-Trace": "t-1"});
    let job = FakeJob::new();
    let result = run_job(&job, &sender(&receiver), input).await.unwrap();
    assert_eq!(
        (&result["status"], &result["body_excerpt"], &result["signed"]),
        (&json!(202), &json!("thanks"), &json!(true))
    );
    assert!(result["duration_ms"].is_u64());

    let request = &receiver.received()[0];
    assert!(request.head.starts_with("POST /hook?x=1 HTTP/1.1"), "{}", request.head);
    assert_eq!(request.body, r#"{"a":[null,"ä"],"b":1}"#);
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("x-trace"), Some("t-1"));
    let id = request.header("webhook-id").unwrap();
    assert_eq!(id, job.id.to_string());
    let timestamp: i64 = request.header("webhook-timestamp").unwrap().parse().unwrap();
    assert!(windlass::clock::wall().unix_ms() / 1000 - timestamp < 300);
    let secret = SigningSecret::parse(&SecretString::from(SECRET)).unwrap();
    let wanted = secret.sign(id, timestamp, request.body.as_bytes());
    assert_eq!(request.header("webhook-signature"), Some(wanted.as_str()));
}

#[tokio::test]
async fn the_payload_is_sent_byte_for_byte() {
    let receiver = Receiver::start(answer(200, "", "")).await;
    let sender = sender(&receiver);
    let text = format!(r#"{{"payload":{{"b":1.0,"a":1e3,"c":"\u00e4"}},"url":"{}"}}"#, receiver.url("/"));
    sender.run(FakeJob::new().context_of(&sender, RawJson::from_compact(text))).await.unwrap();
    assert_eq!(receiver.received()[0].body, r#"{"b":1.0,"a":1e3,"c":"\u00e4"}"#);
}

#[tokio::test]
async fn every_attempt_has_the_same_webhook_id() {
    let receiver = Receiver::start(answer(200, "", "")).await;
    let mut job = FakeJob::new();
    for attempt in 1..=2 {
        job.attempt = attempt;
        run_job(&job, &sender(&receiver), input(&receiver)).await.unwrap();
    }
    let ids: Vec<_> = receiver.received().iter().map(|r| r.header("webhook-id").unwrap().to_owned()).collect();
    assert_eq!(ids, vec![job.id.to_string(); 2]);
}

#[tokio::test]
async fn without_a_secret_the_result_says_unsigned() {
    let receiver = Receiver::start(answer(200, "", "")).await;
    let options = WebhookOptions { signing_secret: None, ..options(&receiver) };
    let result = run(&WebhookSend::new(&options).unwrap(), input(&receiver)).await.unwrap();
    assert_eq!((&result["signed"], &result["body_excerpt"]), (&json!(false), &Value::Null));
    assert_eq!(receiver.received()[0].header("webhook-signature"), None);
}

#[tokio::test]
async fn each_status_of_a_receiver_has_its_rule() {
    let retry = |secs: Option<u64>| Disposition::Retry { after: secs.map(Duration::from_secs) };
    let postpone = Disposition::Postpone { after: Duration::from_secs(7) };
    for (status, headers, reason, disposition) in [
        (408, "", Error, retry(None)),
        (425, "", Error, retry(None)),
        (500, "", Error, retry(None)),
        (503, "retry-after: 7\r\n", Error, retry(Some(7))),
        (429, "", RateLimited, retry(None)),
        (429, "retry-after: 7\r\n", RateLimited, postpone),
        (400, "", Permanent, Disposition::Dead),
        (404, "retry-after: 7\r\n", Permanent, Disposition::Dead),
        (410, "", Permanent, Disposition::Dead),
    ] {
        let receiver = Receiver::start(answer(status, headers, "secret words")).await;
        let failed = run(&sender(&receiver), input(&receiver)).await.unwrap_err();
        assert_eq!((failed.0, failed.1), (reason, disposition), "{status} {headers}");
        assert!(failed.2.contains(&status.to_string()) && !failed.2.contains("secret"), "{}", failed.2);
        assert_eq!(receiver.connections(), 1, "{status}: one attempt is one request");
    }
}

#[tokio::test]
async fn no_request_leaves_when_the_lease_may_be_lost() {
    let receiver = Receiver::canary().await;
    let job = FakeJob::new();
    job.gate.close();
    assert!(run_job(&job, &sender(&receiver), input(&receiver)).await.is_err());
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_silent_receiver_is_given_up_on() {
    let mut receiver = Receiver::start(String::new()).await;
    // Long enough for a busy machine to have connected by then.
    let options = WebhookOptions { timeout: Duration::from_secs(1), ..options(&receiver) };
    let failed = run(&WebhookSend::new(&options).unwrap(), input(&receiver)).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Timeout, Disposition::Retry { after: None }));
    receiver.hang_ups.recv().await.unwrap();
}

#[tokio::test]
async fn a_receiver_that_is_down_is_tried_again() {
    let receiver = Receiver::canary().await;
    let nobody = Reserved::new();
    let address = nobody.address();
    let options = WebhookOptions { allow_internal: vec![address.parse().unwrap()], ..options(&receiver) };
    let input = json!({"url": format!("http://{address}/"), "payload": 1});
    let failed = run(&WebhookSend::new(&options).unwrap(), input).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Error, Disposition::Retry { after: None }), "{}", failed.2);
}

#[tokio::test]
async fn a_huge_answer_is_cut_and_cleaned() {
    let receiver = Receiver::start(answer(200, "", &"\u{1b}x".repeat(200_000))).await;
    let result = run(&sender(&receiver), input(&receiver)).await.unwrap();
    let excerpt = result["body_excerpt"].as_str().unwrap();
    assert!(excerpt.len() <= 3 * 1024 && !excerpt.contains('\u{1b}'), "{}", excerpt.len());
}

#[tokio::test]
async fn input_that_does_not_fit_is_refused_at_the_door_and_at_the_run() {
    let receiver = Receiver::canary().await;
    let sender = sender(&receiver);
    let mut forged = input(&receiver);
    forged["headers"] = json!({"Webhook-Id": "x"});
    assert!(sender.check(&forged).is_err());
    assert!(run(&sender, forged).await.is_err());
    let failed = run(&sender, json!({"url": receiver.url("/")})).await.unwrap_err();
    assert_eq!((failed.0, failed.1), (Invalid, Disposition::Dead));
    assert_eq!(receiver.connections(), 0);
    assert!(sender.check(&input(&receiver)).is_ok());
}

#[test]
fn a_broken_secret_is_refused_at_the_start_without_being_shown() {
    let options =
        WebhookOptions { signing_secret: Some(SecretString::from("whsec_canary!")), ..WebhookOptions::default() };
    let error = WebhookSend::new(&options).unwrap_err();
    assert!(!format!("{error} {error:?} {options:?}").contains("canary"));
}
