//! Enqueueing over HTTP against a bare axum handler that does one pipelined SET NX.

use std::io::BufRead;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use fred::interfaces::{ClientLike, KeysInterface};
use fred::prelude::{Client, Config, Expiration, SetOptions};
use http::StatusCode;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use windlass::clock;
use windlass::engine::tasks;

use crate::jobs::{PAYLOAD, request_id, workspace};
use crate::redis::Redis;
use crate::table::{Table, median, percent};

/// The first argument that makes this binary the bare server.
pub(crate) const BARE: &str = "bare-server";
/// Connections of the load.
const CONNECTIONS: usize = 64;
const ADMIN_KEY: &str = "wl_bench_0123456789abcdef0123456789abcdef";

#[derive(Deserialize)]
struct Submit {
    client_request_id: String,
    #[serde(rename = "type")]
    job_type: String,
    input: serde_json::Value,
}

/// The bare server: JSON in, one SET NX, JSON out. Prints its port.
pub(crate) async fn serve_bare(url: &str) {
    let client = Client::new(Config::from_url(url).expect("a URL"), None, None, None);
    client.init().await.expect("redis-server answers");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", listener.local_addr().expect("an address").port());
    let router = Router::new().route("/ai/jobs", post(accept)).with_state(client);
    axum::serve(listener, router).await.expect("it serves");
}

async fn accept(State(client): State<Client>, Json(job): Json<Submit>) -> (StatusCode, Json<serde_json::Value>) {
    let key = format!("bare:idempotency:{}", job.client_request_id);
    let (expire, options) = (Some(Expiration::EX(691_200)), Some(SetOptions::NX));
    let set: Option<String> = client.set(key, "0123456789012345678901", expire, options, false).await.expect("a reply");
    let status = if set.is_some() { StatusCode::ACCEPTED } else { StatusCode::OK };
    (status, Json(serde_json::json!({"type": job.job_type, "input": job.input})))
}

/// A server process; killed when dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn bare(redis: &Redis) -> Self {
        let program = std::env::current_exe().expect("a path");
        let mut child = Command::new(program)
            .args([BARE, &redis.url()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("this binary starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        std::io::BufReader::new(stdout).read_line(&mut line).expect("a line");
        Self { child, port: line.trim().parse().expect("a port") }
    }

    fn windlass(redis: &Redis) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let child = Command::new(env!("CARGO_BIN_EXE_windlass"))
            .arg("serve")
            .env("REDIS_URL", redis.url())
            .env("PORT", port.to_string())
            .env("WINDLASS_ADMIN_KEY", ADMIN_KEY)
            .env("LOG_LEVEL", "warn") // the bare handler writes no access log either
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary is built");
        Self { child, port }
    }

    /// Waits until it accepts jobs.
    async fn ready(&self) {
        while post_one(self.port).await != Some(202) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn post_one(port: u16) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    exchange(&mut stream, &request(&format!("probe{}", rand::random::<u32>()), 0), &mut Vec::new()).await
}

fn request(series: &str, n: usize) -> String {
    let body = format!("{{\"client_request_id\":\"{}\",\"type\":\"echo\",\"input\":{PAYLOAD}}}", request_id(series, n));
    format!(
        "POST /ai/jobs HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {ADMIN_KEY}\r\nX-Windlass-Workspace: {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        workspace(n),
        body.len()
    )
}

/// Sends a request and reads its answer; its status.
async fn exchange(stream: &mut TcpStream, request: &str, buffer: &mut Vec<u8>) -> Option<u16> {
    stream.write_all(request.as_bytes()).await.ok()?;
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
        let text = std::str::from_utf8(buffer).ok()?;
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let length = text[..end].lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
        })?;
        if buffer.len() >= end + 4 + length {
            return std::str::from_utf8(buffer.get(9..12)?).ok()?.parse().ok();
        }
    }
}

/// Accepted jobs a second over `window`.
async fn load(port: u16, series: &str, window: Duration) -> f64 {
    let started = clock::now();
    let connection = |number: usize| {
        let series = format!("{series}-{number}");
        async move {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
            stream.set_nodelay(true).expect("a socket");
            let (mut accepted, mut buffer) = (0_u64, Vec::new());
            while started.elapsed() < window {
                let status =
                    exchange(&mut stream, &request(&series, number + accepted as usize * 7), &mut buffer).await;
                assert_eq!(status, Some(202), "{}", String::from_utf8_lossy(&buffer));
                accepted += 1;
            }
            accepted
        }
    };
    let all: Vec<_> = (0..CONNECTIONS).map(|number| tasks::spawn("load", connection(number))).collect();
    let mut accepted = 0;
    for one in all {
        accepted += one.await.expect("the load runs");
    }
    accepted as f64 / started.elapsed().as_secs_f64()
}

/// Goal 2: both servers in turn, the median of the rounds' ratios.
pub(crate) async fn against_a_bare_handler(table: &mut Table, rounds: usize, window: Duration) {
    let redis = Redis::start();
    let (bare, ours) = (Server::bare(&redis), Server::windlass(&redis));
    bare.ready().await;
    ours.ready().await;
    let (mut bares, mut own, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let floor = load(bare.port, &format!("b{round}"), window).await;
        let figure = load(ours.port, &format!("w{round}"), window).await;
        // The first round warms up.
        if round > 0 {
            bares.push(floor);
            own.push(figure);
            ratios.push(figure / floor);
        }
    }
    let detail = format!("{:.0} of {:.0} a second, {CONNECTIONS} connections", median(&mut own), median(&mut bares));
    table.row("HTTP enqueue, to a bare handler with SET NX", &percent(median(&mut ratios)), "≥ 50 %", &detail);
}
