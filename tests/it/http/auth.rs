//! Keys: missing, wrong, revoked, twice; and walls between workspaces.

use std::time::Duration;

use http::Method;
use serde_json::json;
use windlass::clock;

use crate::support::api::{ADMIN, Api, send};

#[tokio::test]
async fn without_a_good_key_nothing_is_served() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let mut wrong = key.clone();
    wrong.pop();
    wrong.push(if key.ends_with('A') { 'B' } else { 'A' });
    for bad in ["", "x", "wl_", &wrong, &key.to_uppercase(), &"k".repeat(10_000), "bootstrapped"] {
        let answer = api.get(bad, "/ai/jobs").await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"), "{bad}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let none = send(api.request(Method::GET, "/ai/jobs")).await;
    assert_eq!(none.status, 401);
    let in_query = send(api.request(Method::GET, &format!("/ai/jobs?access_token={key}"))).await;
    assert_eq!(in_query.status, 401);
    let basic = api.request(Method::GET, "/ai/jobs").header("authorization", format!("Basic {key}"));
    assert_eq!(send(basic).await.status, 401);
}

#[tokio::test]
async fn two_keys_are_refused() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let request = api.request(Method::GET, "/ai/jobs").bearer_auth(&key).header("authorization", "Bearer other");
    let answer = send(request).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_header"));
}

#[tokio::test]
async fn the_key_of_another_workspace_meets_the_same_404_as_a_missing_job() {
    let api = Api::start().await;
    let (a, b) = (api.client_key("a").await, api.client_key("b").await);
    let own = api.submit(&a, "r1").await.id();
    let missing = windlass::domain::JobId::new(1_700_000_000_000, 0);
    for (method, path) in [
        (Method::GET, ""),
        (Method::GET, "/why"),
        (Method::GET, "/events"),
        (Method::POST, "/cancel"),
        (Method::POST, "/redrive"),
    ] {
        let ask = |id: String| {
            let request = api.request(method.clone(), &format!("/ai/jobs/{id}{path}"));
            send(request.bearer_auth(&b).header("x-request-id", "same"))
        };
        let (foreign, nothing, junk) =
            (ask(own.to_string()).await, ask(missing.to_string()).await, ask("x".into()).await);
        assert_eq!(foreign.status, 404, "{path}");
        assert_eq!(foreign.text, nothing.text, "{path}");
        assert_eq!(foreign.text, junk.text, "{path}");
    }
    assert_eq!(api.get(&a, &format!("/ai/jobs/{own}")).await.json()["state"], "pending");
    assert_eq!(api.get(&b, "/ai/jobs").await.json()["jobs"], json!([]));
}

#[tokio::test]
async fn a_bound_key_cannot_name_another_workspace() {
    let api = Api::start().await;
    let key = api.client_key("a").await;
    let with = |workspace: &str| {
        send(api.request(Method::GET, "/ai/jobs").bearer_auth(&key).header("x-windlass-workspace", workspace))
    };
    assert_eq!(with("a").await.status, 200);
    let answer = with("b").await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"));
    assert_eq!(with("a:b").await.code(), "invalid_header");
}

#[tokio::test]
async fn a_key_without_the_scope_is_forbidden() {
    let api = Api::start().await;
    let reader = api.key("a", &["jobs:read"]).await;
    let writer = api.key("a", &["jobs:write"]).await;
    assert_eq!(api.submit(&reader, "r1").await.code(), "forbidden");
    let id = api.submit(&writer, "r1").await.id();
    assert_eq!(api.get(&writer, &format!("/ai/jobs/{id}")).await.code(), "forbidden");
    assert_eq!(api.get(&reader, &format!("/ai/jobs/{id}")).await.status, 200);
    assert_eq!(api.command(&reader, &format!("/ai/jobs/{id}/cancel")).await.code(), "forbidden");
}

#[tokio::test]
async fn a_key_that_was_revoked_elsewhere_dies_within_five_seconds() {
    let api = Api::start().await;
    let key = api.client_key("a").await;
    assert_eq!(api.get(&key, "/ai/jobs").await.status, 200);
    let id = key.split('_').nth(1).expect("an id").to_owned();
    assert!(api.store.revoke_key(&id).await.expect("revoked"));
    let (revoked, mut sent) = (clock::now(), clock::now());
    while api.get(&key, "/ai/jobs").await.status != 401 {
        assert!(sent.duration_since(revoked) < Duration::from_secs(5), "it was good for too long");
        sent = clock::now();
    }
}

#[tokio::test]
async fn a_key_that_was_revoked_here_dies_at_once() {
    let api = Api::start().await;
    let key = api.client_key("a").await;
    assert_eq!(api.get(&key, "/ai/jobs").await.status, 200);
    let id = key.split('_').nth(1).expect("an id");
    assert_eq!(send(api.request(Method::DELETE, &format!("/keys/{id}")).bearer_auth(ADMIN)).await.status, 204);
    assert_eq!(api.get(&key, "/ai/jobs").await.status, 401);
}
