//! llmock, a server from PyPI that nobody here wrote: it makes the faults of LLM providers and judges how its client
//! took them. And jobs that are tried again as a worker does.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use windlass::clock;
use windlass::engine::{Disposition, Executor};
use windlass::executors::llm::{LlmChat, LlmOptions};

use super::context::{Failed, FakeJob, run_job};

/// Below the ports that systems give out by themselves, so that no connection takes one meanwhile.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// Servers at a time in one process, each with ports of its own.
const LANES: u16 = 2;

/// A server that takes longer to start has failed.
const START: Duration = Duration::from_secs(60);

/// A running llmock; killed when dropped.
pub(crate) struct Llmock {
    child: Child,
    url: String,
    http: reqwest::Client,
}

impl Llmock {
    /// Starts one with these options of `llmock serve`. Tests of one process have different lanes.
    pub(crate) async fn start(lane: u16, options: &[&str]) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/llmock/bin/llmock");
        assert!(program.exists(), "{} is missing: `make llmock` installs it", program.display());
        // Building an executor installs the TLS provider that the plain client wants too.
        LlmChat::new(&LlmOptions::new("http://127.0.0.1:1", "m")).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let first = usize::try_from(std::process::id()).unwrap() % (PORTS.len() / usize::from(LANES));
        let ports = PORTS.skip(usize::from(lane)).step_by(usize::from(LANES)).cycle();
        for port in ports.skip(first).take(100) {
            if TcpListener::bind(("127.0.0.1", port)).is_err() {
                continue;
            }
            let child = Command::new(&program)
                .args(["serve", "--host", "127.0.0.1", "--log-level", "warning", "--port", &port.to_string()])
                .args(options)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("llmock starts");
            let mut server = Self { child, url: format!("http://127.0.0.1:{port}"), http: http.clone() };
            if server.listens().await {
                return server;
            }
        }
        panic!("llmock did not start on any port");
    }

    /// False when it ended, because another process took the port.
    async fn listens(&mut self) -> bool {
        let end = clock::now() + START;
        loop {
            if self.child.try_wait().expect("a status").is_some() {
                return false;
            }
            if self.http.get(self.url("/health")).send().await.is_ok_and(|r| r.status() == 200) {
                return true;
            }
            assert!(clock::now() < end, "llmock does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Scripts behaviours for the calls of one model.
    pub(crate) async fn script(&self, model: &str, behaviors: &[Value]) {
        let aimed = behaviors.iter().cloned().map(|mut behavior| {
            behavior["match"] = json!({"model": model});
            behavior
        });
        let body = json!({"behaviors": aimed.collect::<Vec<_>>()});
        let answer = self.http.post(self.url("/_llmock/scenario")).body(body.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 201, "{body}");
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let text = self.http.get(self.url(path)).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Llmock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a claim adds to a wait. llmock's clock of a retry starts a moment after its answer was read.
const CLAIM: Duration = Duration::from_millis(250);

/// Runs a job to its end with the type's own retries, as the worker and the queue do together. The jitter is always a
/// quarter, so that the waits are short and grow.
pub(crate) async fn work(executor: &dyn Executor, input: &Value) -> Result<Value, Failed> {
    let retry = executor.info().retry;
    let mut job = FakeJob::new();
    loop {
        let failed = match run_job(&job, executor, input.clone()).await {
            Ok(result) => return Ok(result),
            Err(failed) => failed,
        };
        let wait = match failed.1 {
            // A postponed attempt is not charged.
            Disposition::Postpone { after } => after,
            Disposition::Retry { after } if job.attempt < retry.max_attempts => {
                job.attempt += 1;
                retry.delay(job.attempt - 1, after, &mut || 0.25)
            }
            Disposition::Elsewhere if job.attempt < retry.max_attempts => {
                job.attempt += 1;
                Duration::ZERO
            }
            Disposition::Retry { .. } | Disposition::Elsewhere | Disposition::Dead | Disposition::Hold(_) => {
                return Err(failed);
            }
        };
        tokio::time::sleep(wait + CLAIM).await;
    }
}
