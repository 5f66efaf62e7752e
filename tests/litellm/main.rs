//! LiteLLM's proxy as a second dialect of OpenAI's protocol that nobody here wrote, and a second opinion on what a
//! call costs. Large, so it is no part of `make test`: `make test-litellm` installs and runs it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail that way")]
#![expect(clippy::disallowed_methods, reason = "the test starts a process of its own")]

#[expect(dead_code, reason = "written for the other tests")]
#[path = "../it/support/context.rs"]
mod context;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use backon::{ConstantBuilder, Retryable};
use serde_json::{Value, json};
use windlass::config::{Config, Environment, Overrides};
use windlass::domain::FailureReason;
use windlass::engine::Disposition;
use windlass::executors::llm::{LlmChat, LlmOptions};

use context::{Failed, run};

const KEY: &str = "sk-litellm-test";
/// It imports half of PyPI, which takes up to two minutes.
const START: ConstantBuilder = ConstantBuilder::new().with_delay(Duration::from_millis(250)).with_max_times(480);

/// The proxy; killed when dropped.
struct Proxy {
    child: Child,
    url: String,
    http: reqwest::Client,
    chat: LlmChat,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    async fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = root.join("target/litellm/bin/litellm");
        assert!(program.exists(), "{} is missing: `make test-litellm` installs it", program.display());
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).unwrap().port().to_string();
        let child = Command::new(program)
            .arg("--config")
            .arg(root.join("tests/litellm/config.yaml"))
            .args(["--host", "127.0.0.1", "--port", &port])
            .envs([("LITELLM_LOCAL_MODEL_COST_MAP", "True"), ("LITELLM_TELEMETRY", "False")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the proxy starts");
        let url = format!("http://127.0.0.1:{port}");
        let chat = LlmChat::new(&options(&url)).unwrap();
        let proxy = Self { child, url, http: reqwest::Client::builder().no_proxy().build().unwrap(), chat };
        let listens = async || {
            let answer = proxy.http.get(format!("{}/health/liveliness", proxy.url)).send().await;
            answer.is_ok_and(|answer| answer.status() == 200).then_some(()).ok_or("the proxy does not listen")
        };
        listens.retry(START).await.unwrap();
        proxy
    }

    async fn ask(&self, model: &str, stream: bool) -> Result<Value, Failed> {
        run(&self.chat, input(model, stream)).await
    }

    /// The same call without us in between.
    async fn directly(&self, stream: bool) -> reqwest::Response {
        let mut body = input("gpt-4o-mini", stream);
        body["stream_options"] = if stream { json!({"include_usage": true}) } else { Value::Null };
        let request = self.http.post(format!("{}/v1/chat/completions", self.url)).bearer_auth(KEY);
        request.body(body.to_string()).header("content-type", "application/json").send().await.unwrap()
    }
}

/// As the settings make them, with the prices that are compiled in.
fn options(url: &str) -> LlmOptions {
    let environment = [
        ("REDIS_URL", "redis://127.0.0.1"),
        ("OPENAI_API_KEY", KEY),
        ("OPENAI_BASE_URL", url),
        ("OPENAI_DEFAULT_MODEL", "gpt-4o-mini"),
    ];
    let environment: Environment =
        environment.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let config = Config::from_layers(None, &environment, &Overrides::default()).unwrap();
    LlmOptions::with_providers(config.llm.unwrap().providers)
}

fn input(model: &str, stream: bool) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream})
}

/// USD as nano-USD.
fn nano(usd: f64) -> u64 {
    (usd * 1e9).round() as u64
}

#[tokio::test]
async fn answers_costs_and_refusals_are_understood() {
    let proxy = Proxy::start().await;

    let answer = proxy.ask("gpt-4o-mini", false).await.unwrap();
    assert_eq!(answer["content"], "Hello from behind the proxy.");
    let head = proxy.directly(false).await;
    let cost: f64 = head.headers()["x-litellm-response-cost"].to_str().unwrap().parse().unwrap();
    assert_eq!(answer["cost_nano_usd"], nano(cost), "{answer}");

    let streamed = proxy.ask("gpt-4o-mini", true).await.unwrap();
    assert_eq!(streamed["content"], answer["content"]);
    let text = proxy.directly(true).await.text().await.unwrap();
    let chunks = text.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    let usage = chunks.filter_map(|chunk| chunk.get("usage").cloned()).next_back().expect("a chunk with usage");
    assert_eq!(streamed["usage"]["total_tokens"], usage["total_tokens"]);
    assert_eq!(streamed["cost_nano_usd"], nano(usage["cost"].as_f64().unwrap()), "{streamed} {usage}");

    for stream in [false, true] {
        let limited = proxy.ask("limited", stream).await.unwrap_err();
        assert!(
            matches!((limited.0, limited.1), (FailureReason::RateLimited, Disposition::Postpone { .. })),
            "{limited:?}"
        );
        let broken = proxy.ask("broken", stream).await.unwrap_err();
        assert!(matches!((broken.0, broken.1), (FailureReason::Error, Disposition::Retry { .. })), "{broken:?}");
        let narrow = proxy.ask("narrow", stream).await.unwrap_err();
        assert_eq!((narrow.0, narrow.1), (FailureReason::Invalid, Disposition::Dead), "{}", narrow.2);
    }
}
