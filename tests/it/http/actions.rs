//! Rules for actions over HTTP, and what they do at the door.

use http::Method;
use serde_json::{Value, json};
use windlass::domain::{HeldReason, JobState};

use crate::support::action::{MAIL, mail};
use crate::support::api::{ADMIN, Answer, Api, send};
use crate::support::fleet::reaches;
use crate::support::jobs::{TestWorker, failure};
use crate::support::redis::TestRedis;

async fn api(listed: bool) -> Api {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    Api::start_offering(redis, store, mail(listed).0, |_, _| {}).await
}

async fn put(api: &Api, key: &str, whose: &str, rules: &str) -> Answer {
    let request = api.request(Method::PUT, &format!("/workspaces/{whose}/actions")).bearer_auth(key);
    send(request.header("content-type", "application/json").body(rules.to_owned())).await
}

async fn remove(api: &Api, key: &str, whose: &str) -> Answer {
    send(api.request(Method::DELETE, &format!("/workspaces/{whose}/actions")).bearer_auth(key)).await
}

async fn submit(api: &Api, key: &str, id: &str, to: &str) -> Answer {
    api.post(key, "/ai/jobs", &json!({"client_request_id": id, "type": MAIL, "input": {"to": [to]}})).await
}

#[tokio::test]
async fn rules_are_set_read_and_removed_and_say_what_becomes_of_each_action() {
    let api = api(true).await;
    let key = api.key("acme", &["workspace:admin"]).await;
    let seen = api.get(&key, "/workspaces/acme/actions").await.json();
    assert_eq!(
        (&seen["own"], &seen["actions"]),
        (&Value::Null, &json!([{"type": MAIL, "decision": "allow", "why": null}]))
    );
    let rules =
        json!({"rules": {MAIL: {"decision": "approve", "recipient_domains": ["example.org"], "max_per_hour": 5}}});
    let set = put(&api, &key, "acme", &rules.to_string()).await;
    assert_eq!(
        (set.status, &set.json()["own"], &set.json()["actions"][0]["decision"]),
        (200, &rules, &json!("approve"))
    );
    let read = api.get(&key, "/workspaces/acme/actions").await;
    assert_eq!((&read.json()["own"], &read.json()["workspace"]), (&rules, &json!("acme")));
    for _ in 0..2 {
        assert_eq!(remove(&api, &key, "acme").await.status, 204, "now or before");
    }
    assert_eq!(api.get(&key, "/workspaces/acme/actions").await.json()["own"], Value::Null);
}

#[tokio::test]
async fn the_kill_switch_refuses_at_once_and_keeps_the_rules() {
    let api = api(true).await;
    let (admin, client) = (api.key("acme", &["workspace:admin"]).await, api.client_key("acme").await);
    let rules = json!({"rules": {MAIL: {"decision": "allow", "recipient_domains": ["example.org"]}}});
    put(&api, &admin, "acme", &rules.to_string()).await;
    assert_eq!(submit(&api, &client, "r1", "a@example.org").await.status, 202);
    let off = api.command(&admin, "/workspaces/acme/actions/disable").await;
    assert_eq!((&off.json()["own"]["enabled"], &off.json()["own"]["rules"]), (&json!(false), &rules["rules"]));
    let refused = submit(&api, &client, "r2", "a@example.org").await;
    assert_eq!(
        (refused.status, refused.code(), refused.pointers()),
        (403, "actions_disabled".into(), vec!["/type".into()])
    );
    let types = api.get(&client, "/ai/types").await.json();
    assert!(types["types"].as_array().unwrap().iter().any(|t| t["type"] == MAIL && t["allowed"] == false), "{types}");
    let on = api.command(&admin, "/workspaces/acme/actions/enable").await;
    assert_eq!((on.status, &on.json()["own"]["rules"]), (200, &rules["rules"]));
    assert_eq!(submit(&api, &client, "r2", "a@example.org").await.status, 202);
    let all = api.command(ADMIN, "/workspaces/*/actions/disable").await;
    assert_eq!((all.status, &all.json()["workspace"]), (200, &json!("*")));
    assert_eq!(submit(&api, &client, "r3", "a@example.org").await.code(), "actions_disabled");
}

#[tokio::test]
async fn a_job_outside_the_limits_is_refused_by_the_name_of_its_rule_and_without_its_content() {
    let api = api(true).await;
    let (admin, client) = (api.key("acme", &["workspace:admin"]).await, api.client_key("acme").await);
    put(
        &api,
        &admin,
        "acme",
        &json!({"rules": {MAIL: {"decision": "allow", "recipient_domains": ["example.org"]}}}).to_string(),
    )
    .await;
    let refused = submit(&api, &client, "r1", "a@evil.example").await;
    assert_eq!((refused.status, refused.code()), (403, "action_not_allowed".to_owned()));
    assert!(
        refused.text.contains("rule `mail.send` of workspace `acme`") && !refused.text.contains("evil"),
        "{refused:?}"
    );
    assert_eq!(submit(&api, &client, "r1", "a@example.org").await.status, 202);
    let batch = json!([
        {"client_request_id": "b1", "type": MAIL, "input": {"to": ["a@evil.example"]}},
        {"client_request_id": "b2", "type": "echo"},
    ]);
    let answer = api.post(&client, "/ai/jobs/batch", &batch).await.json();
    assert_eq!(
        (&answer["accepted"], &answer["results"][0]["problem"]["code"]),
        (&json!(1), &json!("action_not_allowed"))
    );
}

#[tokio::test]
async fn a_workspace_cannot_allow_what_the_operator_did_not() {
    let api = api(false).await;
    let (admin, client) = (api.key("acme", &["workspace:admin"]).await, api.client_key("acme").await);
    let allow = json!({"rules": {MAIL: {"decision": "allow"}}}).to_string();
    let set = put(&api, &admin, "acme", &allow).await;
    assert_eq!((set.status, &set.json()["actions"][0]["decision"]), (200, &json!("deny")));
    assert_eq!(submit(&api, &client, "r1", "a@example.org").await.code(), "action_not_allowed");
    assert_eq!(put(&api, ADMIN, "*", &allow).await.status, 200);
    assert_eq!(submit(&api, &client, "r1", "a@example.org").await.status, 202);
    assert_eq!(remove(&api, ADMIN, "*").await.status, 204);
    assert_eq!(submit(&api, &client, "r2", "a@example.org").await.code(), "action_not_allowed");
}

#[tokio::test]
async fn the_rules_of_others_and_of_all_are_out_of_reach() {
    let api = api(true).await;
    let key = api.key("acme", &["workspace:admin"]).await;
    let missing = api.get(&key, "/workspaces/other/actions").await;
    assert_eq!((missing.status, missing.code()), (404, "not_found".to_owned()));
    assert_eq!(missing.json()["detail"], api.get(&key, "/workspaces/A:B/actions").await.json()["detail"]);
    assert_eq!(put(&api, &key, "*", "{}").await.status, 403);
    let fleet = api.key("*", &["workspace:admin"]).await;
    assert_eq!(put(&api, &fleet, "*", "{}").await.status, 403, "the default rules take system:admin");
    assert_eq!(api.get(&fleet, "/workspaces/other/actions").await.status, 200);
}

#[tokio::test]
async fn bad_rules_are_refused_whole() {
    let api = api(true).await;
    for (rules, status, pointer) in [
        (json!({"rules": {"mail.sent": {"decision": "allow"}}}), 422, "/rules/mail.sent"),
        (json!({"rules": {"echo": {"decision": "allow"}}}), 422, "/rules/echo"),
        (json!({"rules": {MAIL: {"decision": "allow", "hosts": ["ä.org"]}}}), 400, "/rules/mail.send/hosts/0"),
        (json!({"rules": {MAIL: {"decision": "allow", "max_per_hour": 0}}}), 400, "/rules/mail.send/max_per_hour"),
        (json!({"rules": {MAIL: null}}), 400, "/rules/mail.send"),
        (json!({"rule": {}}), 400, "/rule"),
        (json!({"enabled": "false"}), 400, "/enabled"),
    ] {
        let answer = put(&api, ADMIN, "acme", &rules.to_string()).await;
        assert_eq!((answer.status, answer.pointers()), (status, vec![pointer.to_owned()]), "{rules}");
    }
    let twice = put(&api, ADMIN, "acme", r#"{"enabled":true,"enabled":false}"#).await;
    assert_eq!(twice.code(), "duplicate_key");
    assert_eq!(api.get(ADMIN, "/workspaces/acme/actions").await.json()["own"], Value::Null);
}

#[tokio::test]
async fn jobs_that_were_set_aside_come_back_when_the_rules_change_and_others_stay() {
    let api = api(true).await;
    let key = api.client_key("acme").await;
    let worker = TestWorker::offering(&api.store, &[MAIL]).await;
    let mut held = Vec::new();
    for (id, reason) in [("r1", HeldReason::ActionsDisabled), ("r2", HeldReason::Approval)] {
        held.push(submit(&api, &key, id, "a@example.org").await.id());
        let claimed = worker.claim_one(&api.store).await;
        worker.end(&api.store, &claimed, windlass::store::Ending::Held { reason, failure: failure() }).await;
    }
    let why = api.get(&key, &format!("/ai/jobs/{}/why", held[0])).await.json();
    assert!(why["since"].is_string() && why["next"].as_str().unwrap().contains("windlass actions show"), "{why}");
    put(&api, ADMIN, "other", "{}").await;
    put(&api, ADMIN, "acme", r#"{"enabled":false}"#).await;
    assert_eq!(reaches(&api.store, held[0], JobState::Held).await.held_reason, Some(HeldReason::ActionsDisabled));
    api.command(ADMIN, "/workspaces/acme/actions/enable").await;
    reaches(&api.store, held[0], JobState::Pending).await;
    reaches(&api.store, held[1], JobState::Held).await;
}
