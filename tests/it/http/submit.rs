//! Submitting jobs: acceptance, replay, and the refusal of reused ids.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::api::Api;

#[tokio::test]
async fn a_new_job_is_accepted_with_its_place() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let answer = api.submit(&key, "r1").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let job = answer.json();
    assert_eq!(answer.header("location"), job["links"]["self"].as_str());
    assert_eq!(
        (&job["state"], &job["workspace"], &job["attempt"], &job["max_attempts"]),
        (&json!("pending"), &json!("acme"), &json!(0), &json!(3))
    );
    assert_eq!(api.redis.cli(&["LLEN", "ai:queue:pending"]), "1");
    assert_eq!(api.get(&key, job["links"]["self"].as_str().expect("a path")).await.json()["id"], job["id"]);
}

#[tokio::test]
async fn a_hundred_requests_at_once_make_one_job() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let answers = join_all((0..100).map(|_| api.submit(&key, "same"))).await;
    let new: Vec<_> = answers.iter().filter(|a| a.status == 202).collect();
    let replays: Vec<_> = answers.iter().filter(|a| a.status == 200).collect();
    assert_eq!((new.len(), replays.len()), (1, 99));
    assert!(new[0].header("idempotent-replayed").is_none());
    for replay in replays {
        assert_eq!(replay.header("idempotent-replayed"), Some("true"));
        assert_eq!(replay.id(), new[0].id());
    }
    assert_eq!(api.redis.cli(&["LLEN", "ai:queue:pending"]), "1");
}

#[tokio::test]
async fn another_body_under_the_same_id_is_refused() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let first = api.submit(&key, "r1").await.id();
    let body = json!({"client_request_id": "r1", "type": "echo", "input": {"n": 2}});
    let answer = api.post(&key, "/ai/jobs", &body).await;
    assert_eq!((answer.status, answer.code().as_str()), (422, "request_id_reused"));
    assert_eq!(answer.pointers(), ["/client_request_id"]);
    assert!(answer.json()["detail"].as_str().is_some_and(|d| d.contains(&first.to_string())));
    assert_eq!(api.redis.cli(&["LLEN", "ai:queue:pending"]), "1");
}

#[tokio::test]
async fn order_of_fields_and_white_space_do_not_make_another_body() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let first = api.submit(&key, "r1").await.id();
    let body = "{ \"input\" : {\"n\":1}, \"type\":\"\\u0065cho\",\n \"client_request_id\":\"r1\" }";
    let answer = api.post_text(&key, "/ai/jobs", body).await;
    assert_eq!((answer.status, answer.id()), (200, first));
}

#[tokio::test]
async fn an_id_is_free_again_after_a_refusal() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let bad = json!({"client_request_id": "r1", "type": "echo", "timeout_ms": 1});
    assert_eq!(api.post(&key, "/ai/jobs", &bad).await.status, 400);
    assert_eq!(api.submit(&key, "r1").await.status, 202);
}

#[tokio::test]
async fn workspaces_do_not_share_ids() {
    let api = Api::start().await;
    let (a, b) = (api.client_key("a").await, api.client_key("b").await);
    let (first, second) = (api.submit(&a, "r1").await, api.submit(&b, "r1").await);
    assert_eq!((first.status, second.status), (202, 202));
    assert_ne!(first.id(), second.id());
}

#[tokio::test]
async fn every_field_reaches_the_job() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let body = r#"{"client_request_id":"ré 1","type":"echo","input":{"n":9007199254740993,"f":1.10},
        "queue":"slow","priority":"high","run_at":"2030-01-31T10:00:00+01:00","expires_at":"2030-02-01T00:00:00Z",
        "timeout_ms":1234,"max_attempts":7,"callback_url":null,"metadata":{"z":"1","a":"2"}}"#;
    // Only as far ahead as the bound allows, whatever year it is.
    let soon = windlass::clock::wall().plus(std::time::Duration::from_secs(3600));
    let body = body.replace("2030-01-31T10:00:00+01:00", &soon.to_string());
    let later = soon.plus(std::time::Duration::from_secs(60));
    let body = body.replace("2030-02-01T00:00:00Z", &later.to_string());
    let answer = api.post_text(&key, "/ai/jobs", &body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let read = api.get(&key, &format!("/ai/jobs/{}", answer.id())).await;
    assert!(read.text.contains(r#""metadata":{"z":"1","a":"2"}"#), "metadata keeps its text: {}", read.text);
    let job: Value = read.json();
    let expected = json!({
        "client_request_id": "ré 1", "queue": "slow", "priority": "high", "state": "scheduled",
        "run_at": soon.to_string(), "expires_at": later.to_string(), "timeout_ms": 1234, "max_attempts": 7,
        "progress": null, "result": null, "failure": null, "held_reason": null,
    });
    for (field, value) in expected.as_object().expect("an object") {
        assert_eq!(&job[field], value, "{field}");
    }
    let stored = api.store.job(&windlass::store::Scope::All, answer.id()).await.expect("read").expect("a job");
    assert_eq!(stored.input.expect("an input").as_str(), r#"{"n":9007199254740993,"f":1.10}"#);
}

#[tokio::test]
async fn a_key_for_all_workspaces_names_one() {
    let api = Api::start().await;
    let key = api.client_key("*").await;
    let answer = api.submit(&key, "r1").await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "workspace_required"));
    let request = api.request(http::Method::POST, "/ai/jobs").bearer_auth(&key).header("x-windlass-workspace", "acme");
    let answer = crate::support::api::send(request.json(&json!({"client_request_id": "r1", "type": "echo"}))).await;
    assert_eq!((answer.status, &answer.json()["workspace"]), (202, &json!("acme")));
}

#[tokio::test]
async fn a_draining_queue_refuses_and_a_replay_still_answers() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let first = api.submit(&key, "r1").await.id();
    assert_eq!(api.command(crate::support::api::ADMIN, "/queues/default/drain").await.status, 200);
    let refused = api.submit(&key, "r2").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "queue_draining"));
    assert!(refused.header("retry-after").is_some());
    let replay = api.submit(&key, "r1").await;
    assert_eq!((replay.status, replay.id()), (200, first));
    assert_eq!(api.command(crate::support::api::ADMIN, "/queues/default/resume").await.status, 200);
    assert_eq!(api.submit(&key, "r2").await.status, 202);
}
