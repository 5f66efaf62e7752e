//! Webhooks through one worker process to a sink on this machine, beside the same requests from a plain client.

use std::io::BufRead;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::post;
use tokio::net::TcpListener;
use windlass::clock;
use windlass::engine::tasks;

use crate::fleet::Process;
use crate::jobs::{fresh_id, spec};
use crate::redis::Redis;
use crate::table::{Table, median, percent};

/// The first argument that makes this binary a sink.
pub(crate) const SINK: &str = "serve-sink";
/// Requests at once, of either.
const AT_ONCE: usize = 64;
const PAYLOAD: &str = r#"{"event":"order.paid","data":{"order":7,"total":"12.50","currency":"EUR"}}"#;

/// Answers every request with 204, and prints its port.
pub(crate) async fn serve_sink() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", listener.local_addr().expect("an address").port());
    let app = axum::Router::new().route("/", post(async |_: axum::body::Bytes| StatusCode::NO_CONTENT));
    axum::serve(listener, app).await.expect("it serves");
}

/// A sink in a process of its own; killed when dropped.
struct Sink {
    child: Child,
    host: String,
}

impl Sink {
    fn start() -> Self {
        let binary = std::env::current_exe().expect("a path");
        let mut child = Command::new(binary).arg(SINK).stdout(Stdio::piped()).spawn().expect("this binary starts");
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        Self { child, host: format!("127.0.0.1:{}", line.trim()) }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Requests a second of a plain client.
async fn direct(sink: &Sink, requests: usize) -> f64 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let started = clock::now();
    let caller = |_| {
        let (client, url) = (client.clone(), format!("http://{}/", sink.host));
        tasks::spawn("direct", async move {
            for _ in 0..requests / AT_ONCE {
                let answer = client.post(&url).header("content-type", "application/json").body(PAYLOAD).send().await;
                answer.expect("an answer").bytes().await.expect("its end");
            }
        })
    };
    for done in futures_util::future::join_all((0..AT_ONCE).map(caller)).await {
        done.expect("no panic");
    }
    requests as f64 / started.elapsed().as_secs_f64()
}

/// Webhooks a second of a worker that finds them all in line.
async fn through(redis: &Redis, sink: &Sink, jobs: usize) -> f64 {
    redis.flush();
    let (store, mut raw) = (redis.store(|_| {}).await, redis.raw());
    let settings = [
        ("ACTIONS_ENABLED", "true"),
        ("ALLOW_ACTIONS_DEFAULT", "webhook.send"),
        ("WEBHOOK_ALLOW_INTERNAL", sink.host.as_str()),
        ("WEBHOOK_SIGNING_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ];
    let input = format!(r#"{{"url":"http://{}/","payload":{PAYLOAD}}}"#, sink.host);
    for first in (0..jobs).step_by(100) {
        let item = |n| (fresh_id(&store), spec("webhooks", n, "webhook.send", &input));
        let items: Vec<_> = (first..jobs.min(first + 100)).map(item).collect();
        store.enqueue(&items[0].1.queue.clone(), &items).await.expect("the jobs are accepted");
    }
    let _worker = Process::start_with(redis, AT_ONCE, 15_000, &settings);
    let ended = |raw: &mut crate::redis::Raw| {
        let count = |raw: &mut crate::redis::Raw, field| raw.ask_number(&["HGET", "ai:queue:stats", field]);
        count(raw, "succeeded") + count(raw, "dead")
    };
    // The worker's start is not its speed.
    let mut begun = 0;
    while begun == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        begun = ended(&mut raw);
    }
    let started = clock::now();
    while ended(&mut raw) < jobs as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let speed = (jobs as u64 - begun) as f64 / started.elapsed().as_secs_f64();
    assert_eq!(raw.ask_number(&["HGET", "ai:queue:stats", "succeeded"]), jobs as u64, "every webhook is delivered");
    speed
}

/// Both in turn; the medians of the rounds.
pub(crate) async fn deliver(table: &mut Table, rounds: usize, jobs: usize) {
    let (redis, sink) = (Redis::start(), Sink::start());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        theirs.push(direct(&sink, jobs).await);
        ours.push(through(&redis, &sink, jobs).await);
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    let detail = format!("{} of a plain client's {theirs:.0}/s; signed, {AT_ONCE} at once", percent(ours / theirs));
    table.row("webhooks of one worker process", &format!("{ours:.0}/s"), "≥ 2,000/s", &detail);
}
