//! The text of streaming answers as server-sent events.

use std::time::Duration;

use serde_json::Value;
use windlass::domain::{JobId, bounds};
use windlass::store::{LeaseRef, NewDelta};

use crate::support::api::Api;
use crate::support::feed::{Event, Feed};
use crate::support::fleet::{options, start};
use crate::support::jobs::TestWorker;
use crate::support::scripted::Script;

/// The text that a reader has, when it heeds what it is told.
fn text_of(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        match event.name.as_str() {
            "delta" => text += event.data["text"].as_str().expect("text"),
            "delta_reset" => text.clear(),
            _ => {}
        }
    }
    text
}

fn named<'a>(events: &'a [Event], name: &str) -> Vec<&'a Event> {
    events.iter().filter(|event| event.name == name).collect()
}

fn numbers(events: &[Event]) -> Vec<u64> {
    named(events, "delta").iter().map(|event| event.data["seq"].as_u64().expect("a number")).collect()
}

/// Reads until the text ends so.
async fn read_until(feed: &mut Feed, end: &str) -> Vec<Event> {
    let mut events = Vec::new();
    while !text_of(&events).ends_with(end) {
        events.push(feed.next().await.expect("more text"));
    }
    events
}

struct Streaming {
    api: Api,
    key: String,
    id: JobId,
    script: Script,
}

impl Streaming {
    async fn new() -> Self {
        let api = Api::start().await;
        let key = api.client_key("acme").await;
        let id = api.submit(&key, "r1").await.id();
        Self { api, key, id, script: Script::new() }
    }

    async fn follow(&self, last: Option<&str>) -> Feed {
        Feed::open(&self.api, &self.key, self.id, last).await
    }
}

fn ends_with_success(events: &[Event]) {
    let last = events.last().expect("an end");
    assert_eq!((last.name.as_str(), &last.data["state"]), ("state", &Value::from("succeeded")));
    assert!(last.data["usage"]["total_tokens"].as_u64() >= Some(text_of(events).len() as u64), "{last:?}");
}

#[tokio::test]
async fn readers_hear_all_text_in_order_and_resume_where_they_dropped() {
    let streaming = Streaming::new().await;
    let script = &streaming.script;
    let (mut steady, mut leaver) = (streaming.follow(None).await, streaming.follow(None).await);
    let worker = start(&streaming.api.store, &script.registry, options());
    let pieces = |round: &str| (0..20).map(|i| format!("{round}{i} ä\n")).collect::<Vec<_>>();
    pieces("a").iter().for_each(|piece| script.push(piece));
    let mut heard = read_until(&mut steady, "a19 ä\n").await;
    let mut left = read_until(&mut leaver, "a19 ä\n").await;
    drop(leaver);
    pieces("b").iter().for_each(|piece| script.push(piece));
    heard.extend(read_until(&mut steady, "b19 ä\n").await);
    let last = left.last().and_then(|event| event.id.clone()).expect("an id");
    let back = streaming.follow(Some(&last)).await;
    script.push("the last");
    script.finish();
    heard.extend(steady.rest().await);
    left.extend(back.rest().await);
    let whole = pieces("a").concat() + &pieces("b").concat() + "the last";
    for events in [&heard, &left] {
        assert_eq!(text_of(events), whole);
        assert_eq!(numbers(events), (1..=numbers(&heard).len() as u64).collect::<Vec<_>>());
        assert!(named(events, "delta_reset").is_empty());
        ends_with_success(events);
    }
    worker.stop().await;
}

#[tokio::test]
async fn text_of_a_lost_attempt_is_taken_back_when_the_next_begins() {
    let streaming = Streaming::new().await;
    let (store, mut feed) = (&streaming.api.store, streaming.follow(None).await);
    let brief = TestWorker { lease: Duration::from_millis(1), ..TestWorker::register(store).await };
    let lost = brief.claim_one(store).await;
    let lease = LeaseRef { queue: lost.job.queue.clone(), job: lost.job.id, attempt_id: lost.attempt_id };
    let new = |place| NewDelta { lease: &lease, attempt: lost.job.attempt, place, truncated: false, text: "lost" };
    let begun = store.deltas(&[new(None)]).await.unwrap()[0].expect("still running");
    let mut events = read_until(&mut feed, "lost").await;
    let worker = start(store, &streaming.script.registry, options());
    streaming.script.push("found");
    events.extend(read_until(&mut feed, "found").await);
    assert_eq!(store.deltas(&[new(Some(begun.next()))]).await.unwrap(), [None], "the attempt is stale");
    streaming.script.finish();
    events.extend(feed.rest().await);
    assert_eq!(text_of(&events), "found");
    let resets = named(&events, "delta_reset");
    assert_eq!(resets.len(), 1, "{events:?}");
    assert_eq!(resets[0].data["job_id"], streaming.id.to_string());
    assert_eq!(numbers(&events), [1, 2]);
    ends_with_success(&events);
    worker.stop().await;
}

#[tokio::test]
async fn an_answer_that_starts_over_is_told_so_within_an_attempt_and_by_the_next() {
    let streaming = Streaming::new().await;
    let (script, mut feed) = (&streaming.script, streaming.follow(None).await);
    let worker = start(&streaming.api.store, &script.registry, options());
    script.push("one");
    let mut events = read_until(&mut feed, "one").await;
    script.reset();
    script.push("two");
    events.extend(read_until(&mut feed, "two").await);
    script.fail();
    script.push("three");
    script.finish();
    events.extend(feed.rest().await);
    assert_eq!(text_of(&events), "three");
    let by: Vec<&Value> = named(&events, "delta_reset").iter().map(|event| &event.data["attempt"]).collect();
    assert_eq!((by.first(), by.last()), (Some(&&Value::from(1)), Some(&&Value::from(2))), "{events:?}");
    ends_with_success(&events);
    worker.stop().await;
}

#[tokio::test]
async fn text_over_the_bound_is_left_out_and_said_so_once_and_a_slow_reader_holds_up_nobody() {
    let streaming = Streaming::new().await;
    let (script, slow, mut quick) = (&streaming.script, streaming.follow(None).await, streaming.follow(None).await);
    let worker = start(&streaming.api.store, &script.registry, options());
    let piece = "0123456789abcdef".repeat(1024);
    for _ in 0..bounds::DELTAS / piece.len() {
        script.push(&piece);
    }
    script.push("too much");
    script.push("far too much");
    // The end of an attempt waits for a second for its last text, and a busy machine may take longer for so much.
    let mut heard: Vec<Event> = Vec::new();
    while heard.last().is_none_or(|event| event.data["truncated"] != true) {
        heard.push(quick.next().await.expect("more text"));
    }
    script.finish();
    heard.extend(quick.rest().await);
    let (quick, slow) = (heard, slow.rest().await);
    for events in [&quick, &slow] {
        assert_eq!(text_of(events), piece.repeat(bounds::DELTAS / piece.len()));
        let marks = named(events, "delta").iter().filter(|event| event.data["truncated"] == true).count();
        assert_eq!(marks, 1);
        ends_with_success(events);
    }
    worker.stop().await;
}

#[tokio::test]
async fn who_comes_after_the_end_gets_what_is_missing_and_no_more() {
    let streaming = Streaming::new().await;
    let (script, mut feed) = (&streaming.script, streaming.follow(None).await);
    let worker = start(&streaming.api.store, &script.registry, options());
    script.push("one");
    let events = read_until(&mut feed, "one").await;
    drop(feed);
    script.push(" two");
    script.finish();
    let at_end = streaming.follow(None).await.rest().await;
    assert!(matches!(at_end.last().expect("an end").data["state"].as_str(), Some("succeeded")));
    let last = events.last().and_then(|event| event.id.clone()).expect("an id");
    let rest = streaming.follow(Some(&last)).await.rest().await;
    assert_eq!(text_of(&rest), " two");
    ends_with_success(&rest);
    let only_text = last.split_once('.').map(|(_, place)| format!(".{place}")).expect("a place");
    let rest = streaming.follow(Some(&only_text)).await.rest().await;
    let names: Vec<&str> = rest.iter().map(|event| event.name.as_str()).collect();
    assert_eq!((text_of(&rest).as_str(), names), (" two", vec!["delta", "job"]));
    let all = streaming.follow(None).await.rest().await;
    assert_eq!((all.len(), all[0].name.as_str()), (1, "job"), "the job has all of it");
    worker.stop().await;
}
