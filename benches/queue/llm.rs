//! Calls to a model through a worker, beside the same calls made directly, and what many of them at once weigh.

use std::io::BufRead;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use windlass::clock;
use windlass::domain::{JobId, JobState};
use windlass::engine::tasks;
use windlass::executors::llm::fake::{self, FakeLlmOptions};
use windlass::store::{Scope, Store};

use crate::fleet::Process;
use crate::jobs::{fresh_id, spec};
use crate::redis::Redis;
use crate::table::{Table, percent};

/// The first argument that makes this binary a model: then milliseconds before an answer, and between its words.
pub(crate) const MODEL: &str = "serve-model";
/// Words of an answer, each a chunk of a stream.
const WORDS: usize = 30;
/// Streams at once.
const STREAMS: usize = 1000;
/// Unary calls at once.
const CALLS: usize = 2000;
const INPUT: &str = r#"{"messages":[{"role":"user","content":"say something of some length"}],"stream":true}"#;
const UNARY: &str = r#"{"messages":[{"role":"user","content":"say something of some length"}]}"#;

/// Serves the model and prints its port.
pub(crate) async fn serve_model(delay_ms: &str, chunk_ms: &str) {
    let ms = |text: &str| Duration::from_millis(text.parse().expect("milliseconds"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", listener.local_addr().expect("an address").port());
    let options = FakeLlmOptions {
        delay: ms(delay_ms),
        chunk_delay: ms(chunk_ms),
        answer_tokens: Some(WORDS),
        ..FakeLlmOptions::default()
    };
    fake::serve(listener, options, CancellationToken::new()).await.expect("it serves");
}

/// A model in a process of its own; killed when dropped.
struct Model {
    child: Child,
    url: String,
}

impl Model {
    fn start(delay_ms: u64, chunk_ms: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .args([MODEL, &delay_ms.to_string(), &chunk_ms.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("this binary starts");
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        Self { child, url: format!("http://127.0.0.1:{}", line.trim()) }
    }

    fn worker(&self, redis: &Redis, slots: usize) -> Process {
        Process::start_with(redis, slots, 15_000, &[("LLM_URL", &self.url), ("LLM_MODEL", "fake")])
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Milliseconds of each of so many streams at once, made without anything between.
async fn direct(model: &Model, streams: usize) -> Vec<f64> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let body: serde_json::Value = serde_json::from_str(INPUT).expect("JSON");
    let one = |_| {
        let (client, mut body, url) = (client.clone(), body.clone(), format!("{}/v1/chat/completions", model.url));
        body["model"] = "fake".into();
        tasks::spawn("direct", async move {
            let started = clock::now();
            let answer = client.post(url).json(&body).send().await.expect("an answer");
            let mut chunks = answer.bytes_stream();
            while let Some(chunk) = chunks.next().await {
                chunk.expect("the answer goes on");
            }
            started.elapsed().as_secs_f64() * 1e3
        })
    };
    let all: Vec<_> = (0..streams).map(one).collect();
    futures_util::future::join_all(all).await.into_iter().map(|time| time.expect("no panic")).collect()
}

async fn enqueue(store: &Store, series: &str, jobs: usize, input: &str) -> Vec<JobId> {
    let mut ids = Vec::with_capacity(jobs);
    for first in (0..jobs).step_by(100) {
        let items: Vec<_> =
            (first..jobs.min(first + 100)).map(|n| (fresh_id(store), spec(series, n, "llm.chat", input))).collect();
        ids.extend(items.iter().map(|(id, _)| *id));
        store.enqueue(&items[0].1.queue.clone(), &items).await.expect("the jobs are accepted");
    }
    ids
}

/// Milliseconds from claim to end of each of so many streaming jobs at once.
async fn through(redis: &Redis, model: &Model, streams: usize) -> Vec<f64> {
    redis.flush();
    let (store, mut raw) = (redis.store(|_| {}).await, redis.raw());
    let _worker = model.worker(redis, streams);
    while raw.ask_number(&["ZCARD", "ai:workers"]) == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ids = enqueue(&store, "streams", streams, INPUT).await;
    while raw.ask_number(&["HGET", "ai:queue:stats", "succeeded"]) < streams as u64 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut times = Vec::with_capacity(streams);
    for id in ids {
        let job = store.job(&Scope::All, id).await.expect("Redis answers").expect("the job is kept");
        assert_eq!(job.state, JobState::Succeeded);
        let (from, to) = (job.started_at.expect("it ran"), job.finished_at.expect("it ended"));
        times.push((to.unix_ms() - from.unix_ms()) as f64);
    }
    times
}

fn p99(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() * 99 / 100).copied().unwrap_or(f64::NAN)
}

/// p99 of a thousand streams at once, through a worker to direct, in turn; the best of the rounds of each.
pub(crate) async fn streams(table: &mut Table, rounds: usize) {
    let (redis, model) = (Redis::start(), Model::start(20, 100));
    let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
    let mut cpu = 0.0;
    for _ in 0..rounds {
        theirs = theirs.min(p99(direct(&model, STREAMS).await));
        let before = redis.cpu_ns();
        ours = ours.min(p99(through(&redis, &model, STREAMS).await));
        cpu = (redis.cpu_ns() - before) as f64 / (ours * 1e6);
    }
    let detail = format!("{ours:.0} ms of {theirs:.0} ms; {WORDS} words each; Redis {} of a core", percent(cpu));
    table.row("1000 streams at once, p99 to direct", &format!("{:.2} ×", ours / theirs), "≤ 1.3 ×", &detail);
}

/// Resident memory of one worker process with two thousand calls under way.
pub(crate) async fn weight(table: &mut Table) {
    let (redis, model) = (Redis::start(), Model::start(8_000, 0));
    let (store, mut raw) = (redis.store(|_| {}).await, redis.raw());
    let worker = model.worker(&redis, CALLS);
    while raw.ask_number(&["ZCARD", "ai:workers"]) == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    enqueue(&store, "calls", CALLS, UNARY).await;
    let (mut most, mut at_once) = (0, 0);
    while raw.ask_number(&["HGET", "ai:queue:stats", "succeeded"]) < CALLS as u64 {
        at_once = at_once.max(raw.ask_number(&["ZCARD", "ai:queue:running"]).saturating_sub(1));
        most = most.max(worker.resident_kib());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let detail = format!("{at_once} under way at once");
    table.row("2000 calls in one worker process", &format!("{} MB", most / 1024), "≤ 200 MB", &detail);
}
