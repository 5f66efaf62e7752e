//! A stack is broken in four ways at once, and mended.

use windlass::client::Client;
use windlass::domain::{JobId, JobSpec, QueueName, RawJson};
use windlass::store::{Enqueued, Store};

use super::dashboards;
use crate::support::jobs::{kind, spec};
use crate::support::monitoring::Monitoring;
use crate::support::ports::Reserved;
use crate::support::processes::{ADMIN, Process, wait_for};
use crate::support::redis::TestRedis;

/// What the sleepy person reads, by the queue that is broken: when it lasts, and a part that is left when it is over,
/// by when the number may be another.
const TOLD: [(&str, &str, &str); 4] = [
    ("stalled", "*AI job processing stalled (5 jobs stuck)*", "AI job processing stalled"),
    ("deep", "*AI job queue depth high (1100 jobs pending)*", "AI job queue depth high"),
    ("dying", "AI jobs of queue dying died in 15 minutes*", "of queue dying died"),
    ("silent", "*Every AI worker of queue silent is alive and claims nothing (1)*", "worker of queue silent is alive"),
];

fn worker(redis: &TestRedis, queue: &str, port: &str, slots: &str) -> Process {
    let settings = [("QUEUES", queue), ("WORKER_PORT", port), ("WORKER_CONCURRENCY", slots), ("LEASE_MS", "2000")];
    Process::worker(redis, &[&settings[..], MODEL].concat())
}

/// A provider that nothing answers for: its series are there.
const MODEL: &[(&str, &str)] = &[("LLM_URL", "http://127.0.0.1:1/v1"), ("LLM_MODEL", "nobody")];

async fn submit(store: &Store, queue: &str, n: usize, change: impl Fn(&mut JobSpec)) {
    let (now, queue) = (store.now().await.unwrap().unix_ms() as u64, QueueName::new(queue).unwrap());
    let job = |i: usize| {
        let mut spec = spec(&format!("{queue}-{i}-{n}"));
        spec.queue = queue.clone();
        change(&mut spec);
        (JobId::new(now, 0), spec)
    };
    let jobs: Vec<_> = (0..n).map(job).collect();
    for batch in jobs.chunks(100) {
        for answer in store.enqueue(&queue, batch).await.unwrap() {
            assert!(matches!(answer, Enqueued::New(_)), "{answer:?}");
        }
    }
}

/// A job over HTTP, so that the API has something to measure.
async fn post_one(url: &str) {
    let job = serde_json::json!({"client_request_id": "over-http", "type": "echo", "queue": "dying", "input": {}});
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("{url}/ai/jobs")).bearer_auth(ADMIN).header("x-windlass-workspace", "ws");
    let answer = request.header("content-type", "application/json").body(job.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
}

fn sleeps(spec: &mut JobSpec, input: &str) {
    (spec.job_type, spec.input) = (kind("sleep"), RawJson::from_compact(input.to_owned()));
}

/// Breaks all four queues; the worker of `stalled` is killed.
async fn break_all(redis: &TestRedis, store: &Store, stalled: Process) {
    stalled.kill();
    submit(store, "stalled", 5, |_| {}).await;
    // Its one slot is taken for as long as the test may last.
    submit(store, "deep", 1, |spec| sleeps(spec, "{\"ms\":3600000}")).await;
    wait_for("the only slot is taken", || redis.ask(&["ZCOUNT", "ai:queue:running:deep", "0", "(+inf"]) == "1");
    submit(store, "deep", 1100, |_| {}).await;
    submit(store, "dying", 40, |spec| sleeps(spec, "{\"ms\":0,\"fail\":\"permanent\"}")).await;
    // Every claim of this queue is refused from here on, and heartbeats are not: a damaged key.
    redis.ask(&["LPUSH", "ai:queue:finish:normal:silent", "x"]);
}

/// Waits until each of the four was told of, as firing or as over.
async fn told_of_all(monitoring: &Monitoring, over: bool) {
    for (queue, lasts, part) in TOLD {
        let heard = |line: &String| match over {
            true => line.starts_with("Over: ") && line.contains(part),
            false => line.ends_with(lasts) && !line.starts_with("Over: "),
        };
        monitoring.wait_for(lasts, async |monitoring| monitoring.said().iter().any(heard)).await;
        println!("{queue}: {}{lasts}", if over { "over: " } else { "" });
    }
}

/// A dead worker, a deep line, dying jobs and a deaf worker: each is told of once it lasts, and once it is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_breaks_reaches_slack_through_prometheus_and_alertmanager_and_so_does_its_end() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let reserved: [Reserved; 4] = std::array::from_fn(|_| Reserved::new());
    let ports = reserved.each_ref().map(|reserved| reserved.port().to_string());
    let (_api, url) = Process::serve(&redis, MODEL);
    let stalled = worker(&redis, "stalled", &ports[0], "4");
    let _others = [("deep", "1"), ("dying", "4"), ("silent", "4")];
    let _others: Vec<_> =
        _others.iter().zip(&ports[1..]).map(|((queue, slots), port)| worker(&redis, queue, port, slots)).collect();
    let mut targets = vec![("windlass-api", url.trim_start_matches("http://").to_owned())];
    targets.extend(ports.iter().map(|port| ("windlass-worker", format!("127.0.0.1:{port}"))));
    // Making a client installs the TLS provider that others want too.
    drop(Client::new(&url, None).unwrap());
    let monitoring = Monitoring::start(&targets).await;
    // A counter that is seen first when jobs have died already has not grown.
    monitoring
        .wait_for("the queues are scraped", async |monitoring| {
            let found = monitoring.query("windlass_jobs_finished_total{queue=\"dying\",state=\"dead\"} == 0").await;
            found.is_ok_and(|series| !series.is_empty())
        })
        .await;

    break_all(&redis, &store, stalled).await;
    post_one(&url).await;
    told_of_all(&monitoring, false).await;
    // One queue that is deep is the reason why all together are, and that goes without saying.
    let said = monitoring.said();
    assert!(!said.iter().any(|line| line.starts_with("All queues together")), "{}", said.join("\n"));
    let (asked, answered) = dashboards::ask_all(&monitoring).await;
    println!("dashboards: {asked} queries, {answered} of them with an answer");
    assert!(asked >= 60 && answered * 2 >= asked, "{answered} of {asked}");

    redis.ask(&["DEL", "ai:queue:finish:normal:silent"]);
    let _mended = [worker(&redis, "stalled", &ports[0], "4"), worker(&redis, "deep", "0", "8")];
    told_of_all(&monitoring, true).await;
}
