//! Runs the built binary with an environment of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use windlass::client::Client;

use crate::support::redis::TestRedis;

/// A bootstrap key for tests.
pub(super) const ADMIN_KEY: &str = "an-admin-key-for-tests-only";

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

/// A running `windlass serve`; killed when dropped.
pub(super) struct Server {
    child: Child,
    pub(super) url: String,
    _stdout: BufReader<ChildStdout>,
    _dir: tempfile::TempDir,
}

impl Server {
    /// Starts it on a free port and waits until it is ready.
    pub(super) async fn start(redis: &TestRedis) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = redis.url();
        let variables = [("REDIS_URL", url.as_str()), ("WINDLASS_ADMIN_KEY", ADMIN_KEY)];
        let mut child = windlass(dir.path(), &variables)
            .args(["serve", "--host", "127.0.0.1", "--port", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let url = served_at(&mut stdout);
        let client = Client::new(&url, None).unwrap();
        while !client.ready().await.is_ok_and(|report| report.ready) {
            tokio::task::yield_now().await;
        }
        Self { child, url, _stdout: stdout, _dir: dir }
    }

    /// Runs an operator command against it.
    pub(super) fn run(&self, arguments: &[&str]) -> Ran {
        run(arguments, &[("WINDLASS_URL", &self.url), ("WINDLASS_API_KEY", ADMIN_KEY)])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in the log line that says where the API is.
fn served_at(log: &mut impl BufRead) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the server ended");
        let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
        if let Some(url) = entry["url"].as_str() {
            return url.to_owned();
        }
    }
}
