//! Probes of providers: one for the whole fleet, never a bill, and a word for all that can be wrong.

use std::time::Duration;

use serde_json::json;
use windlass::domain::ProviderName;
use windlass::domain::llm::{Target, Verdict};
use windlass::executors::llm::fake::FakeLlmOptions;
use windlass::executors::llm::{LlmOptions, Prober, ProviderOptions};
use windlass::store::{BreakerState, ProviderHealth, Store};

use super::llm::Fake;
use super::llm_routing::{model, provider};
use crate::support::calls::{candidate, demand, settlement};
use crate::support::receiver::{Receiver, answer};
use crate::support::redis::TestRedis;

fn prober(store: &Store, providers: Vec<ProviderOptions>) -> Prober {
    Prober::new(&LlmOptions::with_providers(providers), store.clone()).unwrap()
}

fn name(text: &str) -> ProviderName {
    ProviderName::new(text).unwrap()
}

async fn health(store: &Store, provider: &str) -> ProviderHealth {
    store.provider_health(&name(provider)).await.unwrap().unwrap()
}

#[tokio::test]
async fn one_process_of_many_asks_for_models_and_none_for_a_completion() {
    let redis = TestRedis::start().await;
    let fake = Fake::start(FakeLlmOptions { api_key: Some("sk-right".into()), ..FakeLlmOptions::default() }).await;
    let mut options = provider("a", fake.url(""), vec![model("m")]);
    options.api_key = Some("sk-right".into());
    let stores = [redis.store().await, redis.store().await, redis.store().await];
    let fleet = stores.each_ref().map(|store| prober(store, vec![options.clone()]));
    for round in 1..=4 {
        for _ in 0..2 {
            tokio::join!(fleet[0].run_once(), fleet[1].run_once(), fleet[2].run_once());
        }
        let seen = fake.get("/requests").await;
        assert_eq!((&seen["listed"], &seen["count"]), (&json!(round), &json!(0)), "{seen}");
        stores[0].probe(&name("a")).await.unwrap();
    }
    let (health, models) = stores[2].provider_models(&name("a")).await.unwrap().unwrap();
    assert_eq!((health.is_ok(), health.models), (true, Some(1)));
    assert_eq!(models, ["fake-model"]);
}

#[tokio::test]
async fn each_provider_gets_its_own_key_and_its_own_verdict() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let fake = Fake::start(FakeLlmOptions { api_key: Some("sk-right".into()), ..FakeLlmOptions::default() }).await;
    let canary = Receiver::start(answer(200, "", r#"{"data":[{"id":"x"}]}"#)).await;
    let mut wrong = provider("wrong", fake.url(""), vec![model("m")]);
    wrong.api_key = Some("sk-canary-wrong".into());
    prober(&store, vec![wrong, provider("keyless", canary.url("/v1"), vec![model("m")])]).run_once().await;
    assert_eq!(health(&store, "wrong").await.failure.as_deref(), Some("refused"));
    assert!(health(&store, "keyless").await.is_ok());
    let received = canary.received().remove(0);
    assert!(received.head.starts_with("GET /v1/models HTTP/1.1") && received.body.is_empty(), "{}", received.head);
    assert_eq!(received.header("authorization"), None);
    let kept = redis.cli(&["HGETALL", "ai:llm:health:wrong"]);
    assert!(!kept.contains("canary") && !kept.contains("Incorrect"), "neither key nor body is kept: {kept}");
}

#[tokio::test]
async fn whatever_is_wrong_has_a_word_and_is_over_in_seconds() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let large = |start: &str| answer(200, "", &format!("{start}{}", " ".repeat(300 * 1024)));
    let broken = "HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{\"data\":[".to_owned();
    let moved = answer(302, "location: http://127.0.0.1:1/\r\n", "");
    let servers = [
        ("hangs", String::new(), Some("timeout")),
        ("html", answer(200, "content-type: text/html\r\n", "<html>sign in</html>"), Some("bad_answer")),
        ("endless-html", large("<html>"), Some("bad_answer")),
        ("error-200", answer(200, "", r#"{"error":{"message":"no"}}"#), Some("bad_answer")),
        ("breaks", broken, Some("bad_answer")),
        ("moved", moved, Some("bad_answer")),
        ("busy", answer(429, "retry-after: 60\r\n", "{}"), Some("rate_limited")),
        ("forbidden", answer(403, "", "{}"), Some("refused")),
        ("down", answer(503, "", "<html>"), Some("unavailable")),
        ("no-list", answer(404, "", "not found"), None),
        ("long-list", large(r#"{"data":["#), None),
    ];
    let mut providers = vec![provider("nobody", "http://127.0.0.1:1".to_owned(), vec![model("m")])];
    let mut running = Vec::new();
    for (called, text, _) in &servers {
        let server = Receiver::start(text.clone()).await;
        providers.push(provider(called, server.url(""), vec![model("m")]));
        running.push(server);
    }
    let round = prober(&store, providers);
    tokio::time::timeout(Duration::from_secs(20), round.run_once()).await.expect("all at once");
    assert_eq!(health(&store, "nobody").await.failure.as_deref(), Some("unreachable"));
    for (called, _, word) in servers {
        let found = health(&store, called).await;
        assert_eq!((found.failure.as_deref(), found.models), (word, None), "{called}");
    }
    assert!(health(&store, "hangs").await.took >= Duration::from_secs(5));
}

#[tokio::test]
async fn a_probe_opens_no_breaker_and_closes_none() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let fake = Fake::start(FakeLlmOptions::default()).await;
    let target = |provider: &str| Target { provider: name(provider), model: "m".into() };
    let call = demand(|d| d.candidates = vec![candidate("well", "m")]);
    store.reserve(&call).await.unwrap();
    let mut end = settlement(&call, 0);
    end.verdict = Verdict::Cool(Duration::from_secs(300));
    store.settle(&end).await.unwrap();
    let down = provider("down", "http://127.0.0.1:1".to_owned(), vec![model("m")]);
    let round = prober(&store, vec![provider("well", fake.url(""), vec![model("m")]), down]);
    for _ in 0..10 {
        round.run_once().await;
        for provider in ["well", "down"] {
            store.probe(&name(provider)).await.unwrap();
        }
    }
    assert!(health(&store, "well").await.is_ok() && !health(&store, "down").await.is_ok());
    assert_eq!(store.target_state(&target("well")).await.unwrap().breaker, BreakerState::Cooling);
    assert_eq!(store.target_state(&target("down")).await.unwrap(), windlass::store::TargetState::default());
}
