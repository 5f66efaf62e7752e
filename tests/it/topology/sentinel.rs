//! Three sentinels, a primary and a replica, all with passwords: a failover under load.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use windlass::clock;
use windlass::domain::JobId;
use windlass::engine::tasks;

use crate::support::fleet::{a_moment, until};
use crate::support::ports::Reserved;
use crate::support::processes::{ADMIN, Process, wait_for};

const SERVER: &str = "the-password-of-the-servers";
const SENTINEL: &str = "another-for-the-sentinels";
/// Not the first, to see that it is selected.
const DATABASE: u8 = 1;

/// A child on a port; killed when dropped.
struct Server {
    child: Child,
    port: u16,
    _reserved: Reserved,
    password: &'static str,
    _dir: TempDir,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "tests start their own servers")]
    fn start(reserved: Reserved, password: &'static str, config: &str, mode: &[&str]) -> Self {
        let port = reserved.port();
        let dir = TempDir::new().expect("a temporary folder");
        let file = dir.path().join("redis.conf");
        let common = format!("port {port}\nbind 127.0.0.1\ndir {}\nrequirepass {password}\n", dir.path().display());
        std::fs::write(&file, common + config).expect("written");
        let child = Command::new("redis-server")
            .arg(&file)
            .args(mode)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let server = Self { child, port, _reserved: reserved, password, _dir: dir };
        wait_for("it answers", || server.ask(&["PING"]) == "PONG");
        server
    }

    fn redis(port: Reserved, more: &str) -> Self {
        let config = format!(
            "masterauth {SERVER}\nappendonly yes\nsave \"\"\nmaxmemory 256mb\nmaxmemory-policy noeviction\n\
             repl-diskless-sync-delay 0\n{more}\n"
        );
        Self::start(port, SERVER, &config, &[])
    }

    fn sentinel(port: Reserved, primary: u16) -> Self {
        let config = format!(
            "sentinel monitor jobs 127.0.0.1 {primary} 2\nsentinel auth-pass jobs {SERVER}\n\
             sentinel sentinel-pass {SENTINEL}\nsentinel down-after-milliseconds jobs 1000\n\
             sentinel failover-timeout jobs 5000\nsave \"\"\n"
        );
        Self::start(port, SENTINEL, &config, &["--sentinel"])
    }

    #[expect(clippy::disallowed_methods, reason = "what an operator does is what is tested")]
    fn ask(&self, args: &[&str]) -> String {
        let (port, database) = (self.port.to_string(), DATABASE.to_string());
        let mut command = Command::new("redis-cli");
        command.args(["-p", &port, "--no-auth-warning", "-a", self.password]);
        if self.password == SERVER {
            command.args(["-n", &database]);
        }
        let output = command.args(args).output().expect("redis-cli");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn is_primary(&self) -> bool {
        self.ask(&["ROLE"]).starts_with("master")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn url(sentinels: &[Server]) -> String {
    let [first, others @ ..] = sentinels else { return String::new() };
    let nodes: String = others.iter().map(|s| format!("&node=127.0.0.1:{}", s.port)).collect();
    format!(
        "redis-sentinel://:{SERVER}@127.0.0.1:{}/{DATABASE}?sentinelServiceName=jobs&sentinelPassword={SENTINEL}{nodes}",
        first.port
    )
}

#[derive(Clone)]
struct Caller {
    http: reqwest::Client,
    url: String,
}

impl Caller {
    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(ADMIN);
        request.header("x-windlass-workspace", "ws")
    }

    /// Submits until it is acknowledged; the job's id.
    async fn submit(&self, request: &str, kind: &str, input: Value) -> String {
        let body = json!({"client_request_id": request, "type": kind, "input": input});
        let end = clock::now() + Duration::from_secs(60);
        while clock::now() < end {
            let answer = self.request(reqwest::Method::POST, "/ai/jobs").json(&body).send().await.expect("an answer");
            let status = answer.status().as_u16();
            assert!(matches!(status, 200 | 202 | 503), "{status}");
            let body: Value = answer.json().await.expect("JSON");
            if status != 503 {
                return body["id"].as_str().expect("an id").to_owned();
            }
            a_moment().await;
        }
        panic!("{request} was never acknowledged");
    }

    async fn state(&self, id: &str) -> Option<String> {
        let answer = self.request(reqwest::Method::GET, &format!("/ai/jobs/{id}")).send().await.expect("an answer");
        let found = answer.status().is_success();
        let body: Value = answer.json().await.expect("JSON");
        found.then(|| body["state"].as_str().expect("a state").to_owned())
    }

    async fn succeeds(&self, id: &str) {
        let done = async || (self.state(id).await.as_deref() == Some("succeeded")).then_some(());
        until("the job succeeds", done).await;
    }
}

/// The servers, the sentinels that watch them, and the processes that are never restarted.
struct Installation {
    servers: [Server; 2],
    sentinels: [Server; 3],
    serve: Process,
    workers: [Process; 2],
    caller: Caller,
    _folder: TempDir,
}

impl Installation {
    fn start() -> Self {
        let first = Server::redis(Reserved::new(), "");
        let primary = first.port;
        let servers = [first, Server::redis(Reserved::new(), &format!("replicaof 127.0.0.1 {primary}"))];
        let sentinels = [(); 3].map(|()| Server::sentinel(Reserved::new(), primary));
        know_all(&sentinels);
        let url = url(&sentinels);
        let folder = TempDir::new().expect("a temporary folder");
        let settings = [("LEASE_MS", "3000"), ("WORKER_CONCURRENCY", "4")];
        let (serve, address) = Process::serve_at(folder.path(), &url, &settings);
        let workers = [(); 2].map(|()| Process::at("worker", folder.path(), &url, &settings));
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let caller = Caller { http, url: address };
        Self { servers, sentinels, serve, workers, caller, _folder: folder }
    }

    /// The work of a moment: submitted and done.
    async fn work(&self, name: &str, jobs: usize) {
        for n in 0..jobs {
            let id = self.caller.submit(&format!("{name}-{n}"), "echo", json!(n)).await;
            self.caller.succeeds(&id).await;
        }
    }

    /// Bell and inbox of both workers and the tail of the API block on this server, and events arrive.
    async fn lives_on(&mut self, server: usize) {
        wait_for("every blocking reader is back", || {
            let clients = self.servers[server].ask(&["CLIENT", "LIST"]);
            let of = |command: &str| clients.lines().filter(|l| l.contains(&format!(" cmd={command} "))).count();
            of("blpop") == 4 && of("xread") == 1
        });
        follow(&self.caller, &format!("followed-on-{server}")).await;
        assert!(self.workers.iter_mut().all(Process::runs) && self.serve.runs(), "nothing was restarted");
    }
}

/// Submits one job after the other; those that were acknowledged, and when.
async fn keep_submitting(caller: Caller, stop: CancellationToken) -> Vec<(String, clock::Instant)> {
    let (mut acknowledged, name) = (Vec::new(), JobId::new(0, 0));
    while !stop.is_cancelled() {
        let id = caller.submit(&format!("{name}-{}", acknowledged.len()), "echo", json!(1)).await;
        acknowledged.push((id, clock::now()));
    }
    acknowledged
}

/// Waits until every sentinel knows the others and a replica that follows.
fn know_all(sentinels: &[Server]) {
    let knows = |s: &Server| {
        let about = s.ask(&["SENTINEL", "MASTER", "jobs"]);
        let field = |name: &str| about.lines().skip_while(|l| *l != name).nth(1).unwrap_or_default().to_owned();
        let replicas = s.ask(&["SENTINEL", "REPLICAS", "jobs"]);
        let follows = replicas.lines().skip_while(|l| *l != "master-link-status").nth(1) == Some("ok");
        follows && field("num-other-sentinels") == "2"
    };
    wait_for("the sentinels know each other and the replica", || sentinels.iter().all(knows));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_under_load_needs_no_restart_of_anything() {
    let mut all = Installation::start();
    all.work("before", 20).await;
    all.lives_on(0).await;

    // An orderly one: the old primary lives on as a replica, and says READONLY on its old connections.
    all.sentinels[0].ask(&["SENTINEL", "FAILOVER", "jobs"]);
    wait_for("the servers change places", || all.servers[1].is_primary() && !all.servers[0].is_primary());
    all.work("between", 20).await;
    all.lives_on(1).await;
    know_all(&all.sentinels);

    // And a death, under load.
    let stop = CancellationToken::new();
    let clients = [(); 4].map(|()| tasks::spawn("client", keep_submitting(all.caller.clone(), stop.clone())));
    let waiting = all.caller.submit("waiting", "sleep", json!({"ms": 4000})).await;
    all.servers[1].child.kill().expect("it runs");
    all.servers[1].child.wait().expect("a status");
    wait_for("the replica is promoted", || all.servers[0].is_primary());
    let promoted = clock::now();
    let id = all.caller.submit("first", "echo", json!("first")).await;
    let accepted = promoted.elapsed();
    all.caller.succeeds(&id).await;
    println!("after the promotion: accepted {accepted:?}, done {:?}", promoted.elapsed());
    all.work("after", 20).await;
    stop.cancel();
    let mut acknowledged = Vec::new();
    for client in clients {
        acknowledged.extend(client.await.expect("a client"));
    }
    let since: Vec<_> = acknowledged.iter().filter(|(_, at)| *at > promoted).collect();
    assert!(!since.is_empty(), "the load went on");
    for (id, _) in since {
        all.caller.succeeds(id).await;
    }
    all.lives_on(0).await;
    // It runs through the failover, unless its enqueue was in the lost window.
    if all.caller.state(&waiting).await.is_some() {
        all.caller.succeeds(&waiting).await;
    }
}

/// A job's events arrive: the tail reads the new primary.
async fn follow(caller: &Caller, request: &str) {
    let id = caller.submit(request, "sleep", json!({"ms": 500})).await;
    let mut events =
        caller.request(reqwest::Method::GET, &format!("/ai/jobs/{id}/events")).send().await.expect("a stream");
    let mut text = String::new();
    let read = async {
        while !text.contains("succeeded") {
            let chunk = events.chunk().await.expect("the stream goes on").expect("more of it");
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("the end of the job is told");
}
