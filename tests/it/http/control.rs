//! Drains, pauses by several, and workers that are told something.

use serde_json::json;
use tokio_util::sync::CancellationToken;
use windlass::domain::WorkerId;
use windlass::engine::Control;
use windlass::store::Message;

use crate::support::api::{ADMIN, Api};
use crate::support::fleet::until;
use crate::support::jobs::{TestWorker, success};

#[tokio::test]
async fn a_drain_says_what_is_left_since_when_and_what_comes_then() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    api.submit(&key, "r1").await;
    api.submit(&key, "r2").await;
    let worker = TestWorker::register(&api.store).await;
    let claimed = worker.claim_one(&api.store).await;
    let body = json!({"reason": "moving", "deadline_seconds": 600, "then": "move:later"});
    let drained = api.post(ADMIN, "/queues/default/drain", &body).await;
    let queue = drained.json();
    assert_eq!(
        (drained.status, &queue["draining"]["then"], &queue["already"]),
        (200, &json!("move:later"), &json!(null))
    );
    assert_eq!((&queue["depth"], &queue["running"], &queue["scheduled"]), (&json!(1), &json!(1), &json!(0)));
    assert!(queue["draining"]["deadline"].as_str() > queue["draining"]["at"].as_str(), "{queue}");
    let refused = api.submit(&key, "r3").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "queue_draining"));
    assert!(refused.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok_and(|n| n > 0)));
    worker.end(&api.store, &claimed, success()).await;
    let second = worker.claim_one(&api.store).await;
    worker.end(&api.store, &second, success()).await;
    let why = api.get(ADMIN, "/queues/default/why").await.json();
    assert_eq!((&why["blocker"], &why["next"]), (&json!("intake_closed"), &json!("windlass queues resume default")));
    for _ in 0..2 {
        let resumed = api.command(ADMIN, "/queues/default/resume").await;
        assert_eq!(
            (resumed.status, &resumed.json()["draining"]),
            (200, &json!(null)),
            "also of one that does not drain"
        );
    }
    assert_eq!(api.submit(&key, "r3").await.status, 202);
}

#[tokio::test]
async fn a_drain_of_an_unknown_queue_names_those_that_exist_and_founds_none() {
    let api = Api::start().await;
    let refused = api.command(ADMIN, "/queues/typo/drain").await;
    assert_eq!((refused.status, refused.code().as_str()), (404, "not_found"));
    assert!(refused.json()["detail"].as_str().is_some_and(|text| text.contains("default")), "{refused:?}");
    assert_eq!(api.get(ADMIN, "/queues/typo").await.status, 404);
    for (body, pointer) in [
        (json!({"then": "hold"}), "/then"),
        (json!({"deadline_seconds": 0}), "/deadline_seconds"),
        (json!({"deadline_seconds": 60, "then": "drop"}), "/then"),
        (json!({"deadline_seconds": 60, "then": "move:default"}), "/then"),
    ] {
        let answer = api.post(ADMIN, "/queues/default/drain", &body).await;
        assert_eq!((answer.status, answer.pointers()), (400, vec![pointer.to_owned()]), "{body}");
    }
    assert_eq!(api.get(ADMIN, "/queues/default").await.json()["draining"], json!(null));
}

#[tokio::test]
async fn a_drain_past_its_deadline_is_found_while_jobs_are_left() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    api.submit(&key, "r1").await;
    let control = Control::new(api.store.clone());
    api.post(ADMIN, "/queues/default/drain", &json!({"deadline_seconds": 3600, "then": "hold"})).await;
    assert!(control.overdue_drains().await.unwrap().is_empty());
    let record = api.redis.cli(&["HGET", "ai:queue:blocked", "drain"]);
    let deadline = record.rsplit('\t').nth(1).unwrap().to_owned();
    api.redis.cli(&["HSET", "ai:queue:blocked", "drain", &record.replace(&deadline, "1000")]);
    let overdue = control.overdue_drains().await.unwrap();
    let [one] = &overdue[..] else { panic!("one is overdue: {overdue:?}") };
    assert_eq!(
        (one.queue.as_str(), one.by.as_str(), one.then.to_string().as_str(), one.left),
        ("default", "admin", "hold", 1)
    );
    let worker = TestWorker::register(&api.store).await;
    let claimed = worker.claim_one(&api.store).await;
    assert!(control.overdue_drains().await.unwrap().is_empty(), "what runs ends by itself");
    worker.end(&api.store, &claimed, success()).await;
}

#[tokio::test]
async fn at_the_deadline_of_a_drain_what_is_left_is_held_by_one_operation_whoever_follows_it() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    api.submit(&key, "r1").await;
    api.post(ADMIN, "/queues/default/drain", &json!({"deadline_seconds": 1, "then": "hold"})).await;
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    Control::watch_drains(api.store.clone(), stop.clone());
    Control::watch_drains(api.store.clone(), stop.clone());
    let finished = until("the operation is finished", async || {
        let all = api.get(ADMIN, "/operations").await.json()["operations"].clone();
        (all[0]["state"] == "finished").then_some(all)
    })
    .await;
    let [operation] = finished.as_array().unwrap().as_slice() else { panic!("one operation: {finished}") };
    assert_eq!((&operation["action"], &operation["done"]), (&json!("hold"), &json!(1)));
    assert_eq!(operation["by"], "windlass");
    let queue = api.get(ADMIN, "/queues/default").await.json();
    assert_eq!((&queue["depth"], &queue["held"]), (&json!(0), &json!(1)), "{queue}");
}

#[tokio::test]
async fn who_pauses_second_is_told_who_was_first() {
    let api = Api::start().await;
    let (first, second) = (api.key("*", &["queue:operate"]).await, ADMIN);
    for body in [json!({"reason": "one"}), json!({"type": "echo", "reason": "one"})] {
        let paused = api.post(&first, "/queues/default/pause", &body).await.json();
        assert_eq!(paused["already"], json!(null), "{paused}");
        let again = api.post(second, "/queues/default/pause", &body).await.json();
        assert_eq!(
            (&again["already"]["by"], &again["already"]["reason"]),
            (&json!("tester"), &json!("one")),
            "{again}"
        );
    }
    let queue = api.get(ADMIN, "/queues/default").await.json();
    assert_eq!((&queue["paused"]["by"], &queue["paused_parts"][0]["type"]), (&json!("tester"), &json!("echo")));
    assert_eq!(queue["paused_parts"][0]["switch"]["by"], "tester");
}

#[tokio::test]
async fn a_worker_is_told_through_its_inbox_by_whom() {
    let api = Api::start().await;
    let worker = TestWorker::register(&api.store).await;
    let inbox = api.store.inbox(worker.id).unwrap();
    for verb in ["quiet", "resume", "stop"] {
        let told = api.command(ADMIN, &format!("/workers/{}/{verb}", worker.id)).await;
        let expected = json!({"id": worker.id.to_string(), "order": verb, "by": "admin", "hears": true});
        assert_eq!((told.status, told.json()), (200, expected));
        let heard = inbox.wait(std::time::Duration::from_secs(5)).await.unwrap();
        assert!(
            matches!(&heard, Some(Message::Order(order, by)) if order.as_str() == verb && by == "admin"),
            "{heard:?}"
        );
    }
    for id in [WorkerId::fresh().to_string(), "nobody".to_owned(), "%FF".to_owned()] {
        let unknown = api.command(ADMIN, &format!("/workers/{id}/stop")).await;
        assert_eq!((unknown.status, unknown.code().as_str()), (404, "not_found"), "{id}");
    }
}
