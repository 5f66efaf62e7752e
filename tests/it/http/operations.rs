//! Bulk operations as operators see them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use windlass::domain::{JobId, JobState, RawJson};

use crate::support::api::{ADMIN, Api};
use crate::support::bulk::{begin, dead_jobs, finished, operation_when};
use crate::support::jobs::{TestWorker, enqueue_many, failure, state};

/// The states of these jobs.
async fn states(api: &Api, ids: &[JobId]) -> BTreeSet<JobState> {
    let mut states = BTreeSet::new();
    for id in ids {
        states.insert(state(&api.store, *id).await);
    }
    states
}

/// How often workers may claim these jobs now, all told.
async fn claimable(api: &Api) -> usize {
    let worker = TestWorker::register(&api.store).await;
    worker.work_off(&api.store, 50).await.len()
}

#[tokio::test]
async fn bad_documents_are_refused_with_a_pointer_and_nothing_begins() {
    let api = Api::start().await;
    for (body, code, pointer) in [
        (json!({}), "missing_field", "/action"),
        (json!({"action": "undo"}), "invalid_field", "/action"),
        (json!({"action": "cancel", "dry_run": false}), "missing_field", "/filter"),
        (json!({"action": "cancel", "all": true, "filter": {"queue": "q"}}), "invalid_field", "/all"),
        (json!({"action": "cancel", "filter": {"status": "dead"}}), "unknown_field", "/filter/status"),
        (json!({"action": "redrive", "filter": {"state": "pending"}}), "invalid_field", "/filter/state"),
        (json!({"action": "hold", "filter": {"held_reason": "approval"}}), "invalid_field", "/filter/held_reason"),
        (json!({"action": "cancel", "filter": {"type": "Not A Type"}}), "invalid_field", "/filter/type"),
        (json!({"action": "cancel", "filter": {"older_than": "soon"}}), "invalid_field", "/filter/older_than"),
        (
            json!({"action": "cancel", "filter": {"older_than": "2h", "newer_than": "1h"}}),
            "invalid_field",
            "/filter/older_than",
        ),
        (json!({"action": "cancel", "filter": {"queue": "q"}, "rate": 0}), "invalid_field", "/rate"),
        (json!({"action": "cancel", "filter": {"queue": "q"}, "rate": 100_001}), "invalid_field", "/rate"),
        (json!({"action": "move", "filter": {"queue": "q"}}), "missing_field", "/target"),
        (json!({"action": "cancel", "filter": {"queue": "q"}, "target": "r"}), "invalid_field", "/target"),
        (json!({"action": "cancel", "operation_id": "mine"}), "invalid_field", "/operation_id"),
        (json!({"action": "cancel", "note": "x".repeat(501)}), "invalid_field", "/note"),
    ] {
        let refused = api.post(ADMIN, "/operations", &body).await;
        let found = (refused.status, refused.code(), refused.pointers());
        assert_eq!(found, (400, code.to_owned(), vec![pointer.to_owned()]), "{body}");
    }
    let twice = r#"{"action":"cancel","action":"hold"}"#;
    assert_eq!(api.post_text(ADMIN, "/operations", twice).await.code(), "duplicate_key");
    for query in ["state=done", "limit=0", "page=2"] {
        assert_eq!(api.get(ADMIN, &format!("/operations?{query}")).await.code(), "invalid_query", "{query}");
    }
    assert_eq!(api.get(ADMIN, "/operations").await.json(), json!({"operations": []}));
}

#[tokio::test]
async fn a_dry_run_counts_groups_and_samples_and_changes_nothing() {
    let api = Api::start().await;
    let dead = dead_jobs(&api.store, "acme", "d", 12).await;
    dead_jobs(&api.store, "other", "o", 3).await;
    let before = (api.keys_in_redis(), api.redis.cli(&["ZRANGE", "ai:queue:dead", "0", "-1", "WITHSCORES"]));
    assert!(before.1.contains(&dead[0].to_string()), "{}", before.1);
    let body = json!({"action": "redrive", "filter": {"workspace": "acme", "older_than": "0s"}});
    let found = api.post(ADMIN, "/operations", &body).await;
    assert_eq!(found.status, 200, "a look is what a document means that says nothing: {found:?}");
    let found = found.json();
    assert_eq!((&found["dry_run"], &found["matched"], &found["complete"]), (&json!(true), &json!(12), &json!(true)));
    let group = json!({"queue": "default", "type": "echo", "state": "dead", "count": 12});
    assert_eq!(found["groups"], json!([group]));
    let sample: Vec<JobId> =
        found["sample"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().parse().unwrap()).collect();
    assert!(sample.len() == 10 && sample.iter().all(|id| dead.contains(id)), "{sample:?}");
    assert_eq!(found["filter"]["state"], json!(["dead"]), "what it stands for is said");
    assert!(found["filter"]["before"].is_string(), "an age is a moment: {found}");
    assert_eq!((api.keys_in_redis(), api.redis.cli(&["ZRANGE", "ai:queue:dead", "0", "-1", "WITHSCORES"])), before);
    assert_eq!(states(&api, &dead).await, [JobState::Dead].into());
    assert_eq!(api.get(ADMIN, "/operations").await.json()["operations"], json!([]));
    let none = api.post(ADMIN, "/operations", &json!({"action": "cancel", "filter": {"queue": "nobody"}})).await;
    assert_eq!((none.status, &none.json()["matched"]), (200, &json!(0)));
}

#[tokio::test]
async fn an_operation_redrives_every_job_once_and_is_on_record() {
    let api = Api::start().await;
    let dead = dead_jobs(&api.store, "acme", "d", 150).await;
    let body = json!({"action": "redrive", "filter": {"fingerprint": failure().fingerprint}, "rate": 100_000,
        "note": "the provider is back", "expected": 150});
    let id = begin(&api, ADMIN, &body).await;
    let done = finished(&api, ADMIN, &id).await;
    assert_eq!((&done["matched"], &done["done"], &done["skipped"]), (&json!(150), &json!(150), &json!({})));
    for (field, value) in [("by", json!("admin")), ("note", json!("the provider is back")), ("expected", json!(150))] {
        assert_eq!(done[field], value, "{field}");
    }
    assert!(done["finished_at"].is_string() && done["filter"]["state"] == json!(["dead"]), "{done}");
    assert_eq!(states(&api, &dead).await, [JobState::Pending].into());
    assert_eq!(claimable(&api).await, 150, "once each");
    let listed = api.get(ADMIN, "/operations?state=finished&limit=1").await.json();
    assert_eq!(listed["operations"], json!([done]));
    assert_eq!(api.get(ADMIN, "/operations?state=running").await.json()["operations"], json!([]));
}

#[tokio::test]
async fn a_filter_that_names_no_job_finishes_with_none() {
    let api = Api::start().await;
    let id = begin(&api, ADMIN, &json!({"action": "cancel", "filter": {"queue": "nobody"}})).await;
    let done = finished(&api, ADMIN, &id).await;
    assert_eq!((&done["matched"], &done["done"], &done["rate"]), (&json!(0), &json!(0), &json!(50)));
}

#[tokio::test]
async fn every_word_of_a_filter_narrows_it() {
    let api = Api::start().await;
    let metadata =
        |text: &'static str| move |spec: &mut windlass::domain::JobSpec| spec.metadata = RawJson::from_compact(text);
    let chosen = enqueue_many(&api.store, "acme", "a", 3, metadata(r#"{"run":"7","by":"x"}"#)).await;
    let others = enqueue_many(&api.store, "acme", "b", 3, metadata(r#"{"run":"8"}"#)).await;
    let foreign = enqueue_many(&api.store, "other", "c", 3, metadata(r#"{"run":"7"}"#)).await;
    for (filter, count) in [
        (json!({"metadata": {"run": "7"}}), 6),
        (json!({"metadata": {"run": "7", "by": "x"}}), 3),
        (json!({"type": "echo", "workspace": "acme"}), 6),
        (json!({"type": "sleep"}), 0),
        (json!({"state": "scheduled"}), 0),
        (json!({"state": ["pending", "scheduled"], "queue": "default"}), 9),
        (json!({"reason": "timeout"}), 0),
        (json!({"older_than": "1h"}), 0),
        (json!({"newer_than": "1h"}), 9),
        (json!({"after": "2026-01-31T09:00:00Z", "before": "2026-01-31T09:00:01Z"}), 0),
    ] {
        let found = api.post(ADMIN, "/operations", &json!({"action": "cancel", "filter": filter})).await;
        assert_eq!((found.status, &found.json()["matched"]), (200, &json!(count)), "{filter}");
    }
    let filter = json!({"metadata": {"run": "7"}, "workspace": "acme"});
    let id = begin(&api, ADMIN, &json!({"action": "cancel", "filter": filter})).await;
    assert_eq!(finished(&api, ADMIN, &id).await["done"], json!(3));
    assert_eq!(states(&api, &chosen).await, [JobState::Cancelled].into());
    assert_eq!(states(&api, &[others, foreign].concat()).await, [JobState::Pending].into());
}

#[tokio::test]
async fn jobs_are_held_released_moved_and_discarded() {
    let api = Api::start().await;
    let jobs = enqueue_many(&api.store, "acme", "a", 5, |_| {}).await;
    let queue = json!({"queue": "default"});
    let run = async |body: Value| {
        let id = begin(&api, ADMIN, &body).await;
        finished(&api, ADMIN, &id).await
    };
    assert_eq!(run(json!({"action": "hold", "filter": queue})).await["done"], json!(5));
    assert_eq!(states(&api, &jobs).await, [JobState::Held].into());
    let shown = api.get(ADMIN, &format!("/ai/jobs/{}", jobs[0])).await.json();
    assert_eq!(shown["held_reason"], "operator");
    let operators = json!({"held_reason": "operator"});
    assert_eq!(run(json!({"action": "release", "filter": operators})).await["done"], json!(5));
    assert_eq!(states(&api, &jobs).await, [JobState::Pending].into());
    let moved = run(json!({"action": "move", "filter": queue, "target": "slow"})).await;
    assert_eq!((&moved["done"], &moved["target"]), (&json!(5), &json!("slow")));
    let shown = api.get(ADMIN, &format!("/ai/jobs/{}", jobs[0])).await.json();
    assert_eq!((&shown["queue"], &shown["state"]), (&json!("slow"), &json!("pending")));
    assert_eq!(api.get(ADMIN, "/queues/default").await.json()["depth"], json!(0));
    assert_eq!(api.get(ADMIN, "/queues/slow").await.json()["depth"], json!(5));
    let dead = dead_jobs(&api.store, "acme", "d", 4).await;
    assert_eq!(run(json!({"action": "discard", "all": true})).await["done"], json!(4));
    assert_eq!(api.get(ADMIN, &format!("/ai/jobs/{}", dead[0])).await.status, 404);
    assert_eq!(api.get(ADMIN, "/dead-letters").await.json()["groups"], json!([]));
}

#[tokio::test]
async fn an_operation_is_stopped_resumed_at_another_rate_and_finished_once() {
    let api = Api::start().await;
    dead_jobs(&api.store, "acme", "d", 200).await;
    let id = begin(&api, ADMIN, &json!({"action": "redrive", "all": true, "rate": 1})).await;
    let path = format!("/operations/{id}");
    let stopped = api.command(ADMIN, &format!("{path}/stop")).await;
    assert_eq!((stopped.status, &stopped.json()["state"]), (200, &json!("stopped")));
    assert_eq!(stopped.json()["changed_by"], "admin");
    let again = api.command(ADMIN, &format!("{path}/stop")).await;
    assert_eq!((again.status, &again.json()["state"]), (200, &json!("stopped")), "stopping it again changes nothing");
    for bad in [json!({"rate": 0}), json!({"rate": 100_001}), json!({"speed": 1})] {
        assert_eq!(api.post(ADMIN, &format!("{path}/resume"), &bad).await.status, 400, "{bad}");
    }
    let resumed = api.post(ADMIN, &format!("{path}/resume"), &json!({"rate": 100_000})).await;
    assert_eq!((resumed.status, &resumed.json()["rate"]), (200, &json!(100_000)), "{resumed:?}");
    let done = finished(&api, ADMIN, &id).await;
    assert_eq!((&done["matched"], &done["done"]), (&json!(200), &json!(200)));
    assert_eq!(claimable(&api).await, 200, "once each");
    for verb in ["stop", "resume"] {
        let refused = api.command(ADMIN, &format!("{path}/{verb}")).await;
        assert_eq!((refused.status, refused.code()), (409, "wrong_state".to_owned()), "{verb}");
        assert!(refused.json()["detail"].as_str().unwrap().contains("finished"), "{refused:?}");
    }
}

#[tokio::test]
async fn an_unknown_operation_is_a_404() {
    let api = Api::start().await;
    let missing = JobId::new(1_000, 0);
    for name in [missing.to_string(), "nonsense".to_owned(), "%FF".to_owned()] {
        assert_eq!(api.get(ADMIN, &format!("/operations/{name}")).await.code(), "not_found", "{name}");
        for verb in ["stop", "resume"] {
            assert_eq!(api.command(ADMIN, &format!("/operations/{name}/{verb}")).await.code(), "not_found", "{name}");
        }
    }
}

#[tokio::test]
async fn the_same_operation_id_is_one_operation() {
    let api = Api::start().await;
    dead_jobs(&api.store, "acme", "d", 3).await;
    let own = JobId::new(api.store.now().await.unwrap().unix_ms() as u64, 0).to_string();
    let body = json!({"action": "redrive", "filter": {"queue": "default", "older_than": "0s"}, "operation_id": own});
    assert_eq!(begin(&api, ADMIN, &body).await, own);
    let first = finished(&api, ADMIN, &own).await;
    assert_eq!(begin(&api, ADMIN, &body).await, own);
    assert_eq!(finished(&api, ADMIN, &own).await, first, "a repeat does nothing");
    let other = json!({"action": "redrive", "filter": {"queue": "slow"}, "operation_id": own, "dry_run": false});
    let refused = api.post(ADMIN, "/operations", &other).await;
    assert_eq!((refused.status, refused.code()), (422, "operation_id_reused".to_owned()));
    assert_eq!(api.get(ADMIN, "/operations").await.json()["operations"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn two_operators_at_odds_leave_counts_that_add_up() {
    let api = Api::start().await;
    let jobs = enqueue_many(&api.store, "acme", "a", 200, |_| {}).await;
    let filter = json!({"queue": "default"});
    let (hold, cancel) = (
        json!({"action": "hold", "filter": filter, "rate": 100_000}),
        json!({"action": "cancel", "filter": filter, "rate": 100_000}),
    );
    let (hold, cancel) = tokio::join!(begin(&api, ADMIN, &hold), begin(&api, ADMIN, &cancel));
    let (held, cancelled) = tokio::join!(finished(&api, ADMIN, &hold), finished(&api, ADMIN, &cancel));
    let mut ends = (0_u64, 0_u64);
    for id in &jobs {
        match state(&api.store, *id).await {
            JobState::Held => ends.0 += 1,
            JobState::Cancelled => ends.1 += 1,
            other => panic!("neither wanted a job to be {other}"),
        }
    }
    assert_eq!(cancelled["done"], json!(ends.1), "each cancelled job was cancelled by the one operation");
    assert!(held["done"].as_u64().unwrap() >= ends.0, "{held}");
    assert!(held["matched"].as_u64().unwrap() <= 200 && cancelled["matched"].as_u64().unwrap() <= 200);
}

#[tokio::test]
async fn as_many_operations_run_as_may_and_no_more() {
    let api = Api::start().await;
    enqueue_many(&api.store, "acme", "a", 1000, |_| {}).await;
    let body = json!({"action": "hold", "filter": {"queue": "default"}, "rate": 1, "dry_run": false});
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(begin(&api, ADMIN, &body).await);
    }
    let refused = api.post(ADMIN, "/operations", &body).await;
    assert_eq!((refused.status, refused.code()), (429, "too_many_operations".to_owned()));
    assert!(refused.header("retry-after").is_some());
    api.command(ADMIN, &format!("/operations/{}/stop", ids[0])).await;
    operation_when(&api, ADMIN, &ids[0], |seen| seen["state"] == "stopped").await;
    begin(&api, ADMIN, &body).await;
    for id in api.get(ADMIN, "/operations?state=running").await.json()["operations"].as_array().unwrap() {
        api.command(ADMIN, &format!("/operations/{}/stop", id["id"].as_str().unwrap())).await;
    }
}

#[tokio::test]
async fn dead_letters_are_narrowed_and_one_cause_is_shown_in_words() {
    let api = Api::start().await;
    dead_jobs(&api.store, "acme", "d", 2).await;
    let print = failure().fingerprint;
    for (query, groups) in [
        ("", 1),
        ("?queue=default&type=echo&reason=error", 1),
        ("?queue=other", 0),
        ("?type=sleep", 0),
        ("?reason=timeout", 0),
        ("?fingerprint=000000000000", 0),
    ] {
        let listed = api.get(ADMIN, &format!("/dead-letters{query}")).await.json();
        assert_eq!(listed["groups"].as_array().unwrap().len(), groups, "{query}: {listed}");
        assert!(listed["groups"].as_array().unwrap().iter().all(|group| group.get("job").is_none()), "{listed}");
    }
    let shown = api.get(ADMIN, &format!("/dead-letters?fingerprint={print}")).await.json();
    let group = &shown["groups"][0];
    assert_eq!((&group["count"], &group["job"]["failure"]["message"]), (&json!(2), &json!("it broke")));
    assert_eq!(group["job"]["id"], group["sample"]);
    for query in ["fingerprint=abc", "reason=luck", "queue=A", "workspace=acme"] {
        assert_eq!(api.get(ADMIN, &format!("/dead-letters?{query}")).await.code(), "invalid_query", "{query}");
    }
}
