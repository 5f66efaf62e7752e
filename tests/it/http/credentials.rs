//! Credentials over HTTP: written, never read, and jobs that wait for one go on.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use windlass::domain::{CredentialKind, JobState, RawJson};
use windlass::engine::{Keyring, Safe, WorkerOptions};
use windlass::executors::actions::{StoredVault, Vault, VaultOptions};

use crate::support::api::{ADMIN, Answer, Api, send};
use crate::support::fleet::{Running, options, registry, start, until};
use crate::support::oauth::OAuthServer;
use crate::support::redis::TestRedis;

const PATH: &str = "/workspaces/acme/credentials";

fn keyring() -> Arc<Keyring> {
    let key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    Arc::new(Keyring::new(&key.into(), &[]).unwrap())
}

async fn api() -> Api {
    Api::start_with(TestRedis::start().await, |options, _| options.keyring = Some(keyring())).await
}

async fn put(api: &Api, key: &str, name: &str, body: &Value) -> Answer {
    send(api.request(Method::PUT, &format!("{PATH}/{name}")).bearer_auth(key).json(body)).await
}

async fn delete(api: &Api, key: &str, name: &str) -> Answer {
    send(api.request(Method::DELETE, &format!("{PATH}/{name}")).bearer_auth(key)).await
}

fn google(refresh_token: &str) -> Value {
    json!({
        "kind": "google", "client_id": "app", "client_secret": "client-canary", "refresh_token": refresh_token,
        "account": "me@example.org", "scopes": ["https://www.googleapis.com/auth/gmail.send"],
    })
}

/// A worker whose `echo` asks for the workspace's Google credential.
fn worker(api: &Api, oauth: &OAuthServer) -> (Running, DropGuard) {
    let safe = Safe::new(api.store.clone(), Some(keyring()));
    let options_of = VaultOptions { endpoints: oauth.endpoints(), ..VaultOptions::default() };
    let vault = Arc::new(StoredVault::new(safe, &options_of).unwrap());
    let (checks, asked) = mpsc::channel(4);
    let end = CancellationToken::new();
    vault.checker(&oauth.url).start(asked, end.clone());
    let registry = registry(move |context| {
        let vault = Arc::clone(&vault);
        async move {
            let found = vault.get(&context.workspace, CredentialKind::Google, None).await?;
            Ok(RawJson::from_value(&json!({"account": found.account})))
        }
    });
    (start(&api.store, &registry, WorkerOptions { checks: Some(checks), ..options() }), end.drop_guard())
}

#[tokio::test]
async fn what_is_stored_is_listed_without_its_secrets_and_removed() {
    let api = api().await;
    let admin = api.key("acme", &["workspace:admin"]).await;
    let stored = put(&api, &admin, "gmail", &google("refresh-canary")).await;
    assert_eq!(stored.status, 200, "{stored:?}");
    let stored = stored.json();
    assert_eq!(
        (&stored["state"], &stored["released_jobs"], &stored["more_held"]),
        (&json!("ok"), &json!(0), &json!(false))
    );
    let created = stored["created_at"].clone();
    let replaced = put(&api, &admin, "gmail", &json!({"kind": "github", "token": "token-canary"})).await.json();
    assert_eq!((&replaced["created_at"], &replaced["kind"]), (&created, &json!("github")));
    put(&api, &admin, "a-mail", &google("refresh-canary")).await;
    let listed = api.get(&admin, PATH).await;
    let names: Vec<_> = listed.json()["credentials"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
    assert_eq!(names, ["a-mail", "gmail"]);
    let first = &listed.json()["credentials"][0];
    assert_eq!(first["account"], "me@example.org");
    assert_eq!(first["scopes"], json!(["https://www.googleapis.com/auth/gmail.send"]));
    assert!(!listed.text.contains("canary") && !listed.text.contains("sealed"), "{listed:?}");
    assert_eq!(delete(&api, &admin, "gmail").await.status, 204);
    assert_eq!(delete(&api, &admin, "gmail").await.code(), "not_found");
}

#[tokio::test]
async fn only_an_administrator_of_the_workspace_reaches_them() {
    let api = api().await;
    put(&api, ADMIN, "gmail", &google("r")).await;
    let other = api.key("other", &["workspace:admin"]).await;
    let client = api.key("acme", &["jobs:read", "jobs:write"]).await;
    for (key, status) in [(&other, 404), (&client, 403)] {
        assert_eq!(api.get(key, PATH).await.status, status);
        assert_eq!(put(&api, key, "gmail", &google("r")).await.status, status);
        assert_eq!(delete(&api, key, "gmail").await.status, status);
        assert_eq!(api.command(key, &format!("{PATH}/gmail/test")).await.status, status);
    }
    let own = api.key("acme", &["workspace:admin"]).await;
    assert_eq!(api.post(&own, "/credentials/rotate", &json!({})).await.status, 403, "it concerns every workspace");
    let rotated = api.post(ADMIN, "/credentials/rotate", &json!({})).await;
    assert_eq!(rotated.json(), json!({"next": null, "resealed": 0, "current": 1, "unreadable": 0}));
    assert_eq!(api.post(ADMIN, "/credentials/rotate", &json!({"from": "x"})).await.pointers(), ["/from"]);
}

#[tokio::test]
async fn bad_credentials_are_refused_by_field_and_never_repeated() {
    let api = api().await;
    for (body, pointer) in [
        (json!({"kind": "github", "token": "canary\n"}), "/token"),
        (json!({"kind": "github", "token": "x", "value": "canary"}), "/value"),
        (json!({"kind": "canary"}), "/kind"),
        (json!({"kind": "smtp", "host": "x", "password": "canary"}), "/username"),
    ] {
        let answer = put(&api, ADMIN, "x", &body).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.pointers().contains(&pointer.to_owned()) && !answer.text.contains("canary"), "{answer:?}");
    }
    let large = json!({"kind": "github", "token": "x".repeat(17_000)});
    assert_eq!(put(&api, ADMIN, "x", &large).await.code(), "body_too_large");
    assert_eq!(put(&api, ADMIN, "Not-A-Name", &google("r")).await.code(), "not_found");
    assert!(api.get(ADMIN, PATH).await.json()["credentials"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_server_without_a_key_stores_none_and_lists_and_removes_all_the_same() {
    let api = Api::start().await;
    let safe = Safe::new(api.store.clone(), Some(keyring()));
    let given = windlass::engine::NewCredential {
        kind: CredentialKind::Github,
        account: None,
        scopes: Vec::new(),
        material: windlass::domain::Material::Token("t".into()),
    };
    let (workspace, name) = ("acme".parse().unwrap(), "old".parse().unwrap());
    safe.add(&workspace, &name, &given).await.unwrap();
    let refused = put(&api, ADMIN, "new", &google("r")).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "credentials_key_missing"));
    assert_eq!(api.post(ADMIN, "/credentials/rotate", &json!({})).await.code(), "credentials_key_missing");
    assert_eq!(api.get(ADMIN, PATH).await.json()["credentials"].as_array().map(Vec::len), Some(1));
    assert_eq!(delete(&api, ADMIN, "old").await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_are_held_for_a_credential_go_on_when_it_is_replaced() {
    let (api, oauth) = (api().await, OAuthServer::start().await);
    let key = api.client_key("acme").await;
    oauth.fail(400, json!({"error": "invalid_grant"}));
    put(&api, ADMIN, "default", &google("refresh-canary-0")).await;
    let (_worker, _end) = worker(&api, &oauth);
    let jobs = [api.submit(&key, "r1").await.id(), api.submit(&key, "r2").await.id()];
    let state = async |id| api.get(&key, &format!("/ai/jobs/{id}")).await.json();
    for id in jobs {
        let held = until("the job is held", async || {
            let job = state(id).await;
            (job["state"] == JobState::Held.as_str()).then_some(job)
        })
        .await;
        assert_eq!((&held["held_reason"], &held["attempt"]), (&json!("needs_reauth"), &json!(0)), "{held}");
        assert!(!held.to_string().contains("canary"), "{held}");
    }
    let listed = api.get(ADMIN, PATH).await.json();
    assert_eq!(listed["credentials"][0]["state"], "needs_reauth");
    let metrics = api.get(ADMIN, "/metrics").await.text;
    assert!(metrics.contains("\nwindlass_credentials_needing_reauth 1\n"), "{metrics}");

    let replaced = put(&api, ADMIN, "default", &google("refresh-canary-0")).await.json();
    assert_eq!(replaced["released_jobs"], 2, "{replaced}");
    for id in jobs {
        let done = until("the job has run", async || {
            let job = state(id).await;
            (job["state"] == JobState::Succeeded.as_str()).then_some(job)
        })
        .await;
        assert_eq!(done["result"], json!({"account": "me@example.org"}));
    }
    assert_eq!(oauth.granted(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_is_a_check_by_a_live_worker() {
    let (api, oauth) = (api().await, OAuthServer::start().await);
    let (running, _end) = worker(&api, &oauth);
    until("a worker", async || running.handle.health().redis_up.then_some(())).await;
    let check = async |name: &str| api.command(ADMIN, &format!("{PATH}/{name}/test")).await;
    assert_eq!(check("gmail").await.code(), "not_found");
    put(&api, ADMIN, "gmail", &google("refresh-canary-0")).await;
    let found = check("gmail").await;
    assert_eq!((found.status, &found.json()["accepted"]), (200, &json!(true)), "{found:?}");
    assert_eq!(check("gmail").await.json()["accepted"], true, "also when the token is fresh");
    assert_eq!(oauth.granted(), 2);
    for (name, token, accepted) in [("good", "github-canary", true), ("bad", "other-canary", false)] {
        put(&api, ADMIN, name, &json!({"kind": "github", "token": token})).await;
        let found = check(name).await;
        assert_eq!(found.json()["accepted"], accepted, "{found:?}");
        assert!(!found.text.contains("canary"), "{found:?}");
    }
    put(&api, ADMIN, "mail", &json!({"kind": "smtp", "host": "127.0.0.1"})).await;
    assert_eq!(check("mail").await.json()["accepted"], Value::Null);
}

#[tokio::test]
async fn a_test_without_a_worker_says_so() {
    let api = api().await;
    put(&api, ADMIN, "gmail", &google("r")).await;
    assert_eq!(api.command(ADMIN, &format!("{PATH}/gmail/test")).await.code(), "no_worker");
}
