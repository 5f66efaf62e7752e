//! Runs the built binary with an environment of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use windlass::client::Client;

use crate::support::ports::Reserved;
use crate::support::redis::TestRedis;

/// A bootstrap key for tests.
pub(super) const ADMIN_KEY: &str = "an-admin-key-for-tests-only";

/// Bounds a wait, so that what never happens fails with a name instead of hanging the suite.
pub(super) struct Patience {
    what: &'static str,
    until: std::time::Instant,
    /// What was there instead, for the message.
    pub(super) last_seen: String,
}

impl Patience {
    /// A minute for something that takes well under a second.
    pub(super) fn for_what(what: &'static str) -> Self {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        Self { what, until, last_seen: String::new() }
    }

    /// Lets others run before the next look.
    pub(super) async fn pause(&self) {
        self.check();
        tokio::task::yield_now().await;
    }

    /// The same outside of a runtime.
    pub(super) fn pause_here(&self) {
        self.check();
        std::thread::yield_now();
    }

    fn check(&self) {
        assert!(
            std::time::Instant::now() < self.until,
            "gave up waiting: {}; last seen: {}",
            self.what,
            self.last_seen
        );
    }
}

/// A client that goes through no proxy of whoever runs the tests.
pub(super) fn http() -> reqwest::Client {
    // Losing the race to another installer is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// What a run left behind.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ran {
    /// Standard output of a run that has to succeed.
    pub(super) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Standard output as JSON.
    pub(super) fn json(self) -> serde_json::Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }
}

/// The binary in `dir`, knowing nothing of the variables of whoever runs the tests.
pub(super) fn windlass(dir: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
    command.current_dir(dir).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs(variables.iter().copied()).stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub(super) fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    run_in(dir.path(), arguments, variables)
}

/// Runs the binary to its end in `dir`.
pub(super) fn run_in(dir: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let output = windlass(dir, variables).args(arguments).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the binary to its end with something on its standard input.
pub(super) fn run_fed(arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("input");
    std::fs::write(&file, input).unwrap();
    let mut command = windlass(dir.path(), variables);
    let output = command.args(arguments).stdin(std::fs::File::open(file).unwrap()).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A running role of the binary; killed when dropped.
pub(super) struct Role {
    pub(super) child: Child,
    pub(super) url: String,
    dir: tempfile::TempDir,
    port: Option<Reserved>,
}

impl Role {
    /// Starts it and waits until it says where it listens.
    pub(super) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Files, because a pipe that nobody reads would stop the role once it is full.
        let file = |name| std::fs::File::create(dir.path().join(name)).unwrap();
        let mut command = windlass(dir.path(), variables);
        let child = command.args(arguments).stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap();
        let mut role = Self { child, url: String::new(), dir, port: None };
        let patience = Patience::for_what("an address");
        while role.url.is_empty() {
            assert_eq!(role.child.try_wait().unwrap(), None, "{}", role.stderr());
            role.url = role.served_at().unwrap_or_default();
            patience.pause_here();
        }
        role
    }

    /// Keeps its port for as long as it runs.
    pub(super) fn on(mut self, port: Reserved) -> Self {
        self.port = Some(port);
        self
    }

    /// The address in the log line that says where it listens.
    fn served_at(&self) -> Option<String> {
        let log = std::fs::read_to_string(self.dir.path().join("stdout")).unwrap();
        let entries = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        entries.filter_map(|entry| Some(entry["url"].as_str()?.to_owned())).next()
    }

    /// Starts `serve` on a free port.
    pub(super) fn serve(redis: &TestRedis, variables: &[(&str, &str)]) -> Self {
        let url = redis.url();
        let variables: Vec<_> = variables.iter().copied().chain([("REDIS_URL", url.as_str())]).collect();
        Self::start(&["serve", "--host", "127.0.0.1", "--port", "0"], &variables)
    }

    /// Waits until it is ready.
    pub(super) async fn wait_ready(&self) {
        let client = Client::new(&self.url, None).unwrap();
        let mut patience = Patience::for_what("ready");
        loop {
            match client.ready().await {
                Ok(report) if report.ready => return,
                answer => patience.last_seen = format!("{answer:?}"),
            }
            patience.pause().await;
        }
    }

    /// What it said to people so far.
    pub(super) fn stderr(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stderr")).unwrap()
    }

    /// Its log so far, whole lines only.
    pub(super) fn stdout(&self) -> String {
        let text = std::fs::read_to_string(self.dir.path().join("stdout")).unwrap();
        text[..text.rfind('\n').map_or(0, |end| end + 1)].to_owned()
    }

    /// All that it wrote so far.
    pub(super) fn wrote(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stdout")).unwrap() + &self.stderr()
    }

    /// Asks it to stop and returns its exit code.
    pub(super) fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running `windlass serve` with a key.
pub(super) struct Server {
    role: Role,
    pub(super) url: String,
}

impl Server {
    /// Starts it on a free port and waits until it is ready.
    pub(super) async fn start(redis: &TestRedis) -> Self {
        Self::of(Role::serve(redis, &[("WINDLASS_ADMIN_KEY", ADMIN_KEY)])).await
    }

    /// The same of one that was started already.
    pub(super) async fn of(role: Role) -> Self {
        role.wait_ready().await;
        Self { url: role.url.clone(), role }
    }

    /// Runs an operator command against it.
    pub(super) fn run(&self, arguments: &[&str]) -> Ran {
        run(arguments, &[("WINDLASS_URL", &self.role.url), ("WINDLASS_API_KEY", ADMIN_KEY)])
    }
}
