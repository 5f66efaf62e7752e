//! Server-sent events of all jobs.

use http::Method;

use crate::support::api::{ADMIN, Api, send};
use crate::support::feed::{Event, Feed};
use crate::support::jobs::{TestWorker, death, enqueue_new, spec_of, success};

const PATH: &str = "/ai/jobs/events";

fn steps(events: &[Event]) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
    events.iter().map(|event| (text(&event.data["from"]), text(&event.data["state"]))).collect()
}

/// A watcher that misses nothing from here on.
async fn watch(api: &Api, key: &str, path: &str) -> Feed {
    let mut feed = Feed::at(api, key, path, None).await;
    let open = feed.next().await.expect("an event");
    assert_eq!((open.name.as_str(), open.id.is_some()), ("open", true));
    feed
}

/// The next transitions, until one of this job to this state.
async fn until(feed: &mut Feed, job: impl std::fmt::Display, state: &str) -> Vec<Event> {
    let (mut events, job) = (Vec::new(), job.to_string());
    loop {
        let event = feed.next().await.expect("an event");
        if event.name != "state" {
            continue;
        }
        let last = event.data["job_id"] == job.as_str() && event.data["state"] == state;
        events.push(event);
        if last {
            return events;
        }
    }
}

#[tokio::test]
async fn every_transition_is_told_with_the_job_it_is_of() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let mut feed = watch(&api, &key, PATH).await;
    let id = api.submit(&key, "r1").await.id();
    let worker = TestWorker::register(&api.store).await;
    let claimed = worker.claim_one(&api.store).await;
    worker.end(&api.store, &claimed, death()).await;
    let events = until(&mut feed, id, "dead").await;
    let expected = [("-", "pending"), ("pending", "running"), ("running", "dead")];
    assert_eq!(steps(&events), expected.map(|(from, to)| (from.to_owned(), to.to_owned())));
    let last = &events[2].data;
    assert_eq!(
        (&last["type"], &last["queue"], &last["workspace"]),
        (&"echo".into(), &"default".into(), &"acme".into())
    );
    assert_eq!(last["attempt"], 1);
    assert!(last["reason"].is_string() && last["message"].is_string(), "{last}");
}

#[tokio::test]
async fn a_workspace_sees_its_own_jobs_and_an_operator_all() {
    let api = Api::start().await;
    let (acme, other) = (api.client_key("acme").await, api.client_key("other").await);
    let operator = api.key("*", &["jobs:read", "queue:operate"]).await;
    let mut of_acme = watch(&api, &acme, PATH).await;
    let mut of_all = watch(&api, &operator, PATH).await;
    api.submit(&other, "secret").await;
    let own = api.submit(&acme, "r1").await.id();
    let seen = until(&mut of_acme, own, "pending").await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    let seen = until(&mut of_all, own, "pending").await;
    assert_eq!(seen.iter().filter(|event| event.data["workspace"] == "other").count(), 1, "{seen:?}");
    let reader = api.key("*", &["jobs:read"]).await;
    assert_eq!(api.get(&reader, PATH).await.code(), "workspace_required");
    let named = api.request(Method::GET, "/ai/jobs/events?state=x").bearer_auth(&reader);
    assert_eq!(send(named.header("x-windlass-workspace", "acme")).await.code(), "invalid_query");
}

#[tokio::test]
async fn filters_let_through_what_they_name() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let id = api.submit(&key, "r1").await.id();
    let mut by_state = watch(&api, &key, "/ai/jobs/events?state=succeeded").await;
    let mut by_job = watch(&api, &key, &format!("/ai/jobs/events?job={id}")).await;
    let mut by_queue = watch(&api, &key, "/ai/jobs/events?queue=mail&type=echo").await;
    let mailed = enqueue_new(&api.store, {
        let mut spec = spec_of("acme", "mail-1");
        spec.queue = windlass::domain::QueueName::new("mail").expect("a name");
        spec
    })
    .await;
    let worker = TestWorker::register(&api.store).await;
    let claimed = worker.claim_one(&api.store).await;
    worker.end(&api.store, &claimed, success()).await;
    assert_eq!(until(&mut by_state, id, "succeeded").await.len(), 1);
    let of_job = until(&mut by_job, id, "succeeded").await;
    assert!(of_job.iter().all(|event| event.data["job_id"] == id.to_string()), "{of_job:?}");
    // One that was opened right after the job may see the end of its entry, too.
    let states: Vec<&str> = of_job.iter().filter_map(|event| event.data["state"].as_str()).collect();
    assert!(states.ends_with(&["running", "succeeded"]), "{states:?}");
    assert_eq!(until(&mut by_queue, mailed, "pending").await.len(), 1);
    for bad in ["state=x", "queue=A%20b", "job=x", "workspace=other", "state=dead&state=held"] {
        let answer = api.get(ADMIN, &format!("{PATH}?{bad}&queue=")).await;
        assert_eq!(answer.code(), "invalid_query", "{bad}");
    }
}

#[tokio::test]
async fn a_client_resumes_behind_the_last_event_it_saw() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let mut feed = watch(&api, &key, PATH).await;
    let first = api.submit(&key, "r1").await.id();
    let seen = until(&mut feed, first, "pending").await;
    drop(feed);
    let second = api.submit(&key, "r2").await.id();
    let cursor = seen[0].id.clone().expect("an id");
    let mut resumed = Feed::at(&api, &key, PATH, Some(&cursor)).await;
    let missed = until(&mut resumed, second, "pending").await;
    assert_eq!(missed.len(), 1, "{missed:?}");
    let third = api.submit(&key, "r3").await.id();
    assert_eq!(until(&mut resumed, third, "pending").await.len(), 1, "what was missed is told one time");
    let forged = api.request(Method::GET, PATH).bearer_auth(&key).header("last-event-id", "*");
    assert_eq!(send(forged).await.code(), "invalid_header");
}

#[tokio::test]
async fn a_client_that_saw_nothing_yet_resumes_where_it_began() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let open = Feed::at(&api, &key, PATH, None).await.next().await.expect("an event");
    let id = api.submit(&key, "r1").await.id();
    let mut resumed = Feed::at(&api, &key, PATH, open.id.as_deref()).await;
    let first = resumed.next().await.expect("an event");
    assert_eq!((first.name.as_str(), &first.data["job_id"]), ("state", &id.to_string().into()));
}

#[tokio::test]
async fn a_place_that_is_gone_is_answered_with_a_reset_from_which_it_goes_on() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    for cursor in ["otherepoch-1700000000000-0.0", "nonsense"] {
        let mut feed = Feed::at(&api, &key, PATH, Some(cursor)).await;
        let reset = feed.next().await.expect("an event");
        assert_eq!((reset.name.as_str(), reset.id.is_some()), ("reset", true), "{cursor}");
        let id = api.submit(&key, &format!("after-{}", &cursor[..5])).await.id();
        assert!(!until(&mut feed, id, "pending").await.is_empty());
    }
}

#[tokio::test]
async fn an_idle_watcher_is_kept_alive_and_ends_with_its_key() {
    let redis = crate::support::redis::TestRedis::start().await;
    let keep = std::time::Duration::from_millis(20);
    let api = Api::start_with(redis, |options, _| options.keep_alive = keep).await;
    let key = api.client_key("acme").await;
    let mut feed = watch(&api, &key, PATH).await;
    let chunk = futures_util::StreamExt::next(&mut feed.response).await.expect("open").expect("a chunk");
    assert!(chunk.starts_with(b":"), "{chunk:?}");
    assert!(api.store.revoke_key(key.split('_').nth(1).expect("an id")).await.expect("revoked"));
    assert_eq!(feed.next().await, None);
}

#[tokio::test]
async fn a_watcher_to_whom_something_always_comes_ends_with_its_key_too() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let mut feed = watch(&api, &key, PATH).await;
    assert!(api.store.revoke_key(key.split('_').nth(1).expect("an id")).await.expect("revoked"));
    let ends = async {
        for number in 0.. {
            enqueue_new(&api.store, spec_of("acme", &format!("r{number}"))).await;
            if feed.next().await.is_none() {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), ends).await.expect("the stream ended");
}
