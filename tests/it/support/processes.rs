//! The real binary as child processes, and signals for them.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use windlass::clock;

use super::redis::TestRedis;

/// A wait that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// A `windlass` process; killed when dropped.
pub(crate) struct Process {
    /// The worker's id in Redis; empty for an API.
    pub(crate) id: String,
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// A worker of this Redis, registered.
    pub(crate) fn worker(redis: &TestRedis, settings: &[(&str, &str)]) -> Self {
        let mut worker = Self::at("worker", redis.folder(), &redis.url(), settings);
        let pid = format!("\"pid\":{},", worker.child.id());
        wait_for("the worker registers", || {
            let about = |id: &String| redis.ask(&["HGET", &format!("ai:worker:{id}"), "about"]);
            let found = ids(redis).into_iter().find(|id| about(id).contains(&pid));
            worker.id = found.unwrap_or_default();
            !worker.id.is_empty()
        });
        worker
    }

    /// An API of this Redis, and its address.
    pub(crate) fn serve(redis: &TestRedis, settings: &[(&str, &str)]) -> (Self, String) {
        Self::serve_at(redis.folder(), &redis.url(), settings)
    }

    /// An API of the Redis at this address, and its own address.
    pub(crate) fn serve_at(folder: &Path, redis: &str, settings: &[(&str, &str)]) -> (Self, String) {
        let serve = Self::at("serve", folder, redis, settings);
        let url = loop {
            let line = serve.lines.recv_timeout(LIMIT).expect("the API says where it listens");
            let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(url) = find(&line, "url") {
                break url;
            }
        };
        (serve, url)
    }

    /// A process of the Redis at this address.
    pub(crate) fn at(role: &str, folder: &Path, redis: &str, settings: &[(&str, &str)]) -> Self {
        let mut env: HashMap<&str, &str> = HashMap::from([
            ("WORKER_PORT", "0"),
            ("PORT", "0"),
            ("HOST", "127.0.0.1"),
            ("WINDLASS_ADMIN_KEY", ADMIN),
            ("LOG_LEVEL", "info"),
        ]);
        env.extend(settings.iter().copied());
        let mut child = Command::new(env!("CARGO_BIN_EXE_windlass"))
            .arg(role)
            .current_dir(folder)
            .env_clear()
            .env("REDIS_URL", redis)
            .env("REDIS_SHARDS", "1")
            .envs(env)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { id: String::new(), child, lines }
    }

    /// What it logged since the last look, for messages of failed tests.
    pub(crate) fn log(&self) -> String {
        self.lines.try_iter().collect::<Vec<_>>().join("\n")
    }

    /// Whether every thread of it is stopped.
    pub(crate) fn stands(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the process lives");
        tasks.flatten().all(|task| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_none_or(|rest| rest.starts_with('T'))
        })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("the process lives");
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the process lives");
        self.child.wait().expect("a status");
    }

    /// Whether it has not ended.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a status").is_none()
    }

    /// Waits for the end.
    pub(crate) fn exit(mut self) -> ExitStatus {
        let mut status = None;
        wait_for("the process ends", || {
            status = self.child.try_wait().expect("a status");
            status.is_some()
        });
        status.expect("a status")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The key of every process's configuration.
pub(crate) const ADMIN: &str = "the-admin-key-of-the-tests";

/// Ids of the live workers.
pub(crate) fn ids(redis: &TestRedis) -> Vec<String> {
    redis.ask(&["ZRANGE", "ai:workers", "0", "-1"]).lines().filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

/// A figure of the default queue; 0 when it is not there yet.
pub(crate) fn stat(redis: &TestRedis, field: &str) -> i64 {
    redis.cli(&["HGET", "ai:queue:stats", field]).parse().unwrap_or(0)
}

/// Waits until something holds; blocks its thread.
pub(crate) fn wait_for(what: &str, holds: impl FnMut() -> bool) {
    wait(what, holds, Duration::from_millis(10), LIMIT);
}

/// The same for what takes its time.
pub(crate) fn wait_long_for(what: &str, holds: impl FnMut() -> bool) {
    wait(what, holds, Duration::from_millis(50), 5 * LIMIT);
}

fn wait(what: &str, mut holds: impl FnMut() -> bool, pause: Duration, limit: Duration) {
    let end = clock::now() + limit;
    while !holds() {
        assert!(clock::now() < end, "never happened: {what}");
        std::thread::sleep(pause);
    }
}

/// A field of a log line, at any depth.
fn find(line: &serde_json::Value, name: &str) -> Option<String> {
    let object = line.as_object()?;
    let own = object.get(name).and_then(|v| v.as_str()).map(str::to_owned);
    own.or_else(|| object.values().find_map(|inner| find(inner, name)))
}

/// Runs one test of this binary again, in a process of its own with more in its environment; whether it passed.
pub(crate) fn run_test_again(name: &str, env: &[(&str, String)]) -> bool {
    let binary = std::env::current_exe().expect("this binary");
    let mut command = Command::new(binary);
    command.args(["--exact", name]).envs(env.iter().map(|(name, value)| (*name, value)));
    let output = command.output().expect("the binary starts");
    // A name that no test has passes too.
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed")
}

/// A variable of this process' environment.
pub(crate) fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}
