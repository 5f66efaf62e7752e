//! Keys and limits over HTTP: shown once, and no more given than had.

use http::Method;
use serde_json::json;

use crate::support::api::{ADMIN, Api, send};

#[tokio::test]
async fn a_made_key_works_and_is_never_shown_again() {
    let api = Api::start().await;
    let wanted = json!({"workspace": "acme", "scopes": ["jobs:read", "jobs:write"], "name": "ci"});
    let made = api.post(ADMIN, "/keys", &wanted).await;
    assert_eq!(made.status, 201, "{made:?}");
    let key = made.json()["key"].as_str().expect("a key").to_owned();
    assert!(key.starts_with(&format!("wl_{}_", made.json()["id"].as_str().expect("an id"))));
    assert_eq!(api.submit(&key, "r1").await.json()["workspace"], "acme");
    let secret = key.rsplit('_').next().expect("a secret");
    let listed = api.get(ADMIN, "/keys").await;
    assert_eq!((listed.json()["keys"].as_array().map(Vec::len), listed.text.contains(secret)), (Some(1), false));
    let dump = api.redis.cli(&["HGETALL", "ai:keys"]);
    assert!(!dump.contains(secret) && !listed.text.contains("hash"), "the secret is stored nowhere");
}

#[tokio::test]
async fn nobody_gives_more_than_they_have() {
    let api = Api::start().await;
    let admin = api.key("a", &["workspace:admin", "jobs:read"]).await;
    let make = |workspace: &str, scopes: &[&str]| {
        let body = json!({"workspace": workspace, "scopes": scopes});
        let api = &api;
        let admin = admin.clone();
        async move { api.post(&admin, "/keys", &body).await }
    };
    assert_eq!(make("a", &["jobs:read"]).await.status, 201);
    assert_eq!(make("b", &["jobs:read"]).await.status, 403);
    assert_eq!(make("*", &["jobs:read"]).await.status, 403);
    assert_eq!(make("a", &["jobs:write"]).await.status, 403);
    assert_eq!(make("a", &["system:admin"]).await.status, 403);
    let fleet = api.post(ADMIN, "/keys", &json!({"workspace": "a", "scopes": ["queue:operate"]})).await;
    assert_eq!((fleet.status, fleet.pointers()), (400, vec!["/scopes/0".to_owned()]));
}

#[tokio::test]
async fn a_workspace_sees_and_revokes_its_own_keys_only() {
    let api = Api::start().await;
    let admin = api.key("a", &["workspace:admin"]).await;
    let other = api.client_key("b").await;
    let listed = api.get(&admin, "/keys").await.json();
    let workspaces: Vec<_> = listed["keys"].as_array().expect("keys").iter().map(|k| k["workspace"].clone()).collect();
    assert_eq!(workspaces, ["a"]);
    let revoke = |id: &str| send(api.request(Method::DELETE, &format!("/keys/{id}")).bearer_auth(&admin));
    let foreign = revoke(other.split('_').nth(1).expect("an id")).await;
    assert_eq!((foreign.status, foreign.code().as_str()), (404, "not_found"));
    assert_eq!(revoke("nothing").await.status, 404);
    assert_eq!(api.get(&other, "/ai/jobs").await.status, 200);
}

#[tokio::test]
async fn bad_requests_for_keys_are_refused() {
    let api = Api::start().await;
    for (body, pointer) in [
        (json!({"scopes": ["jobs:read"]}), "/workspace"),
        (json!({"workspace": "a:b", "scopes": ["jobs:read"]}), "/workspace"),
        (json!({"workspace": "a"}), "/scopes"),
        (json!({"workspace": "a", "scopes": ["root"]}), "/scopes"),
        (json!({"workspace": "a", "scopes": ["jobs:read"], "id": "x"}), "/id"),
    ] {
        let answer = api.post(ADMIN, "/keys", &body).await;
        assert_eq!((answer.status, answer.pointers()), (400, vec![pointer.to_owned()]), "{body}");
    }
}

#[tokio::test]
async fn limits_are_set_by_the_system_and_read_by_the_workspace() {
    let api = Api::start().await;
    let own = api.key("a", &["workspace:admin"]).await;
    let put = |key: &str, body: serde_json::Value| {
        send(api.request(Method::PUT, "/workspaces/a/limits").bearer_auth(key).json(&body))
    };
    assert_eq!(
        api.get(&own, "/workspaces/a/limits").await.json(),
        json!({"weight": 1, "max_running": null, "llm": null})
    );
    assert_eq!(put(ADMIN, json!({"weight": 3, "max_running": 5})).await.status, 200);
    assert_eq!(api.get(&own, "/workspaces/a/limits").await.json(), json!({"weight": 3, "max_running": 5, "llm": null}));
    assert_eq!(put(&own, json!({"weight": 100})).await.code(), "forbidden");
    assert_eq!(api.get(&own, "/workspaces/b/limits").await.status, 404);
    assert_eq!(put(ADMIN, json!({"weight": 0})).await.pointers(), ["/weight"]);
    assert_eq!(put(ADMIN, json!({"max_running": 0})).await.pointers(), ["/max_running"]);
}
