//! Verb `settle`: the breaker of a target, which `reserve` goes by.

use std::time::Duration;

use windlass::domain::llm::{BlockKind, Demand, Reserved, Verdict};

use crate::support::calls::{Bridge, candidate, demand, later};

const WHOSE: &str = "model openai/gpt";

/// Calls with these verdicts, begun and ended now.
async fn calls(bridge: &Bridge, verdicts: &[Verdict]) {
    for verdict in verdicts {
        let one = demand(|_| {});
        bridge.begin(&one).await;
        end(bridge, &one, *verdict).await;
    }
}

async fn end(bridge: &Bridge, one: &Demand, verdict: Verdict) {
    let status = if verdict == Verdict::Good { "ok" } else { "timeout" };
    bridge.settle(one, |s| (s.verdict, s.status) = (verdict, status)).await;
}

/// Begins the probe.
async fn probe(bridge: &Bridge) -> Demand {
    let one = demand(|_| {});
    assert_eq!(bridge.reserve(&one).await, Reserved::Granted { candidate: 0, probe: true });
    one
}

async fn waits_until(bridge: &Bridge, ms: i64) {
    assert_eq!(bridge.reserve(&demand(|_| {})).await, later(ms, BlockKind::Cooling, WHOSE));
}

#[tokio::test]
async fn it_opens_when_half_of_at_least_five_calls_of_a_minute_failed() {
    use Verdict::{Faulty, Good, Neutral};
    let bridge = Bridge::start().await;
    calls(&bridge, &[Faulty, Faulty, Neutral, Neutral, Good, Good, Good, Faulty]).await;
    waits_until(&bridge, 5_000).await;
    assert_eq!(bridge.field("breaker:openai/gpt", "why"), "timeout");
    // Four are not enough, however faulty.
    let other = Bridge::start().await;
    calls(&other, &[Faulty; 4]).await;
    other.begin(&demand(|_| {})).await;
}

#[tokio::test]
async fn calls_of_more_than_a_minute_ago_do_not_count() {
    let bridge = Bridge::start().await;
    calls(&bridge, &[Verdict::Faulty; 4]).await;
    bridge.at(65_000);
    calls(&bridge, &[Verdict::Faulty; 4]).await;
    bridge.begin(&demand(|_| {})).await;
    bridge.at(124_999);
    calls(&bridge, &[Verdict::Faulty]).await;
    waits_until(&bridge, 129_999).await;
}

#[tokio::test]
async fn after_the_cooldown_one_call_is_the_probe_and_a_good_one_closes_it() {
    let bridge = Bridge::start().await;
    calls(&bridge, &[Verdict::Faulty; 5]).await;
    bridge.at(4_999);
    waits_until(&bridge, 5_000).await;
    bridge.at(5_000);
    let first = probe(&bridge).await;
    for _ in 0..3 {
        waits_until(&bridge, 10_000).await;
    }
    end(&bridge, &first, Verdict::Good).await;
    calls(&bridge, &[Verdict::Good, Verdict::Faulty]).await;
    bridge.begin(&demand(|_| {})).await;
}

#[tokio::test]
async fn each_failed_probe_doubles_the_cooldown_up_to_five_minutes() {
    let bridge = Bridge::start().await;
    calls(&bridge, &[Verdict::Faulty; 5]).await;
    let mut now = 5_000;
    for cool in [10, 20, 40, 80, 160, 300, 300] {
        bridge.at(now);
        let one = probe(&bridge).await;
        end(&bridge, &one, Verdict::Faulty).await;
        now += cool * 1_000;
        waits_until(&bridge, now).await;
    }
    bridge.at(now);
    let one = probe(&bridge).await;
    end(&bridge, &one, Verdict::Good).await;
    bridge.at(now + 5_000);
    calls(&bridge, &[Verdict::Faulty; 5]).await;
    waits_until(&bridge, now + 10_000).await;
}

#[tokio::test]
async fn a_probe_that_says_nothing_or_dies_leaves_its_turn_to_another() {
    let bridge = Bridge::start().await;
    calls(&bridge, &[Verdict::Faulty; 5]).await;
    bridge.at(5_000);
    let one = probe(&bridge).await;
    end(&bridge, &one, Verdict::Neutral).await;
    let dead = probe(&bridge).await;
    bridge.at(124_999);
    waits_until(&bridge, 129_999).await;
    bridge.at(125_000);
    let next = probe(&bridge).await;
    // The dead one comes back: it is the probe no more, and settles nothing.
    end(&bridge, &dead, Verdict::Good).await;
    waits_until(&bridge, 130_000).await;
    end(&bridge, &next, Verdict::Good).await;
    bridge.begin(&demand(|_| {})).await;
}

#[tokio::test]
async fn a_call_that_began_before_it_opened_neither_closes_nor_prolongs_it() {
    let bridge = Bridge::start().await;
    let (good, faulty) = (demand(|_| {}), demand(|_| {}));
    bridge.begin(&good).await;
    bridge.begin(&faulty).await;
    calls(&bridge, &[Verdict::Faulty; 5]).await;
    bridge.at(2_000);
    end(&bridge, &good, Verdict::Good).await;
    end(&bridge, &faulty, Verdict::Faulty).await;
    waits_until(&bridge, 5_000).await;
}

#[tokio::test]
async fn a_provider_that_asks_for_patience_is_left_alone_that_long_without_a_probe() {
    let bridge = Bridge::start().await;
    let (one, two, three) = (demand(|_| {}), demand(|_| {}), demand(|_| {}));
    for call in [&one, &two, &three] {
        bridge.begin(call).await;
    }
    end(&bridge, &one, Verdict::Cool(Duration::from_secs(90))).await;
    end(&bridge, &two, Verdict::Cool(Duration::from_secs(9))).await;
    waits_until(&bridge, 90_000).await;
    bridge.at(90_000);
    end(&bridge, &three, Verdict::Cool(Duration::from_secs(1_000_000))).await;
    waits_until(&bridge, 90_000 + 86_400_000).await;
    bridge.at(90_000 + 86_400_000);
    bridge.begin(&demand(|_| {})).await;
}

#[tokio::test]
async fn a_cooling_target_is_passed_over_and_with_all_cooling_the_earliest_is_waited_for() {
    let bridge = Bridge::start().await;
    let both = || demand(|d| d.candidates.push(candidate("grok", "g")));
    let first = demand(|_| {});
    bridge.begin(&first).await;
    end(&bridge, &first, Verdict::Cool(Duration::from_secs(30))).await;
    let second = both();
    assert_eq!(bridge.reserve(&second).await, Reserved::Granted { candidate: 1, probe: false });
    end(&bridge, &second, Verdict::Good).await;
    let third = demand(|d| d.candidates = vec![candidate("grok", "g")]);
    bridge.begin(&third).await;
    end(&bridge, &third, Verdict::Cool(Duration::from_secs(20))).await;
    assert_eq!(bridge.reserve(&both()).await, later(20_000, BlockKind::Cooling, "model grok/g"));
    assert_eq!(bridge.field("rate:p:grok", "br"), "0", "nothing is booked");
    bridge.at(20_000);
    assert_eq!(bridge.reserve(&both()).await, Reserved::Granted { candidate: 1, probe: false });
}
