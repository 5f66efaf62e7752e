//! `windlass serve` and `windlass worker` as an operator starts them.

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use windlass::domain::JobState;

use crate::support::fleet::{reaches, until};
use crate::support::processes::{ADMIN, Process, ids, stat, wait_for};
use crate::support::redis::TestRedis;

struct Caller {
    http: reqwest::Client,
    url: String,
}

impl Caller {
    fn new(url: String) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        Self { http: reqwest::Client::builder().no_proxy().build().expect("a client"), url }
    }

    async fn post(&self, body: &Value) -> reqwest::Response {
        let request = self.http.post(format!("{}/ai/jobs", self.url)).bearer_auth(ADMIN);
        request.header("x-windlass-workspace", "ws").json(body).send().await.expect("an answer")
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.http.get(format!("{}{path}", self.url)).bearer_auth(ADMIN).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    /// Asks again until the status is as wanted.
    async fn becomes(&self, path: &str, status: u16) -> String {
        let what = format!("{path} answers {status}");
        until(&what, async || {
            let (got, body) = self.get(path).await;
            (got == status).then_some(body)
        })
        .await
    }
}

fn echo(request: &str) -> Value {
    json!({"client_request_id": request, "type": "echo", "input": {"hello": "world"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_posts_of_one_request_id_make_one_job() {
    let redis = TestRedis::start().await;
    let (_serve, url) = Process::serve(&redis, &[]);
    let caller = Caller::new(url);
    caller.becomes("/ready", 200).await;
    let answers = futures_util::future::join_all((0..100).map(|_| async {
        let answer = caller.post(&echo("one")).await;
        let replayed = answer.headers().get("idempotent-replayed").is_some_and(|v| v == "true");
        let status = answer.status().as_u16();
        (status, replayed, answer.json::<Value>().await.expect("JSON")["id"].clone())
    }))
    .await;
    assert_eq!(answers.iter().filter(|(status, replayed, _)| (*status, *replayed) == (202, false)).count(), 1);
    assert_eq!(answers.iter().filter(|(status, replayed, _)| (*status, *replayed) == (200, true)).count(), 99);
    assert!(answers.iter().all(|(_, _, id)| *id == answers[0].2));
    let mut other = echo("one");
    other["input"] = json!({"hello": "moon"});
    assert_eq!(caller.post(&other).await.status().as_u16(), 422);
    assert_eq!(redis.cli_int(&["HLEN", "ai:jobs"]), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_worker_dead_the_queue_still_shows_in_the_metrics() {
    let redis = TestRedis::start().await;
    let (_serve, url) = Process::serve(&redis, &[]);
    let caller = Caller::new(url);
    caller.becomes("/ready", 200).await;
    let worker = Process::worker(&redis, &[("LEASE_MS", "2000")]);
    let first = caller.post(&echo("first")).await.json::<Value>().await.unwrap();
    let id = first["id"].as_str().unwrap().parse().unwrap();
    reaches(&redis.store().await, id, JobState::Succeeded).await;
    worker.kill();
    for n in 0..7 {
        assert_eq!(caller.post(&echo(&format!("r{n}"))).await.status().as_u16(), 202);
    }
    let series = |text: &str, name: &str| {
        let line =
            text.lines().find_map(|l| l.strip_prefix(&format!("{name}{{queue=\"default\"}} ")).map(str::to_owned));
        line.and_then(|value| value.parse::<f64>().ok())
    };
    let text = until("the dead worker is struck off", async || {
        let text = caller.get("/metrics").await.1;
        (series(&text, "ai_queue_workers") == Some(0.0)).then_some(text)
    })
    .await;
    let shown = ["ai_queue_workers", "ai_queue_depth_total", "ai_queue_dequeue_total", "ai_queue_enqueue_total"]
        .map(|name| series(&text, name));
    assert_eq!(shown, [Some(0.0), Some(7.0), Some(1.0), Some(8.0)], "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_api_says_so_and_recovers_without_a_restart() {
    let mut redis = TestRedis::start_durable().await;
    let (serve, url) = Process::serve(&redis, &[]);
    let worker = Process::worker(&redis, &[]);
    let caller = Caller::new(url);
    caller.becomes("/ready", 200).await;
    redis.kill();
    let refused = caller.post(&echo("while-down")).await;
    assert_eq!(refused.status().as_u16(), 503, "{}", serve.log());
    assert!(refused.headers().contains_key("retry-after"));
    let body = caller.becomes("/ready", 503).await;
    assert!(body.contains("\"redis\""), "{body}");
    assert_eq!(caller.get("/healthz").await.0, 200, "a restart would not help");
    redis.launch().await;
    caller.becomes("/ready", 200).await;
    let accepted = async || {
        let status = caller.post(&echo("while-down")).await.status().as_u16();
        matches!(status, 200 | 202).then_some(())
    };
    until("the job is accepted", accepted).await;
    let again = caller.post(&echo("while-down")).await.json::<Value>().await.unwrap();
    let id = again["id"].as_str().unwrap().parse().unwrap();
    reaches(&redis.store().await, id, JobState::Succeeded).await;
    wait_for("the worker is registered again", || ids(&redis).contains(&worker.id));
    serve.signal(Signal::SIGTERM);
    assert_eq!(serve.exit().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_redis_gets_true_answers_and_thaws_with_nothing_lost_or_doubled() {
    let redis = TestRedis::start_durable().await;
    let (serve, url) = Process::serve(&redis, &[("REDIS_COMMAND_TIMEOUT_SECONDS", "1")]);
    let caller = Caller::new(url);
    caller.becomes("/ready", 200).await;
    assert_eq!(caller.post(&echo("warm")).await.status().as_u16(), 202);
    let frozen = nix::unistd::Pid::from_raw(redis.pid());
    nix::sys::signal::kill(frozen, Signal::SIGSTOP).expect("a live Redis");
    let post = async |n: usize| {
        let answer = caller.post(&echo(&format!("r{n}"))).await;
        let (status, code) = (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON")["code"].clone());
        (status, code.as_str().unwrap_or_default().to_owned())
    };
    let answers = futures_util::future::join_all((0..50).map(post)).await;
    assert!(answers.iter().all(|(status, _)| *status == 503), "{answers:?}");
    let said = |code: &str| answers.iter().filter(|(_, said)| said == code).count();
    assert!(said("outcome_unknown") > 0, "{answers:?}");
    assert_eq!(said("outcome_unknown") + said("redis_unavailable"), 50, "{answers:?}");
    let (mut named, tells) = (0, |line: &&str| line.contains("nobody knows whether") && line.contains("\"job_id\":\""));
    wait_for("the log names each job that may have been made", || {
        named += serve.log().lines().filter(tells).count();
        named == said("outcome_unknown")
    });
    for path in ["/keys", "/queues", "/workers", "/dead-letters", "/operations", "/queues/default/why"] {
        let (status, body) = caller.get(path).await;
        assert!(status == 503 && body.contains("\"redis_unavailable\""), "{path}: {status} {body}");
    }
    for path in ["/healthz", "/health", "/metrics"] {
        assert_eq!(caller.get(path).await.0, 200, "{path}");
    }
    caller.becomes("/ready", 503).await;
    nix::sys::signal::kill(frozen, Signal::SIGCONT).expect("a live Redis");
    caller.becomes("/ready", 200).await;
    for (n, (_, said)) in answers.iter().enumerate() {
        let again = caller.post(&echo(&format!("r{n}"))).await.status().as_u16();
        assert!(again == 202 || (again == 200 && said == "outcome_unknown"), "r{n}: {said}, then {again}");
    }
    assert_eq!((redis.cli_int(&["HLEN", "ai:jobs"]), stat(&redis, "enqueue")), (51, 51));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_evicts_is_not_ready_and_takes_no_job() {
    let redis = TestRedis::start_with(&["--maxmemory-policy", "allkeys-lru"]).await;
    let (_serve, url) = Process::serve(&redis, &[]);
    let caller = Caller::new(url);
    let body = until("the policy was looked at", async || {
        let (status, body) = caller.get("/ready").await;
        assert_eq!(status, 503);
        body.contains("\"policy\"").then_some(body)
    })
    .await;
    assert!(body.contains("allkeys-lru"), "{body}");
    let refused = caller.post(&echo("r")).await;
    assert_eq!(refused.status().as_u16(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "redis_unsafe");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_leaves_data_of_another_layout_alone_until_it_is_its_own() {
    let redis = TestRedis::start().await;
    let ours = redis.cli(&["GET", "ai:layout"]);
    redis.ask(&["SET", "ai:layout", "9:1"]);
    let worker = Process::at("worker", redis.folder(), &redis.url(), &[]);
    let mut log = String::new();
    wait_for("the worker says that it waits", || {
        log += &worker.log();
        log.contains("another layout")
    });
    assert!(ids(&redis).is_empty() && !log.contains("worker started"), "{log}");
    redis.ask(&["SET", "ai:layout", if ours.is_empty() { "2:1" } else { &ours }]);
    wait_for("the worker registers", || !ids(&redis).is_empty());
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.exit().code(), Some(0));
}
