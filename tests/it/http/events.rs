//! Server-sent events of a job.

use std::time::Duration;

use futures_util::StreamExt as _;
use http::Method;

use crate::support::api::{Api, send};
use crate::support::feed::{Event, Feed};
use crate::support::jobs::{TestWorker, success};

fn states(events: &[Event]) -> Vec<&str> {
    events.iter().map(|e| e.data["state"].as_str().expect("a state")).collect()
}

#[tokio::test]
async fn a_stream_tells_every_transition_and_ends_with_the_job() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let id = api.submit(&key, "r1").await.id();
    let mut feed = Feed::open(&api, &key, id, None).await;
    let first = feed.next().await.expect("the job");
    assert_eq!((first.name.as_str(), &first.data["state"], &first.id), ("job", &"pending".into(), &None));
    let worker = TestWorker::register(&api.store).await;
    let claimed = worker.claim_one(&api.store).await;
    worker.end(&api.store, &claimed, success()).await;
    let events = feed.rest().await;
    assert_eq!(states(&events).last(), Some(&"succeeded"));
    assert!(states(&events).contains(&"running"), "{events:?}");
    assert!(events.iter().all(|e| e.name == "state" && e.id.is_some()), "{events:?}");
    let after = Feed::open(&api, &key, id, None).await.rest().await;
    assert_eq!((after.len(), after[0].name.as_str(), states(&after)), (1, "job", vec!["succeeded"]));
}

#[tokio::test]
async fn a_client_resumes_where_it_was_and_learns_of_the_end_once() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let id = api.submit(&key, "r1").await.id();
    let mut feed = Feed::open(&api, &key, id, None).await;
    feed.next().await.expect("the job");
    let worker = TestWorker::register(&api.store).await;
    let claimed = worker.claim_one(&api.store).await;
    let running = loop {
        let event = feed.next().await.expect("an event");
        if event.data["state"] == "running" {
            break event;
        }
    };
    drop(feed);
    worker.end(&api.store, &claimed, success()).await;
    let cursor = running.id.expect("an id");
    let resumed = Feed::open(&api, &key, id, Some(&cursor)).await.rest().await;
    assert_eq!(states(&resumed), ["succeeded"]);
    let last = resumed[0].id.clone().expect("an id");
    let request = api.request(Method::GET, &format!("/ai/jobs/{id}/events")).bearer_auth(&key);
    assert_eq!(send(request.header("last-event-id", last)).await.status, 204);
}

#[tokio::test]
async fn a_place_that_is_gone_is_answered_with_the_whole_job() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let id = api.submit(&key, "r1").await.id();
    let mut feed = Feed::open(&api, &key, id, Some("otherepoch-1700000000000-0")).await;
    let reset = feed.next().await.expect("a reset");
    assert_eq!((reset.name.as_str(), &reset.data["client_request_id"]), ("reset", &"r1".into()));
    let request = api.request(Method::GET, &format!("/ai/jobs/{id}/events")).bearer_auth(&key);
    assert_eq!(send(request.header("last-event-id", "*")).await.code(), "invalid_header");
}

#[tokio::test]
async fn an_idle_stream_is_kept_alive_and_ends_with_the_server() {
    let redis = crate::support::redis::TestRedis::start().await;
    let api = Api::start_with(redis, |options, _| options.keep_alive = Duration::from_millis(20)).await;
    let key = api.client_key("acme").await;
    let id = api.submit(&key, "r1").await.id();
    let mut feed = Feed::open(&api, &key, id, None).await;
    feed.next().await.expect("the job");
    // The enqueue's own event may come first.
    while !feed.response.next().await.expect("open").expect("a chunk").starts_with(b":") {}
    api.shutdown.cancel();
    assert_eq!(feed.next().await, None);
    tokio::time::timeout(Duration::from_secs(10), api.stopped.cancelled()).await.expect("the server stopped");
}

#[tokio::test]
async fn a_stream_ends_when_its_key_is_revoked() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let id = api.submit(&key, "r1").await.id();
    let mut feed = Feed::open(&api, &key, id, None).await;
    feed.next().await.expect("the job");
    assert!(api.store.revoke_key(key.split('_').nth(1).expect("an id")).await.expect("revoked"));
    // The event of the enqueue may still come; then the stream ends.
    assert!(feed.rest().await.iter().all(|event| event.data["state"] == "pending"));
}
