//! The health of providers: shown, counted, and asked for.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use windlass::domain::ProviderName;
use windlass::domain::llm::ProviderInfo;
use windlass::executors::llm::{LlmOptions, Prober};
use windlass::http::{HttpOptions, ServiceState};
use windlass::store::Found;

use crate::support::api::{ADMIN, Api};
use crate::support::fleet::{Gated, Running, options, start};
use crate::support::jobs::TestWorker;
use crate::support::receiver::{Receiver, answer};
use crate::support::redis::TestRedis;

fn infos(names: &[&str]) -> Arc<[ProviderInfo]> {
    let one = LlmOptions::new("http://127.0.0.1:1", "m").providers.remove(0).info;
    names.iter().map(|name| ProviderInfo { name: ProviderName::new(name).unwrap(), ..one.clone() }).collect()
}

async fn api(names: &[&str]) -> Api {
    api_with(names, |_| {}).await
}

async fn api_with(names: &[&str], change: impl FnOnce(&mut HttpOptions)) -> Api {
    let providers = infos(names);
    Api::start_with(TestRedis::start().await, |options, _| {
        (options.providers, options.llm) = (providers, ServiceState::Ok);
        change(options);
    })
    .await
}

/// What a probe of a provider found, without one.
async fn seen(api: &Api, provider: &str, failure: Option<&'static str>, models: Option<&[&str]>) {
    let name = ProviderName::new(provider).unwrap();
    let turn = api.store.take_turn(&name, Duration::from_secs(60)).await.unwrap().expect("the turn is free");
    let models = models.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    let found = Found { failure, took: Duration::from_millis(70), models };
    assert!(api.store.probed(&turn, &found).await.unwrap());
}

/// A worker with a prober of the provider `local` at this address, whose first round is over.
async fn probing_worker(api: &Api, url: String) -> (Running, DropGuard) {
    let (sender, asked) = mpsc::channel(4);
    let worker = start(
        &api.store,
        &Gated::new().registry,
        windlass::engine::WorkerOptions { probes: Some(sender), ..options() },
    );
    let end = CancellationToken::new();
    Prober::new(&LlmOptions::new(url, "m"), api.store.clone()).unwrap().start(asked, end.clone());
    crate::support::fleet::until("a worker and a first probe", async || {
        let health = api.store.provider_health(&ProviderName::local()).await.unwrap();
        health.filter(|_| worker.handle.health().redis_up)
    })
    .await;
    (worker, end.drop_guard())
}

#[tokio::test]
async fn a_test_is_a_new_probe_by_a_live_worker() {
    let api = api(&["local"]).await;
    let server = Receiver::start(answer(200, "", r#"{"data":[{"id":"m"},{"id":"other"}]}"#)).await;
    let (worker, _end) = probing_worker(&api, server.url("")).await;
    let mut last = String::new();
    for asked in 2..=4 {
        let found = api.command(ADMIN, "/providers/local/test").await;
        assert_eq!(found.status, 200, "{found:?}");
        let found = found.json();
        assert_eq!((&found["ok"], &found["reason"], &found["models"]), (&json!(true), &json!(null), &json!(2)));
        let at = found["at"].as_str().unwrap().to_owned();
        assert!(at >= last, "{at} after {last}");
        last = at;
        assert_eq!(server.connections(), asked, "one probe at the start, and one for each test");
    }
    assert!(server.received().iter().all(|request| request.head.starts_with("GET /v1/models ")));
    let list = api.get(ADMIN, "/providers").await.json();
    assert_eq!(list["providers"][0]["health"]["at"], last.as_str());
    worker.stop().await;
}

#[tokio::test]
async fn a_test_that_nobody_takes_up_says_so() {
    let api = api_with(&["local"], |options| options.probe_patience = Duration::from_millis(300)).await;
    let refused = api.command(ADMIN, "/providers/local/test").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "no_worker"));
    assert!(refused.text.contains("0 live workers"), "{}", refused.text);
    let unknown = api.command(ADMIN, "/providers/none/test").await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "not_found"));
    assert_eq!(api.get(ADMIN, "/providers/none/models").await.code(), "not_found");
    // A worker that does not know the provider is told, and does nothing.
    TestWorker::register(&api.store).await;
    let refused = api.command(ADMIN, "/providers/local/test").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "no_worker"));
}

#[tokio::test]
async fn models_are_those_that_are_offered_and_those_that_are_configured() {
    let api = api(&["local"]).await;
    let models = async || api.get(ADMIN, "/providers/local/models").await.json();
    let model = |name: &str, offered: Value, configured: bool| json!({"name": name, "offered": offered, "configured": configured});
    assert_eq!(models().await, json!({"health": null, "models": [model("m", json!(null), true)]}));
    seen(&api, "local", None, Some(&["x", "m"])).await;
    let found = models().await;
    assert_eq!(found["models"], json!([model("x", json!(true), false), model("m", json!(true), true)]));
    let health = &found["health"];
    assert_eq!((&health["ok"], &health["latency_ms"], &health["models"]), (&json!(true), &json!(70), &json!(2)));
    assert!(health["age_seconds"].as_u64().is_some_and(|age| age < 60), "{health}");
    api.redis.cli(&["DEL", "ai:llm:probe:local"]);
    seen(&api, "local", None, Some(&["x"])).await;
    let found = models().await["models"].clone();
    assert_eq!(found, json!([model("m", json!(false), true), model("x", json!(true), false)]));
}

#[tokio::test]
async fn health_and_metrics_tell_of_providers_that_were_probed() {
    let api = api(&["a", "b"]).await;
    let (a, b) = ("windlass_llm_provider_up{provider=\"a\"} ", "windlass_llm_provider_up{provider=\"b\"} ");
    let metrics = api.get("", "/metrics").await.text;
    assert!(metrics.contains("# TYPE windlass_llm_provider_up gauge") && !metrics.contains(a), "{metrics}");
    seen(&api, "a", Some("refused"), None).await;
    let shows = |line: String| {
        let api = &api;
        async move {
            // A reading is shared for a second.
            crate::support::fleet::until("the series", async || {
                api.get("", "/metrics").await.text.lines().any(|l| l == line).then_some(())
            })
            .await;
        }
    };
    shows(format!("{a}0")).await;
    let llm = async || api.get("", "/health").await.json()["services"]["llm"].clone();
    assert_eq!(llm().await, "ok", "of b nobody knows");
    seen(&api, "b", Some("timeout"), None).await;
    shows(format!("{b}0")).await;
    assert_eq!(llm().await, "error");
    assert_eq!(api.get("", "/health").await.json()["status"], "degraded");
    api.redis.cli(&["DEL", "ai:llm:probe:b"]);
    seen(&api, "b", None, None).await;
    shows(format!("{b}1")).await;
    assert_eq!(llm().await, "ok");
}

#[tokio::test]
async fn metrics_show_open_breakers_and_what_is_used_of_daily_budgets() {
    let api = api_with(&["local"], |options| {
        let mut infos = options.providers.to_vec();
        infos[0].quota.nano_usd_per_day = Some(100);
        options.providers = infos.into();
    })
    .await;
    let series = async |lines: [&str; 2]| {
        crate::support::fleet::until("the series", async || {
            let text = api.get("", "/metrics").await.text;
            lines.iter().all(|line| text.lines().any(|l| l == *line)).then_some(())
        })
        .await;
    };
    let (breaker, budget) =
        ("windlass_llm_breaker_open{provider=\"local\",model=\"m\"}", "windlass_llm_budget_used_ratio");
    let budget = format!("{budget}{{provider=\"local\",model=\"\"}}");
    // Both exist before any call, or a rule that compares them would be silent.
    series([&format!("{breaker} 0"), &format!("{budget} 0")]).await;
    let now = api.store.now().await.unwrap().unix_ms();
    let until = (now + 600_000).to_string();
    api.redis.ask(&["HSET", "ai:llm:breaker:local/m", "open", "1", "until", &until]);
    for day in [now / 86_400_000, now / 86_400_000 + 1] {
        api.redis.ask(&["HSET", &format!("ai:llm:money:{day}:p:local"), "spent", "70", "reserved", "20"]);
    }
    series([&format!("{breaker} 1"), &format!("{budget} 0.9")]).await;
}
