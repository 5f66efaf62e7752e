//! Bulk operations keep to the workspace of their key.

use serde_json::json;
use windlass::domain::{JobId, JobState};

use crate::support::api::{ADMIN, Api, send};
use crate::support::bulk::{begin, dead_jobs, finished};
use crate::support::jobs::{enqueue_many, state};

#[tokio::test]
async fn a_key_of_a_workspace_reaches_its_own_jobs_alone() {
    let api = Api::start().await;
    let acme = api.client_key("acme").await;
    let own = enqueue_many(&api.store, "acme", "a", 4, |_| {}).await;
    let foreign = enqueue_many(&api.store, "other", "o", 4, |_| {}).await;
    let everything = json!({"action": "cancel", "all": true});
    let found = api.post(&acme, "/operations", &everything).await.json();
    assert_eq!((&found["matched"], &found["filter"]["workspace"]), (&json!(4), &json!("acme")));
    let id = begin(&api, &acme, &everything).await;
    let done = finished(&api, &acme, &id).await;
    assert_eq!((&done["done"], &done["filter"]["workspace"]), (&json!(4), &json!("acme")));
    for (ids, expected) in [(own, JobState::Cancelled), (foreign, JobState::Pending)] {
        for id in ids {
            assert_eq!(state(&api.store, id).await, expected);
        }
    }
}

#[tokio::test]
async fn naming_another_workspace_is_refused_whether_it_exists_or_not() {
    let api = Api::start().await;
    let acme = api.client_key("acme").await;
    enqueue_many(&api.store, "other", "o", 2, |_| {}).await;
    let mut said = Vec::new();
    for (named, dry_run) in [("other", true), ("nobody", true), ("other", false), ("nobody", false)] {
        let body = json!({"action": "cancel", "filter": {"workspace": named}, "dry_run": dry_run});
        let refused = api.post(&acme, "/operations", &body).await;
        assert_eq!((refused.status, refused.code()), (403, "forbidden".to_owned()), "{named}");
        said.push((refused.json()["detail"].clone(), refused.pointers()));
    }
    assert!(said.iter().all(|other| *other == said[0]), "{said:?}");
    let own = json!({"action": "cancel", "filter": {"workspace": "acme"}});
    assert_eq!(api.post(&acme, "/operations", &own).await.status, 200);
}

#[tokio::test]
async fn another_workspaces_operation_answers_like_a_missing_one() {
    let api = Api::start().await;
    let (acme, other) = (api.client_key("acme").await, api.client_key("other").await);
    dead_jobs(&api.store, "acme", "d", 2).await;
    let own = JobId::new(api.store.now().await.unwrap().unix_ms() as u64, 0).to_string();
    let body = json!({"action": "redrive", "all": true, "operation_id": own, "dry_run": false});
    let id = begin(&api, &acme, &body).await;
    let fleet = begin(&api, ADMIN, &json!({"action": "cancel", "filter": {"queue": "nobody"}})).await;
    let missing = api.get(&other, &format!("/operations/{}", JobId::new(1_000, 0))).await;
    for name in [&id, &fleet] {
        let seen = api.get(&other, &format!("/operations/{name}")).await;
        assert_eq!((seen.status, &seen.json()["detail"]), (404, &missing.json()["detail"]));
        for verb in ["stop", "resume"] {
            assert_eq!(api.command(&other, &format!("/operations/{name}/{verb}")).await.status, 404, "{verb}");
        }
    }
    assert_eq!(api.get(&other, "/operations").await.json()["operations"], json!([]));
    let seen = api.get(&acme, "/operations").await.json()["operations"].clone();
    assert_eq!((seen.as_array().unwrap().len(), &seen[0]["id"]), (1, &json!(id)));
    assert_eq!(api.get(ADMIN, "/operations").await.json()["operations"].as_array().unwrap().len(), 2);
    let stolen = api.post(&other, "/operations", &body).await;
    assert_eq!((stolen.status, stolen.code()), (422, "operation_id_reused".to_owned()));
    assert!(!stolen.text.contains("acme"), "{}", stolen.text);
}

#[tokio::test]
async fn an_action_takes_the_scope_that_it_takes_on_one_job() {
    let api = Api::start().await;
    let (writer, reader) = (api.client_key("acme").await, api.key("acme", &["jobs:read"]).await);
    let operator = api.key("acme", &["queue:operate"]).await;
    let fleet = api.key("*", &["jobs:read", "jobs:write"]).await;
    for (action, may_write) in
        [("cancel", true), ("redrive", true), ("hold", false), ("release", false), ("move", false), ("discard", false)]
    {
        let mut body = json!({"action": action, "filter": {"type": "echo"}});
        if action == "move" {
            body["target"] = json!("slow");
        }
        let status = async |key: &str| api.post(key, "/operations", &body).await.status;
        assert_eq!(status(&writer).await, if may_write { 200 } else { 403 }, "{action}");
        assert_eq!((status(&operator).await, status(&reader).await, status(&fleet).await), (200, 403, 403), "{action}");
        let named = api.request(http::Method::POST, "/operations").bearer_auth(&fleet);
        let named = send(named.header("x-windlass-workspace", "acme").json(&body)).await;
        assert_eq!(named.status, if may_write { 200 } else { 403 }, "{action} for a workspace that is named");
    }
    let held = begin(&api, &operator, &json!({"action": "hold", "all": true})).await;
    assert_eq!(api.get(&reader, &format!("/operations/{held}")).await.status, 200, "who may read jobs may watch");
    for verb in ["stop", "resume"] {
        assert_eq!(api.command(&writer, &format!("/operations/{held}/{verb}")).await.status, 403, "{verb}");
        assert_eq!(api.command(&reader, &format!("/operations/{held}/{verb}")).await.status, 403, "{verb}");
    }
}
