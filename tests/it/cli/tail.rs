//! `windlass jobs tail`.

use std::path::Path;
use std::process::{Child, Stdio};

use super::process::{ADMIN_KEY, Patience, Role, Server, windlass};
use crate::support::ports::Reserved;
use crate::support::redis::TestRedis;

/// A tail that runs; killed when dropped.
struct Tail {
    child: Child,
    dir: tempfile::TempDir,
}

impl Tail {
    /// Starts it and waits until it misses nothing.
    fn start(url: &str, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = |name| Stdio::from(std::fs::File::create(dir.path().join(name)).unwrap());
        let mut command = windlass(dir.path(), &[("WINDLASS_URL", url), ("WINDLASS_API_KEY", ADMIN_KEY)]);
        let command = command.args(["jobs", "tail"]).args(arguments);
        let child = command.stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap();
        let tail = Self { child, dir };
        tail.wait_for("stderr", "watching");
        tail
    }

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    /// What it wrote to a stream, once it has this text.
    fn wait_for(&self, stream: &str, what: &'static str) -> String {
        let mut patience = Patience::for_what(what);
        loop {
            let text = Self::read(&self.dir.path().join(stream));
            if text.contains(what) {
                return text;
            }
            patience.last_seen = text;
            patience.pause_here();
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn submit(server: &Server, queue: &str) -> String {
    let arguments = ["jobs", "submit", "echo", "--workspace", "acme", "--queue", queue, "-o", "json"];
    server.run(&arguments).json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_change_of_state_is_a_line() {
    let redis = TestRedis::start().await;
    let server = Server::start(&redis).await;
    let tail = Tail::start(&server.url, &["--queue", "mail", "--workspace", "acme"]);
    assert!(tail.wait_for("stderr", "there is no queue mail").contains("windlass queues list"));
    let (elsewhere, id) = (submit(&server, "other"), submit(&server, "mail"));
    server.run(&["jobs", "cancel", &id]).ok();
    let text = tail.wait_for("stdout", "cancelled");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[0][1..], [id.as_str(), "echo", "mail", "-", "→", "pending", "0"]);
    assert_eq!(lines[1][1..7], [id.as_str(), "echo", "mail", "pending", "→", "cancelled"]);
    assert!(windlass::domain::Timestamp::parse(lines[0][0]).is_ok(), "scripts get the whole moment: {text}");
    assert!(!text.contains(&elsewhere) && !text.contains('\u{1b}'), "{text:?}");
}

#[tokio::test]
async fn scripts_get_a_line_of_json_for_each() {
    let redis = TestRedis::start().await;
    let server = Server::start(&redis).await;
    let tail = Tail::start(&server.url, &["--output", "json", "--state", "cancelled"]);
    let id = submit(&server, "mail");
    server.run(&["jobs", "cancel", &id]).ok();
    let text = tail.wait_for("stdout", "cancelled");
    let step: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!((&step["job_id"], &step["from"]), (&id.as_str().into(), &"pending".into()));
}

#[tokio::test]
async fn a_tail_comes_back_after_a_restart_of_the_server_and_misses_nothing() {
    let redis = TestRedis::start().await;
    // Nobody else gets the port while no server listens on it.
    let reserved = Reserved::new();
    let (port, url) = (reserved.port().to_string(), redis.url());
    let serve = ["serve", "--host", "127.0.0.1", "--port", &port];
    let variables = [("REDIS_URL", url.as_str()), ("WINDLASS_ADMIN_KEY", ADMIN_KEY)];
    let server = Server::of(Role::start(&serve, &variables)).await;
    let tail = Tail::start(&server.url, &["--workspace", "acme", "--output", "json"]);
    let first = submit(&server, "mail");
    tail.wait_for("stdout", "pending");
    drop(server);
    tail.wait_for("stderr", "connection lost");
    let store = redis.store().await;
    let missed = crate::support::jobs::enqueue_new(&store, crate::support::jobs::spec_of("acme", "meanwhile")).await;
    let again = Role::start(&serve, &variables);
    again.wait_ready().await;
    tail.wait_for("stderr", "connected again");
    store.cancel(&crate::support::jobs::queue(), missed).await.unwrap();
    let text = tail.wait_for("stdout", "cancelled");
    let jobs: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["job_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(jobs, [first, missed.to_string(), missed.to_string()], "{text}");
}

#[tokio::test]
async fn a_tail_ends_quietly_when_its_reader_leaves_and_at_once_when_it_is_refused() {
    let redis = TestRedis::start().await;
    let server = Server::start(&redis).await;
    let dir = tempfile::tempdir().unwrap();
    let stderr = std::fs::File::create(dir.path().join("stderr")).unwrap();
    let mut command = windlass(dir.path(), &[("WINDLASS_URL", &server.url), ("WINDLASS_API_KEY", ADMIN_KEY)]);
    let mut child = command.args(["jobs", "tail"]).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
    drop(child.stdout.take());
    let patience = Patience::for_what("watching");
    while !Tail::read(&dir.path().join("stderr")).contains("watching") {
        patience.pause_here();
    }
    submit(&server, "mail");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let said = Tail::read(&dir.path().join("stderr"));
    assert!(!said.contains("panic") && !said.contains("error"), "{said}");
    let refused = super::process::run(&["jobs", "tail"], &[("WINDLASS_URL", &server.url), ("WINDLASS_API_KEY", "x")]);
    assert_eq!(refused.code, 4);
}
