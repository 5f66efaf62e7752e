//! Verb `reserve`: what begins, what never can, and what a repeat or a dead worker's job gets. `reserve_later` is about
//! what waits.

use std::time::Duration;

use windlass::domain::llm::{Block, BlockKind, Quota, Reserved};
use windlass::store::{Shards, StoreError};

use crate::support::audit::{Snapshot, refuses_wrong_types};
use crate::support::calls::{
    Bridge, DAY, a_day, at_once, candidate, demand, later, limited, requests, settlement, tokens,
};
use crate::support::jobs::workspace;

#[tokio::test]
async fn a_call_takes_its_share_of_provider_model_and_workspace() {
    let bridge = Bridge::start().await;
    bridge.begin(&demand(|_| {})).await;
    bridge.at(500);
    bridge.begin(&demand(|d| d.candidates[0].tokens = 7)).await;
    for scope in ["p:openai", "m:openai/gpt", "w:ws"] {
        assert_eq!(bridge.in_window(scope), (2, 107));
        assert_eq!(bridge.redis.cli_int(&["ZCARD", &format!("ai:llm:calls:{scope}")]), 2);
        assert_eq!(bridge.field(&format!("money:{DAY}:{scope}"), "reserved"), "2000");
    }
}

#[tokio::test]
async fn a_limit_of_each_scope_and_kind_stops_what_is_over_it() {
    let bridge = Bridge::start().await;
    let kinds = [
        (requests(2), BlockKind::Requests, 61_000),
        (tokens(250), BlockKind::Tokens, 61_000),
        (at_once(2), BlockKind::Concurrency, 1_000),
        (a_day(2_500), BlockKind::Budget, 16 * 3_600_000),
    ];
    for (n, (quota, kind, at)) in kinds.into_iter().enumerate() {
        for scope in ["provider", "model", "workspace"] {
            let name = format!("{scope}{n}");
            let one = || {
                demand(|d| {
                    d.candidates[0] = candidate(&name, "m");
                    d.workspace = workspace(&name);
                    match scope {
                        "provider" => d.candidates[0].provider = quota,
                        "model" => d.candidates[0].model = quota,
                        _ => d.workspace_default = quota,
                    }
                })
            };
            bridge.begin(&one()).await;
            bridge.begin(&one()).await;
            let whose = if scope == "model" { format!("model {name}/m") } else { format!("{scope} {name}") };
            assert_eq!(bridge.reserve(&one()).await, later(at, kind, &whose), "{scope} {kind:?}");
        }
    }
}

#[tokio::test]
async fn what_is_larger_than_a_whole_limit_of_every_candidate_is_refused_for_ever() {
    let bridge = Bridge::start().await;
    let cases = [
        (requests(0), BlockKind::Requests),
        (tokens(99), BlockKind::Tokens),
        (at_once(0), BlockKind::Concurrency),
        (a_day(999), BlockKind::Budget),
    ];
    for (quota, kind) in cases {
        let block = Block { whose: "provider openai".into(), kind };
        assert_eq!(bridge.reserve(&limited(quota)).await, Reserved::Never { block });
        let mut two = limited(quota);
        two.candidates.push(candidate("grok", "g"));
        assert_eq!(bridge.reserve(&two).await, Reserved::Granted { candidate: 1, probe: false });
    }
    bridge.begin(&limited(tokens(100))).await;
    let unpriced = demand(|d| (d.candidates[0].provider, d.candidates[0].nano_usd) = (a_day(0), 0));
    bridge.begin(&unpriced).await;
}

#[tokio::test]
async fn a_workspace_with_limits_of_its_own_does_not_have_the_defaults() {
    let bridge = Bridge::start().await;
    let one = || demand(|d| d.workspace_default = requests(1));
    bridge.store.set_llm_limits(&workspace("ws"), Some(requests(3))).await.unwrap();
    for _ in 0..3 {
        bridge.begin(&one()).await;
    }
    assert_eq!(bridge.reserve(&one()).await, later(61_000, BlockKind::Requests, "workspace ws"));
    bridge.store.set_llm_limits(&workspace("ws"), Some(Quota::default())).await.unwrap();
    bridge.begin(&one()).await;
    bridge.store.set_llm_limits(&workspace("ws"), None).await.unwrap();
    bridge.at(61_000);
    assert_eq!(bridge.reserve(&one()).await, later(122_000, BlockKind::Requests, "workspace ws"), "one was booked");
}

#[tokio::test]
async fn the_first_candidate_that_can_begin_is_granted() {
    let bridge = Bridge::start().await;
    let one = || {
        demand(|d| {
            d.candidates = ["a", "b", "c"].map(|name| candidate(name, "m")).to_vec();
            d.candidates[0].provider = requests(1);
            d.candidates[1].model = requests(2);
        })
    };
    for candidate in [0, 1, 1, 2, 2] {
        assert_eq!(bridge.reserve(&one()).await, Reserved::Granted { candidate, probe: false });
    }
}

#[tokio::test]
async fn a_repeat_of_a_granted_call_is_granted_again_and_counted_once() {
    let bridge = Bridge::start().await;
    let one = limited(requests(1));
    bridge.begin(&one).await;
    let before = Snapshot::take(&bridge.redis).contents();
    bridge.begin(&one).await;
    assert_eq!(Snapshot::take(&bridge.redis).contents(), before);
}

#[tokio::test]
async fn another_call_of_a_job_ends_the_first_as_that_of_a_dead_worker() {
    let bridge = Bridge::start().await;
    let mut one = demand(|d| d.candidates[0].provider = Quota { concurrency: Some(1), ..a_day(2_500) });
    bridge.begin(&one).await;
    one.call = "call-2".into();
    bridge.begin(&one).await;
    assert_eq!(bridge.in_window("p:openai"), (2, 200), "the first may have gone out");
    let money = format!("money:{DAY}:p:openai");
    assert_eq!(bridge.field(&money, "spent"), "1000", "and may have been billed");
    assert_eq!(bridge.field(&money, "reserved"), "1000");
    let usage = |figure: &str| bridge.field(&format!("usage:{DAY}"), &format!("ws\topenai\tgpt\t{figure}"));
    assert_eq!(["calls", "failed", "estimated", "nano_usd"].map(usage), ["1", "1", "1", "1000"]);
    one.call = "call-3".into();
    assert_eq!(bridge.reserve(&one).await, later(16 * 3_600_000, BlockKind::Budget, "provider openai"));
}

#[tokio::test]
async fn what_a_dead_worker_held_is_given_back_when_its_hold_ends() {
    let bridge = Bridge::start().await;
    let one = || demand(|d| (d.candidates[0].provider, d.hold) = (at_once(25), Duration::from_secs(10)));
    for _ in 0..25 {
        bridge.begin(&one()).await;
    }
    bridge.at(9_999);
    assert!(matches!(bridge.reserve(&one()).await, Reserved::Later { .. }));
    bridge.at(10_000);
    bridge.begin(&one()).await;
    assert_eq!(bridge.redis.cli_int(&["ZCARD", "ai:llm:holds"]), 6, "twenty at a time");
    bridge.begin(&one()).await;
    assert_eq!(bridge.redis.cli_int(&["HLEN", "ai:llm:reserved"]), 2);
    assert_eq!(bridge.redis.cli_int(&["ZCARD", "ai:llm:calls:p:openai"]), 2);
    let money = format!("money:{DAY}:w:ws");
    assert_eq!(["spent", "reserved"].map(|f| bridge.field(&money, f)), ["25000", "2000"]);
}

#[tokio::test]
async fn a_demand_that_is_none_is_refused() {
    let bridge = Bridge::start().await;
    let odd = [
        demand(|d| d.candidates.clear()),
        demand(|d| d.call = "".into()),
        demand(|d| d.candidates[0].target.model = "a\tb".into()),
    ];
    for one in odd {
        assert!(matches!(bridge.store.reserve(&one).await, Err(StoreError::Corrupt(_))));
    }
    assert_eq!(bridge.redis.cli(&["KEYS", "ai:llm:*"]), "");
}

#[tokio::test]
async fn limits_hold_over_all_handles_and_calls_at_once() {
    let bridge = Bridge::start().await;
    let handles = [bridge.redis.store().await, bridge.redis.store().await, bridge.store.clone()].map(Shards::from);
    let calls = (0..300).map(|n| {
        let handle = handles[n % 3].clone();
        async move { handle.reserve(&limited(requests(100))).await.unwrap() }
    });
    let answers = futures_util::future::join_all(calls).await;
    let granted = answers.iter().filter(|a| matches!(a, Reserved::Granted { .. })).count();
    let at = |ms| answers.iter().filter(|a| **a == later(ms, BlockKind::Requests, "provider openai")).count();
    assert_eq!((granted, at(61_000), at(122_000)), (100, 100, 100));
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let bridge = Bridge::start().await;
    let (mut one, two) = (demand(|d| d.hold = Duration::from_secs(1)), limited(requests(2)));
    bridge.begin(&one).await;
    bridge.begin(&two).await;
    bridge.store.set_llm_limits(&workspace("ws"), Some(Quota::default())).await.unwrap();
    for n in 0..5 {
        let failing = demand(|d| d.call = format!("f{n}").into());
        bridge.begin(&failing).await;
        bridge.store.settle(&settlement(&failing, 0)).await.unwrap();
    }
    bridge.at(2_000);
    one.call = "call-2".into();
    let scopes = ["p:openai", "m:openai/gpt", "w:ws"];
    let of = |what: &str| scopes.map(|scope| format!("ai:llm:{what}{scope}"));
    let mut keys = [of("rate:"), of("calls:"), of(&format!("money:{DAY}:"))].concat();
    keys.extend(["reserved", "holds", "limits", "breaker:openai/gpt"].map(|key| format!("ai:llm:{key}")));
    keys.push(format!("ai:llm:usage:{DAY}"));
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    refuses_wrong_types(&bridge.redis, &keys, async || bridge.store.reserve(&one).await).await;
}
