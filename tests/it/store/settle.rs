//! Verb `settle`: what a call used counts, once. `settle_breaker` is about what it says of its target.

use std::time::Duration;

use windlass::domain::llm::{BlockKind, Quota, Reserved, Usage, Verdict};

use crate::support::audit::{Snapshot, assert_no_leak, refuses_wrong_types};
use crate::support::calls::{Bridge, DAY, a_day, candidate, demand, later, limited, requests, settlement, tokens};
use crate::support::jobs::workspace;

fn used(n: u64) -> Usage {
    Usage { input: n, ..Usage::default() }
}

#[tokio::test]
async fn tokens_that_were_not_used_are_given_back_to_the_cell_of_their_call() {
    let bridge = Bridge::start().await;
    let one = || limited(tokens(100));
    let first = one();
    bridge.begin(&first).await;
    bridge.at(5_000);
    bridge.settle(&first, |s| s.usage = used(30)).await;
    for scope in ["p:openai", "m:openai/gpt", "w:ws"] {
        assert_eq!(bridge.in_window(scope), (1, 30));
    }
    let mut small = one();
    small.candidates[0].tokens = 70;
    bridge.begin(&small).await;
    assert_eq!(bridge.in_window("p:openai"), (2, 100));
    assert_eq!(bridge.field("rate:p:openai", "1800000000"), "1 30");
    assert_eq!(bridge.reserve(&one()).await, later(66_000, BlockKind::Tokens, "provider openai"));
}

#[tokio::test]
async fn a_call_that_used_more_than_it_asked_for_counts_in_full() {
    let bridge = Bridge::start().await;
    let first = limited(tokens(150));
    bridge.begin(&first).await;
    bridge.settle(&first, |s| (s.usage, s.nano_usd) = (used(160), Some(4_000))).await;
    assert_eq!(bridge.in_window("p:openai"), (1, 160));
    assert_eq!(bridge.reserve(&limited(tokens(150))).await, later(61_000, BlockKind::Tokens, "provider openai"));
    assert_eq!(bridge.field(&format!("money:{DAY}:p:openai"), "spent"), "4000");
}

#[tokio::test]
async fn a_cell_that_left_the_window_is_not_brought_back() {
    let bridge = Bridge::start().await;
    let first = limited(tokens(150));
    bridge.begin(&first).await;
    bridge.at(61_000);
    bridge.settle(&first, |s| s.usage = used(120)).await;
    assert_eq!(bridge.in_window("p:openai"), (0, 0));
    assert_eq!(bridge.field("rate:p:openai", "1800000000"), "");
}

#[tokio::test]
async fn money_moves_from_reserved_to_spent_in_the_day_the_call_began() {
    let bridge = Bridge::start().await;
    let midnight = 16 * 3_600_000;
    bridge.at(midnight - 1);
    let (priced, unpriced) = (limited(a_day(1_900)), demand(|d| d.candidates[0].nano_usd = 0));
    bridge.begin(&priced).await;
    bridge.begin(&unpriced).await;
    bridge.at(midnight + 1);
    bridge.settle(&priced, |s| s.nano_usd = Some(700)).await;
    bridge.settle(&unpriced, |s| s.nano_usd = None).await;
    for scope in ["p:openai", "m:openai/gpt", "w:ws"] {
        let money = format!("money:{DAY}:{scope}");
        assert_eq!(["spent", "reserved"].map(|f| bridge.field(&money, f)), ["700", "0"]);
    }
    assert_eq!(bridge.redis.cli(&["KEYS", &format!("ai:llm:money:{}:*", DAY + 1)]), "");
    bridge.begin(&limited(a_day(1_000))).await;
}

#[tokio::test]
async fn only_the_call_that_holds_the_reservation_counts_and_only_once() {
    let bridge = Bridge::start().await;
    let first = demand(|_| {});
    let mut second = first.clone();
    second.call = "call-2".into();
    bridge.settle(&first, |_| {}).await;
    assert_eq!(bridge.redis.cli(&["KEYS", "ai:llm:*"]), "", "nothing was reserved");
    bridge.begin(&first).await;
    bridge.begin(&second).await;
    let before = Snapshot::take(&bridge.redis).contents();
    bridge.settle(&first, |s| s.usage = used(1)).await;
    assert_eq!(Snapshot::take(&bridge.redis).contents(), before, "a late one was counted as a dead worker's");
    bridge.settle(&second, |_| {}).await;
    let before = Snapshot::take(&bridge.redis).contents();
    bridge.settle(&second, |_| {}).await;
    assert_eq!(Snapshot::take(&bridge.redis).contents(), before, "a repeat");
    let waiting = limited(requests(2));
    bridge.reserve(&waiting).await;
    let before = Snapshot::take(&bridge.redis).contents();
    bridge.settle(&waiting, |_| {}).await;
    assert_eq!(Snapshot::take(&bridge.redis).contents(), before, "a booking is no call");
}

#[tokio::test]
async fn what_the_provider_says_is_left_lowers_the_room_and_never_raises_it() {
    let bridge = Bridge::start().await;
    let one = || {
        demand(|d| {
            d.candidates[0].model =
                Quota { requests_per_minute: Some(10), tokens_per_minute: Some(2_000), ..Quota::default() };
        })
    };
    let (first, second) = (one(), one());
    bridge.begin(&first).await;
    bridge.begin(&second).await;
    bridge.settle(&first, |s| s.remaining = (Some(9), Some(5_000))).await;
    assert_eq!(bridge.in_window("m:openai/gpt"), (2, 200));
    bridge.at(10_000);
    bridge.settle(&second, |s| s.remaining = (Some(1), Some(1_500))).await;
    assert_eq!(bridge.in_window("m:openai/gpt"), (9, 500));
    assert_eq!(bridge.in_window("p:openai"), (2, 200));
    bridge.begin(&one()).await;
    assert_eq!(bridge.reserve(&one()).await, later(61_000, BlockKind::Requests, "model openai/gpt"));
}

#[tokio::test]
async fn the_figures_are_the_providers_where_no_model_is_limited() {
    let bridge = Bridge::start().await;
    let first = limited(requests(10));
    bridge.begin(&first).await;
    bridge.settle(&first, |s| s.remaining = (Some(0), None)).await;
    assert_eq!(bridge.in_window("p:openai"), (10, 100));
    assert_eq!(bridge.in_window("m:openai/gpt"), (1, 100));
}

#[tokio::test]
async fn the_ledger_has_every_figure_of_every_call() {
    let bridge = Bridge::start().await;
    let usage = Usage { input: 50, cached_input: 20, output: 30, reasoning: 10, estimated: false };
    for (status, estimated, cost) in [("ok", false, Some(400)), ("timeout", true, None), ("ok", false, Some(0))] {
        let one = demand(|_| {});
        bridge.begin(&one).await;
        bridge
            .settle(&one, |s| {
                (s.status, s.nano_usd, s.usage) = (status, cost, Usage { estimated, ..usage });
            })
            .await;
    }
    let refused = demand(|d| d.candidates = vec![candidate("grok", "g")]);
    bridge.begin(&refused).await;
    bridge.settle(&refused, |s| (s.status, s.usage, s.nano_usd) = ("rate_limited", used(0), Some(0))).await;
    let key = format!("ai:llm:usage:{DAY}");
    let text = bridge.redis.ask(&["HGETALL", &key]);
    let lines: Vec<&str> = text.lines().collect();
    let mut figures: Vec<String> = lines.chunks(2).map(|pair| format!("{} {}", pair[0], pair[1])).collect();
    figures.sort();
    let expected = [
        "ws\tgrok\tg\tcalls 1",
        "ws\tgrok\tg\tfailed 1",
        "ws\topenai\tgpt\tcached 60",
        "ws\topenai\tgpt\tcalls 3",
        "ws\topenai\tgpt\testimated 1",
        "ws\topenai\tgpt\tfailed 1",
        "ws\topenai\tgpt\tinput 150",
        "ws\topenai\tgpt\tnano_usd 400",
        "ws\topenai\tgpt\toutput 90",
        "ws\topenai\tgpt\treasoning 30",
        "ws\topenai\tgpt\tunpriced 1",
    ];
    assert_eq!(figures, expected);
    let ttl = bridge.redis.cli_int(&["TTL", &key]);
    assert_eq!(ttl, 90 * 86_400);
}

#[tokio::test]
async fn a_full_ledger_counts_new_models_as_other_and_old_ones_on() {
    let bridge = Bridge::start().await;
    let known = demand(|_| {});
    bridge.begin(&known).await;
    bridge.settle(&known, |_| {}).await;
    let key = format!("ai:llm:usage:{DAY}");
    bridge.redis.ask(&["EVAL", "for i = 1, 20000 do redis.call('HSET', KEYS[1], i, 1) end", "1", &key]);
    for model in ["gpt", "new", "newer"] {
        let one = demand(|d| d.candidates = vec![candidate("openai", model)]);
        bridge.begin(&one).await;
        bridge.settle(&one, |_| {}).await;
    }
    let calls = |model: &str| bridge.field(&format!("usage:{DAY}"), &format!("ws\topenai\t{model}\tcalls"));
    assert_eq!(["gpt", "new", "newer", "other"].map(calls), ["2", "", "", "2"]);
}

#[tokio::test]
async fn nothing_is_left_of_calls_but_what_runs_out_by_itself() {
    let bridge = Bridge::start().await;
    for n in 0..5 {
        let one = demand(|d| d.workspace = workspace(&format!("ws{n}")));
        bridge.begin(&one).await;
        bridge.settle(&one, |s| s.took = Duration::from_secs(2)).await;
    }
    let booked = limited(requests(5));
    assert!(matches!(bridge.reserve(&booked).await, Reserved::Later { .. }));
    bridge.at(122_000);
    let last = demand(|_| {});
    bridge.begin(&last).await;
    bridge.settle(&last, |s| s.verdict = Verdict::Faulty).await;
    assert_no_leak(&bridge.redis);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let bridge = Bridge::start().await;
    for n in 0..5 {
        let failing = demand(|d| d.call = format!("f{n}").into());
        bridge.begin(&failing).await;
        bridge.settle(&failing, |_| {}).await;
    }
    let one = demand(|_| {});
    bridge.begin(&one).await;
    let scopes = ["p:openai", "m:openai/gpt", "w:ws"];
    let of = |what: &str| scopes.map(|scope| format!("ai:llm:{what}{scope}"));
    let mut keys = [of("rate:"), of("calls:"), of(&format!("money:{DAY}:"))].concat();
    keys.extend(["reserved", "holds", "breaker:openai/gpt"].map(|key| format!("ai:llm:{key}")));
    keys.push(format!("ai:llm:usage:{DAY}"));
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    refuses_wrong_types(&bridge.redis, &keys, async || bridge.store.settle(&settlement(&one, 0)).await).await;
}
