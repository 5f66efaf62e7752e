//! Providers, usage, and the limits of workspaces on calls to language models.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use windlass::domain::ProviderName;
use windlass::domain::llm::{
    BlockKind, Demand, ModelInfo, Price, ProviderInfo, Quota, Reserved, Settlement, Usage, Verdict,
};

use crate::support::api::{ADMIN, Api, send};
use crate::support::calls::{START, candidate, demand, later, requests, settlement};
use crate::support::jobs::workspace;
use crate::support::redis::TestRedis;

fn openai() -> ProviderInfo {
    let model = |name: &str, price, quota| ModelInfo {
        name: name.into(),
        aliases: vec![format!("{name}-latest")],
        context_window: Some(8_000),
        price,
        quota,
    };
    let price = Price { input: 1, cached_input: 1, output: 1 };
    let quota = Quota { requests_per_minute: Some(10), tokens_per_minute: Some(5_000), ..Quota::default() };
    ProviderInfo {
        name: ProviderName::new("openai").unwrap(),
        kind: "openai",
        models: vec![model("gpt", Some(price), quota), model("mini", None, Quota::default())],
        open_models: false,
        quota: Quota { concurrency: Some(4), nano_usd_per_day: Some(50_000), ..Quota::default() },
    }
}

async fn api() -> Api {
    Api::start_with(TestRedis::start_halted(START).await, |options, _| options.providers = Arc::from([openai()])).await
}

async fn call(api: &Api, demand: &Demand, change: impl FnOnce(&mut Settlement)) {
    let answer = api.store.reserve(demand).await.unwrap();
    assert_eq!(answer, Reserved::Granted { candidate: 0, probe: false });
    let mut settlement = settlement(demand, 0);
    change(&mut settlement);
    api.store.settle(&settlement).await.unwrap();
}

#[tokio::test]
async fn providers_show_their_limits_breakers_and_spending() {
    let api = api().await;
    call(&api, &demand(|_| {}), |s| (s.usage.input, s.took) = (40, Duration::from_millis(1_500))).await;
    call(&api, &demand(|_| {}), |s| (s.verdict, s.status) = (Verdict::Faulty, "timeout")).await;
    let cool = Verdict::Cool(Duration::from_secs(30));
    call(&api, &demand(|d| d.candidates = vec![candidate("openai", "mini")]), |s| {
        (s.verdict, s.status, s.usage.input, s.nano_usd) = (cool, "rate_limited", 0, Some(0));
    })
    .await;
    api.store.reserve(&demand(|d| d.candidates[0].tokens = 60)).await.unwrap();
    let list = api.get(ADMIN, "/providers").await.json();
    let provider = &list["providers"][0];
    assert_eq!((&provider["name"], &provider["kind"]), (&json!("openai"), &json!("openai")));
    let limit = |limit: u64, left: u64| json!({"limit": limit, "left": left});
    let limits = json!({"requests_per_minute": null, "tokens_per_minute": null, "concurrency": limit(4, 3),
        "nano_usd_per_day": limit(50_000, 47_000)});
    assert_eq!(provider["limits"], limits);
    let (gpt, mini) = (&provider["models"][0], &provider["models"][1]);
    assert_eq!(gpt["limits"]["requests_per_minute"], limit(10, 7));
    assert_eq!(gpt["limits"]["tokens_per_minute"], limit(5_000, 4_800));
    let usage = json!({"requests": 3, "tokens": 200, "under_way": 1, "booked": 0, "spent_nano_usd": 2_000,
        "reserved_nano_usd": 1_000, "average_ms": 1_400});
    assert_eq!(gpt["usage"], usage);
    let state = |model: &Value| {
        ["breaker", "cooling_until", "reason", "calls_last_minute", "failures_last_minute", "priced"]
            .map(|field| model[field].clone())
    };
    assert_eq!(json!(state(gpt)), json!(["closed", null, null, 2, 1, true]));
    assert_eq!(json!(state(mini)), json!(["cooling", "2027-01-15T08:00:30.000Z", "rate_limited", 0, 0, false]));
}

#[tokio::test]
async fn an_open_breaker_is_shown_until_a_probe_has_closed_it() {
    let api = api().await;
    let breaker = async || api.get(ADMIN, "/providers").await.json()["providers"][0]["models"][0]["breaker"].clone();
    for _ in 0..5 {
        call(&api, &demand(|_| {}), |s| s.verdict = Verdict::Faulty).await;
    }
    assert_eq!(breaker().await, "open");
    api.redis.set_clock(START + 5_000);
    assert_eq!(breaker().await, "half_open");
    let probe = demand(|_| {});
    assert_eq!(api.store.reserve(&probe).await.unwrap(), Reserved::Granted { candidate: 0, probe: true });
    api.store.settle(&settlement(&probe, 0)).await.unwrap();
    assert_eq!(breaker().await, "closed");
}

#[tokio::test]
async fn usage_is_grouped_by_what_is_asked_and_a_workspace_sees_its_own() {
    let api = api().await;
    let usage = Usage { input: 50, cached_input: 20, output: 30, reasoning: 10, estimated: false };
    for (ws, provider, model) in [("a", "openai", "gpt"), ("a", "openai", "mini"), ("b", "grok", "g")] {
        let one = demand(|d| (d.workspace, d.candidates) = (workspace(ws), vec![candidate(provider, model)]));
        call(&api, &one, |s| (s.usage, s.nano_usd) = (usage, Some(70))).await;
    }
    api.redis.set_clock(START + 86_400_000);
    api.store.now().await.unwrap();
    call(&api, &demand(|d| d.workspace = workspace("b")), |s| (s.status, s.nano_usd) = ("timeout", None)).await;
    let names = |report: &Value| {
        let lines = report["lines"].as_array().unwrap().iter();
        lines.map(|line| format!("{} {}", line["name"].as_str().unwrap(), line["calls"])).collect::<Vec<_>>()
    };
    let both = "/usage?from=2027-01-15&to=2027-01-16";
    for (group, expected) in [
        ("workspace", vec!["a 2", "b 2"]),
        ("provider", vec!["grok 1", "openai 3"]),
        ("model", vec!["grok/g 1", "openai/gpt 2", "openai/mini 1"]),
    ] {
        let report = api.get(ADMIN, &format!("{both}&group_by={group}")).await.json();
        assert_eq!(names(&report), expected);
        assert_eq!(report["group_by"], group);
    }
    let first = api.get(ADMIN, "/usage?from=2027-01-15&to=2027-01-15&group_by=workspace").await.json();
    let line = json!({"name": "a", "calls": 2, "failed": 0, "input_tokens": 100, "cached_tokens": 40,
        "output_tokens": 60, "reasoning_tokens": 20, "nano_usd": 140, "estimated_calls": 0, "unpriced_calls": 0});
    assert_eq!((&first["lines"][0], &first["total"]["nano_usd"]), (&line, &json!(210)));
    let today = api.get(ADMIN, "/usage").await.json();
    assert_eq!((names(&today), &today["from"]), (vec!["openai/gpt 1".to_owned()], &json!("2027-01-16")));
    assert_eq!([&today["total"]["failed"], &today["total"]["unpriced_calls"]], [1, 1]);
    let own = api.key("b", &["jobs:read"]).await;
    assert_eq!(names(&api.get(&own, both).await.json()), ["grok/g 1", "openai/gpt 1"]);
    let named = api.request(Method::GET, both).bearer_auth(ADMIN).header("x-windlass-workspace", "a");
    assert_eq!(names(&send(named).await.json()), ["openai/gpt 1", "openai/mini 1"]);
}

#[tokio::test]
async fn a_report_that_cannot_be_made_is_refused() {
    let api = api().await;
    for query in
        ["from=2027-01-16", "from=2026-10-16&to=2027-01-15", "from=yesterday", "group_by=job", "to=2027-02-30", "day=1"]
    {
        assert_eq!(api.get(ADMIN, &format!("/usage?{query}")).await.code(), "invalid_query", "{query}");
    }
    assert_eq!(api.get(ADMIN, "/usage?from=2026-10-17&to=2027-01-15").await.status, 200);
}

#[tokio::test]
async fn a_workspace_is_given_limits_of_its_own_and_loses_them() {
    let api = api().await;
    let path = "/workspaces/ws/limits";
    let put = async |body: Value| send(api.request(Method::PUT, path).bearer_auth(ADMIN).json(&body)).await;
    let own = json!({"requests_per_minute": 1, "tokens_per_minute": null, "concurrency": null,
        "nano_usd_per_day": 1_000_000});
    assert_eq!(put(json!({"llm": own})).await.json()["llm"], own);
    let all = json!({"weight": 1, "max_running": null, "llm": own});
    assert_eq!(api.get(ADMIN, path).await.json(), all);
    call(&api, &demand(|_| {}), |_| {}).await;
    let waits = later(61_000, BlockKind::Requests, "workspace ws");
    assert_eq!(api.store.reserve(&demand(|d| d.workspace_default = requests(9))).await.unwrap(), waits);
    for (llm, pointer) in [
        (json!({"requests_per_minute": 0}), "/llm/requests_per_minute"),
        (json!({"usd_per_day": 1}), "/llm/usd_per_day"),
        (json!([]), "/llm"),
        (json!({"nano_usd_per_day": 1_000_000_000_000_001_u64}), "/llm/nano_usd_per_day"),
    ] {
        assert_eq!(put(json!({"llm": llm})).await.pointers(), [pointer]);
    }
    assert_eq!(api.get(ADMIN, path).await.json(), all, "a refusal changes nothing");
    assert_eq!(put(json!({})).await.json()["llm"], json!(null));
    call(&api, &demand(|d| d.workspace_default = requests(9)), |_| {}).await;
}
