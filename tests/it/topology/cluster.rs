//! A cluster of three servers and eight shards: everything works as on one server, over HTTP and for
//! workers.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::{Value, json};
use windlass::domain::{JobId, JobState, QueueName};
use windlass::engine::{Guard, Janitor, Selector};
use windlass::store::{LAYOUT, PolicyChange, Scope, Shards, Switch, WorkspaceLimits};

use crate::support::api::{ADMIN, Answer, Api, send};
use crate::support::fleet::{Gated, eventually, options, registry, start, until};
use crate::support::jobs::{TestWorker, queue, spec_of, workspace};
use crate::support::redis::TestRedis;

const SHARDS: u8 = 8;

async fn api() -> (Api, Shards) {
    let redis = TestRedis::cluster(3, 0, &[]);
    let shards = redis.shards(SHARDS).await;
    (Api::start_on(redis, shards.clone(), |_, _| {}).await, shards)
}

fn echo(request: &str) -> Value {
    json!({"client_request_id": request, "type": "echo", "input": {"n": 1}})
}

/// Submits `n` jobs; by id, the request and the answer.
async fn submit(api: &Api, key: &str, n: usize) -> BTreeMap<JobId, String> {
    let mut made = BTreeMap::new();
    for i in 0..n {
        let answer = api.submit(key, &format!("r{i}")).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        made.insert(answer.id(), format!("r{i}"));
    }
    made
}

fn shards_of<'a>(ids: impl IntoIterator<Item = &'a JobId>) -> BTreeSet<u8> {
    ids.into_iter().map(|id| id.shard()).collect()
}

#[tokio::test]
async fn a_request_has_one_job_on_one_of_many_shards() {
    let (api, shards) = api().await;
    let key = api.client_key("acme").await;
    let made = submit(&api, &key, 60).await;
    assert_eq!(shards_of(made.keys()).len(), usize::from(SHARDS), "every shard has some");
    for (id, request) in &made {
        let again = api.submit(&key, request).await;
        assert_eq!((again.status, again.id()), (200, *id));
        assert_eq!(api.get(&key, &format!("/ai/jobs/{id}")).await.json()["client_request_id"], *request.as_str());
    }
    let other = json!({"client_request_id": "r7", "type": "echo", "input": {"n": 2}});
    assert_eq!(api.post(&key, "/ai/jobs", &other).await.status, 422);
    let stranger = api.client_key("stranger").await;
    assert_eq!(api.get(&stranger, &format!("/ai/jobs/{}", made.keys().next().unwrap())).await.status, 404);
    let nowhere = JobId::new(1_700_000_000_000, 200);
    assert_eq!(api.get(&key, &format!("/ai/jobs/{nowhere}")).await.status, 404, "a shard that is not");
    assert_eq!(shards.summary(&queue()).await.unwrap().depth, 60);
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order() {
    let (api, _) = api().await;
    let key = api.client_key("acme").await;
    let batch: Vec<Value> = (0..150).map(|i| echo(&format!("b{}", i % 140))).collect();
    let answer = api.post(&key, "/ai/jobs/batch", &json!(batch)).await.json();
    assert_eq!((answer["accepted"].as_u64(), answer["replayed"].as_u64()), (Some(140), Some(10)), "{answer}");
    for (i, item) in answer["results"].as_array().unwrap().iter().enumerate() {
        assert_eq!(item["job"]["client_request_id"], format!("b{}", i % 140), "{item}");
    }
}

#[tokio::test]
async fn pages_hold_every_job_of_every_shard_once_and_newest_first() {
    let (api, _) = api().await;
    let key = api.client_key("acme").await;
    let made = submit(&api, &key, 50).await;
    let (mut seen, mut times, mut cursor, mut later) = (Vec::new(), Vec::new(), String::new(), 0);
    loop {
        let page = api.get(&key, &format!("/ai/jobs?limit=7{cursor}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        for job in page.json()["jobs"].as_array().unwrap() {
            let id: JobId = job["id"].as_str().unwrap().parse().unwrap();
            if made.contains_key(&id) {
                seen.push(id);
                times.push(job["created_at"].as_str().unwrap().to_owned());
            }
        }
        match page.json()["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        // What arrives between two pages repeats none and hides none.
        later += 1;
        assert_eq!(api.submit(&key, &format!("later{later}")).await.status, 202);
    }
    assert_eq!(seen.len(), made.len());
    assert_eq!(seen.iter().collect::<BTreeSet<_>>(), made.keys().collect::<BTreeSet<_>>());
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    let one = api.get(&key, "/ai/jobs?client_request_id=r3").await.json();
    assert_eq!(one["jobs"][0]["client_request_id"], "r3");
    let forged = api.get(&key, "/ai/jobs?limit=7&state=dead&cursor=AAAA").await;
    assert_eq!(forged.code(), "invalid_cursor");
}

#[tokio::test]
async fn cancel_redrive_why_and_figures_cover_every_shard() {
    let (api, _) = api().await;
    let key = api.client_key("acme").await;
    let made = submit(&api, &key, 30).await;
    for id in made.keys().take(20) {
        let cancelled = api.command(&key, &format!("/ai/jobs/{id}/cancel")).await;
        assert_eq!(cancelled.json()["state"], "cancelled", "{cancelled:?}");
    }
    for id in made.keys().take(12) {
        let again = api.command(&key, &format!("/ai/jobs/{id}/redrive")).await;
        assert_eq!(again.json()["state"], "pending", "{again:?}");
        assert_eq!(api.get(&key, &format!("/ai/jobs/{id}/why")).await.json()["blocker"], "no_worker");
    }
    let shown = api.get(ADMIN, "/queues/default").await.json();
    assert_eq!((shown["depth"].as_u64(), shown["enqueued_total"].as_u64()), (Some(22), Some(30)), "{shown}");
    let metrics = api.get(ADMIN, "/metrics").await.text;
    for line in [
        "ai_queue_depth_total{queue=\"default\"} 22",
        "ai_queue_enqueue_total{queue=\"default\"} 30",
        "windlass_jobs_finished_total{queue=\"default\",state=\"cancelled\"} 20",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} is missing in:\n{metrics}");
    }
    let ready = api.get(ADMIN, "/ready").await;
    assert_eq!((ready.status, ready.json()["checks"]["redis"]["detail"].as_str()), (200, Some("connected")));
}

#[tokio::test]
async fn a_worker_takes_the_jobs_of_every_shard_and_who_waits_hears_of_it() {
    let (api, shards) = api().await;
    let key = api.client_key("acme").await;
    let registry = registry(|context| async move { Ok(context.raw_input().clone()) });
    let worker = start(&shards, &registry, options());
    let made = submit(&api, &key, 60).await;
    for id in made.keys() {
        let ended = api.request(Method::GET, &format!("/ai/jobs/{id}")).header("prefer", "wait=30");
        assert_eq!(send(ended.bearer_auth(&key)).await.json()["state"], "succeeded");
    }
    let shown = api.get(ADMIN, "/workers").await.json();
    assert_eq!(shown["workers"].as_array().map(Vec::len), Some(1), "registered on every shard, shown once: {shown}");
    let figures = shards.summary(&queue()).await.unwrap();
    assert_eq!((figures.depth, figures.running, figures.workers, figures.finished_total["succeeded"]), (0, 0, 1, 60));
    let id = made.keys().next().unwrap();
    let told = send(api.request(Method::GET, &format!("/ai/jobs/{id}/events")).bearer_auth(&key)).await;
    assert!(told.text.contains("event: job"), "{told:?}");
    worker.stop().await;
    assert!(shards.workers().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_stream_of_events_is_resumed_on_the_shard_of_its_job() {
    let (api, shards) = api().await;
    let key = api.client_key("acme").await;
    let made = submit(&api, &key, 20).await;
    let worker = TestWorker::register(shards.first()).await;
    for store in shards.all() {
        worker.heartbeat(store, std::time::Duration::from_secs(60)).await;
        worker.work_off(store, 20).await;
    }
    for (id, _) in made {
        let epoch = shards.of(id).epoch().await.unwrap();
        let resume = |cursor: String| {
            let request = api.request(Method::GET, &format!("/ai/jobs/{id}/events")).bearer_auth(&key);
            send(request.header("last-event-id", cursor))
        };
        let all: Answer = resume(format!("{epoch}-0-0")).await;
        let first = all.text.lines().find_map(|line| line.strip_prefix("id: ")).expect("an event").to_owned();
        let told = resume(first).await;
        let states = told.text.lines().filter(|line| *line == "event: state").count();
        assert_eq!(states, 2, "running, succeeded: {told:?}");
        assert!(!told.text.contains("event: reset"), "{told:?}");
        let other = shards.all().iter().find(|store| store.shard() != id.shard()).unwrap();
        let foreign = format!("{}-0-0", other.epoch().await.unwrap());
        assert!(resume(foreign).await.text.contains("event: reset"), "the place of another shard");
    }
}

#[tokio::test]
async fn a_pause_holds_on_every_shard_and_the_janitor_repairs_it() {
    let (mut api, shards) = api().await;
    let key = api.client_key("acme").await;
    submit(&api, &key, 40).await;
    let everywhere = async |wanted: bool| {
        for store in shards.all() {
            let paused = store.summary(&queue()).await.unwrap().paused;
            assert_eq!(paused.is_some(), wanted, "shard {}", store.shard());
        }
    };
    assert_eq!(api.command(ADMIN, "/queues/default/pause").await.status, 200);
    everywhere(true).await;
    // Lost on one shard, and left over on others.
    let server = api.redis.servers().owner("{ai:5}:jobs");
    api.redis.servers().ask(server, &["DEL", "{ai:5}:queue:blocked"]);
    let mut janitor = Janitor::new(shards.clone());
    assert!(janitor.run_once().await.unwrap().control_repaired);
    everywhere(true).await;
    assert!(!janitor.run_once().await.unwrap().control_repaired);
    shards.first().resume(&queue(), &[Switch::Queue]).await.unwrap();
    assert!(janitor.run_once().await.unwrap().control_repaired);
    everywhere(false).await;
    let control = windlass::engine::Control::new(shards.clone());
    let only = Selector::Workspace(workspace("acme"));
    control.pause(&queue(), &only, "tester", "why not").await.unwrap();
    let worker = TestWorker::register(shards.first()).await;
    for store in shards.all() {
        assert!(worker.claim(store, 10).await.is_empty(), "shard {}", store.shard());
    }
    control.resume(&queue(), &only, "tester").await.unwrap();
    let mut claimed = 0;
    for store in shards.all() {
        claimed += worker.claim(store, 100).await.len();
    }
    assert_eq!(claimed, 40);
}

#[tokio::test]
async fn rules_for_actions_stand_on_every_shard_and_the_janitor_repairs_them() {
    let (mut api, shards) = api().await;
    let change = |name: &str, document: Option<&str>| PolicyChange {
        workspace: Some(workspace(name)),
        document: document.map(str::to_owned),
    };
    shards.set_policy(&change("left", Some("{}"))).await.unwrap();
    let revision = shards.set_policy(&change("acme", Some("{\"enabled\":false}"))).await.unwrap();
    let truth = shards.first().policies().await.unwrap();
    assert_eq!(truth.revision, revision);
    let server = api.redis.servers().owner("{ai:5}:jobs");
    let field = ["HSET", "{ai:5}:policy", "w:acme", "{}", "w:gone", "{}", "rev", "another"];
    api.redis.servers().ask(server, &field);
    api.redis.servers().ask(server, &["HDEL", "{ai:5}:policy", "w:left"]);
    assert_ne!(shards.all()[5].policies().await.unwrap(), truth);
    let mut janitor = Janitor::new(shards.clone());
    assert!(janitor.run_once().await.unwrap().control_repaired);
    for store in shards.all() {
        assert_eq!(store.policies().await.unwrap(), truth, "shard {}", store.shard());
    }
    assert!(!janitor.run_once().await.unwrap().control_repaired);
}

#[tokio::test]
async fn a_cap_is_divided_among_the_shards_and_never_exceeded() {
    let (mut api, shards) = api().await;
    let key = api.client_key("acme").await;
    let put = |limits: Value| {
        let request = api.request(Method::PUT, "/workspaces/acme/limits").bearer_auth(ADMIN);
        send(request.header("content-type", "application/json").body(limits.to_string()))
    };
    let refused = put(json!({"weight": 1, "max_running": 7})).await;
    assert_eq!((refused.status, refused.pointers()), (400, vec!["/max_running".to_owned()]), "{refused:?}");
    assert_eq!(put(json!({"weight": 2, "max_running": 11})).await.status, 200);
    let expected = WorkspaceLimits { weight: 2, max_running: Some(11) };
    assert_eq!(shards.workspace_limits(&workspace("acme")).await.unwrap(), expected);
    submit(&api, &key, 80).await;
    let mut gated = Gated::new();
    let worker = start(&shards, &gated.registry, windlass::engine::WorkerOptions { slots: 64, ..options() });
    for _ in 0..11 {
        gated.began().await;
    }
    let full = async || {
        let figures = shards.summary(&queue()).await.unwrap();
        (figures.running == 11 && figures.parked > 0).then_some(())
    };
    until("every shard runs its share", full).await;
    assert_eq!(gated.more_begun(), 0);
    // A shard that lost its share gets it back.
    let server = api.redis.servers().owner("{ai:3}:jobs");
    api.redis.servers().ask(server, &["HDEL", "{ai:3}:limits", "acme"]);
    assert!(Janitor::new(shards.clone()).run_once().await.unwrap().control_repaired);
    let stored = shards.all()[3].workspace_limits(&workspace("acme")).await.unwrap();
    assert_eq!(stored, WorkspaceLimits { weight: 2, max_running: Some(1) });
    gated.go.add_permits(1_000);
    until("all are done", async || {
        (shards.summary(&queue()).await.ok()?.finished_total["succeeded"] == 80).then_some(())
    })
    .await;
    worker.stop().await;
}

#[tokio::test]
async fn a_long_line_on_one_shard_keeps_no_other_from_its_slots() {
    let redis = TestRedis::cluster(3, 0, &[]);
    let shards = redis.shards(SHARDS).await;
    let on = |shard: u8, n: u64| (JobId::new(n, shard), spec_of("ws", &format!("{shard}-{n}")));
    let long: Vec<_> = (0..100).map(|n| on(0, n)).collect();
    shards.all()[0].enqueue(&queue(), &long).await.unwrap();
    let mut gated = Gated::new();
    let worker = start(&shards, &gated.registry, windlass::engine::WorkerOptions { slots: 2, ..options() });
    for _ in 0..2 {
        assert_eq!(gated.began().await.id.shard(), 0);
    }
    for shard in 1..SHARDS {
        shards.all()[usize::from(shard)].enqueue(&queue(), &[on(shard, 1)]).await.unwrap();
    }
    let mut others = BTreeSet::new();
    // The long line has 98 more: a bell may be slow, but not as slow as all of them.
    for _ in 0..90 {
        gated.go.add_permits(1);
        let id = gated.began().await.id;
        others.extend(Some(id.shard()).filter(|shard| *shard != 0));
        if others.len() == usize::from(SHARDS) - 1 {
            break;
        }
    }
    assert_eq!(others.len(), usize::from(SHARDS) - 1, "each had its turn while the long line went on");
    gated.go.add_permits(1_000);
    eventually("all slots are free", || worker.handle.health().busy == 0).await;
    worker.stop().await;
}

#[tokio::test]
async fn another_number_of_shards_is_refused_with_the_right_one() {
    let redis = TestRedis::cluster(3, 0, &[]);
    let first = redis.shards(SHARDS).await;
    assert!(first.server_facts().await.unwrap().layout_ok);
    let guard = Guard::start(redis.shards(4).await, tokio_util::sync::CancellationToken::new());
    let findings = guard.first_look().await;
    assert!(!findings.ready());
    assert_eq!(findings.unsafe_reason().unwrap(), format!("layout: {LAYOUT}:8"));
    assert!(findings.checks["layout"].remedy.starts_with("set REDIS_SHARDS=8"), "{findings:?}");
}

#[tokio::test]
async fn dead_letters_and_queues_of_all_shards_are_shown_together() {
    let redis = TestRedis::cluster(3, 0, &[]);
    let shards = redis.shards(SHARDS).await;
    let worker = TestWorker::register(shards.first()).await;
    for store in shards.all() {
        worker.heartbeat(store, std::time::Duration::from_secs(60)).await;
        let items = [(JobId::new(1, store.shard()), spec_of("ws", &format!("d{}", store.shard())))];
        store.enqueue(&queue(), &items).await.unwrap();
        let claimed = worker.claim_one(store).await;
        worker.end(store, &claimed, crate::support::jobs::death()).await;
    }
    let groups = shards.dead_groups().await.unwrap();
    assert_eq!((groups.len(), groups[0].count), (1, u64::from(SHARDS)));
    let sample = shards.job(&Scope::All, groups[0].sample).await.unwrap().unwrap();
    assert_eq!(sample.state, JobState::Dead);
    let far = QueueName::new("far").unwrap();
    let item = (JobId::new(2, 6), spec_of("ws", "far"));
    shards.all()[6].enqueue(&far, &[item]).await.unwrap();
    assert_eq!(shards.queue_names().await.unwrap(), [queue(), far.clone()]);
    assert_eq!(shards.queue(&far).await.unwrap().unwrap().depth, 1);
}
