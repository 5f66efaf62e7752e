//! Reading one job: waiting for its end, tags, cancel, redrive, why.

use http::Method;
use serde_json::json;

use crate::support::api::{ADMIN, Answer, Api, send};
use crate::support::jobs::{TestWorker, death, success};

async fn wait(api: &Api, key: &str, id: impl std::fmt::Display, prefer: &str) -> Answer {
    send(api.request(Method::GET, &format!("/ai/jobs/{id}")).bearer_auth(key).header("prefer", prefer)).await
}

#[tokio::test]
async fn a_waiting_read_answers_when_the_job_ends() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let id = api.submit(&key, "r1").await.id();
    let run = async {
        let worker = TestWorker::register(&api.store).await;
        let claimed = worker.claim_one(&api.store).await;
        worker.end(&api.store, &claimed, success()).await;
    };
    let (answer, ()) = tokio::join!(wait(&api, &key, id, "wait=60"), run);
    assert_eq!((answer.status, answer.header("preference-applied")), (200, Some("wait=60")));
    assert_eq!((&answer.json()["state"], &answer.json()["result"]), (&json!("succeeded"), &json!({"ok": true})));
    let ended = wait(&api, &key, id, "wait=60").await;
    assert_eq!(ended.json()["state"], "succeeded");
}

#[tokio::test]
async fn a_wait_that_runs_out_answers_with_the_job_as_it_is() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let id = api.submit(&key, "r1").await.id();
    let answer = wait(&api, &key, id, "wait=0").await;
    assert_eq!((answer.header("preference-applied"), &answer.json()["state"]), (Some("wait=0"), &json!("pending")));
    let answer = wait(&api, &key, id, "wait=1").await;
    assert_eq!(answer.json()["state"], "pending");
    let ignored = wait(&api, &key, id, "respond-async").await;
    assert_eq!((ignored.status, ignored.header("preference-applied")), (200, None));
}

#[tokio::test]
async fn a_tag_stays_as_long_as_the_job_does() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let path = format!("/ai/jobs/{}", api.submit(&key, "r1").await.id());
    let first = api.get(&key, &path).await;
    let tag = first.header("etag").expect("a tag").to_owned();
    let ask = || send(api.request(Method::GET, &path).bearer_auth(&key).header("if-none-match", tag.clone()));
    let same = ask().await;
    assert_eq!((same.status, same.text.as_str(), same.header("etag")), (304, "", Some(tag.as_str())));
    api.command(&key, &format!("{path}/cancel")).await;
    let changed = ask().await;
    assert_eq!((changed.status, &changed.json()["state"]), (200, &json!("cancelled")));
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
}

#[tokio::test]
async fn cancelling_twice_is_fine_and_cancelling_the_ended_is_not() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let path = format!("/ai/jobs/{}", api.submit(&key, "r1").await.id());
    for _ in 0..2 {
        let answer = api.command(&key, &format!("{path}/cancel")).await;
        assert_eq!((answer.status, &answer.json()["state"]), (200, &json!("cancelled")));
    }
    let ended = api.submit(&key, "r2").await.id();
    let worker = TestWorker::register(&api.store).await;
    let claimed = worker.claim_one(&api.store).await;
    worker.end(&api.store, &claimed, success()).await;
    let answer = api.command(&key, &format!("/ai/jobs/{ended}/cancel")).await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "wrong_state"));
}

#[tokio::test]
async fn a_dead_job_lives_again_after_a_redrive() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let path = format!("/ai/jobs/{}", api.submit(&key, "r1").await.id());
    assert_eq!(api.command(&key, &format!("{path}/redrive")).await.code(), "wrong_state");
    let worker = TestWorker::register(&api.store).await;
    let claimed = worker.claim_one(&api.store).await;
    worker.end(&api.store, &claimed, death()).await;
    let dead = api.get(&key, &path).await.json();
    assert_eq!((&dead["state"], &dead["failure"]["message"]), (&json!("dead"), &json!("it broke")));
    let groups = api.get(ADMIN, "/dead-letters").await.json();
    assert_eq!((&groups["groups"][0]["count"], &groups["groups"][0]["type"]), (&json!(1), &json!("echo")));
    let again = api.command(&key, &format!("{path}/redrive")).await;
    assert_eq!((again.status, &again.json()["state"], &again.json()["attempt"]), (200, &json!("pending"), &json!(0)));
}

#[tokio::test]
async fn why_names_the_one_thing_a_job_waits_for() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let id = api.submit(&key, "r1").await.id();
    let why = || async { api.get(&key, &format!("/ai/jobs/{id}/why")).await.json() };
    assert_eq!(why().await["blocker"], "no_worker");
    let _worker = TestWorker::register(&api.store).await;
    let in_line = why().await;
    assert_eq!(
        (&in_line["blocker"], &in_line["position"], &in_line["workers"]),
        (&json!("in_line"), &json!(0), &json!(1))
    );
    api.post(ADMIN, "/queues/default/pause", &json!({"reason": "maintenance"})).await;
    let paused = why().await;
    assert_eq!(
        (&paused["blocker"], &paused["switched_off"]["reason"]),
        (&json!("queue_paused"), &json!("maintenance"))
    );
    assert_eq!(paused["switched_off"]["by"], "admin");
}
