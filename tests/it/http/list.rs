//! Lists: filters, pages, and cursors that lead nowhere else.

use serde_json::{Value, json};

use crate::support::api::{Answer, Api};

fn ids(answer: &Answer) -> Vec<String> {
    let jobs = answer.json()["jobs"].as_array().cloned().unwrap_or_default();
    jobs.iter().map(|j| j["client_request_id"].as_str().expect("an id").to_owned()).collect()
}

async fn submit_many(api: &Api, key: &str, count: usize) {
    for i in 0..count {
        assert_eq!(api.submit(key, &format!("r{i}")).await.status, 202);
    }
}

#[tokio::test]
async fn pages_hold_every_job_newest_first() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    submit_many(&api, &key, 7).await;
    let (mut seen, mut path) = (Vec::new(), "/ai/jobs?limit=3".to_owned());
    loop {
        let page = api.get(&key, &path).await;
        assert_eq!(page.status, 200, "{page:?}");
        seen.extend(ids(&page));
        match page.json()["next_cursor"].as_str() {
            Some(cursor) => path = format!("/ai/jobs?limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, ["r6", "r5", "r4", "r3", "r2", "r1", "r0"]);
}

#[tokio::test]
async fn filters_narrow_the_list() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    submit_many(&api, &key, 2).await;
    let other = json!({"client_request_id": "q", "type": "sleep", "queue": "slow", "input": {"ms": 1}});
    let created = api.post(&key, "/ai/jobs", &other).await;
    api.command(&key, &format!("/ai/jobs/{}/cancel", created.id())).await;
    for (filter, expected) in [
        ("state=cancelled", vec!["q"]),
        ("state=pending", vec!["r1", "r0"]),
        ("type=sleep", vec!["q"]),
        ("queue=slow", vec!["q"]),
        ("queue=slow&state=pending", vec![]),
        ("client_request_id=r1", vec!["r1"]),
        ("client_request_id=none", vec![]),
        ("created_after=2099-01-01T00:00:00Z", vec![]),
        ("created_before=2099-01-01T00:00:00Z&type=echo", vec!["r1", "r0"]),
    ] {
        assert_eq!(ids(&api.get(&key, &format!("/ai/jobs?{filter}")).await), expected, "{filter}");
    }
}

#[tokio::test]
async fn bad_parameters_are_refused_by_name() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    for (query, name) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=1e9", "limit"),
        ("state=done", "state"),
        ("type=A", "type"),
        ("queue=*", "queue"),
        ("created_after=yesterday", "created_after"),
        ("workspace=b", "workspace"),
        ("limit=1&limit=2", "limit"),
    ] {
        let answer = api.get(&key, &format!("/ai/jobs?{query}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_query"), "{query}");
        assert_eq!(answer.pointers(), [name], "{query}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let api = Api::start().await;
    let (a, b) = (api.client_key("a").await, api.client_key("b").await);
    submit_many(&api, &a, 3).await;
    let page: Value = api.get(&a, "/ai/jobs?limit=1").await.json();
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    let forged: String = cursor.chars().rev().collect();
    for (key, query) in [
        (&b, format!("cursor={cursor}")),
        (&a, format!("cursor={cursor}&state=pending")),
        (&a, format!("cursor={forged}")),
        (&a, "cursor=x".to_owned()),
    ] {
        let answer = api.get(key, &format!("/ai/jobs?{query}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_cursor"), "{query}");
    }
    assert_eq!(api.get(&a, &format!("/ai/jobs?cursor={cursor}")).await.status, 200);
}
