//! Verb `reserve`: bookings, and what else waits.

use std::collections::BTreeMap;
use std::time::Duration;

use windlass::domain::llm::{BlockKind, Demand, Quota, Reserved};

use crate::support::audit::Snapshot;
use crate::support::calls::{Bridge, DAY, START, a_day, at_once, candidate, demand, later, limited, requests, tokens};

const WHOSE: &str = "provider openai";

#[tokio::test]
async fn a_booking_is_answered_again_and_begins_at_its_time_without_another_debit() {
    let bridge = Bridge::start().await;
    bridge.begin(&limited(requests(1))).await;
    let mut waiting = limited(requests(1));
    bridge.at(10_000);
    let answer = later(61_000, BlockKind::Requests, WHOSE);
    assert_eq!(bridge.reserve(&waiting).await, answer);
    let before = Snapshot::take(&bridge.redis).contents();
    waiting.call = "call-2".into();
    assert_eq!(bridge.reserve(&waiting).await, answer);
    assert_eq!(Snapshot::take(&bridge.redis).contents(), before, "asking early changes nothing");
    bridge.at(60_949);
    assert_eq!(bridge.reserve(&waiting).await, answer);
    bridge.at(61_000);
    bridge.begin(&waiting).await;
    assert_eq!(bridge.in_window("p:openai"), (1, 100));
    assert_eq!(["br", "bt"].map(|f| bridge.field("rate:p:openai", f)), ["0", "0"]);
    assert_eq!(bridge.field(&format!("money:{DAY}:p:openai"), "reserved"), "2000");
    bridge.begin(&waiting).await;
    assert_eq!(bridge.in_window("p:openai"), (1, 100), "a repeat");
}

/// Clocks of the shards of a cluster differ a little, and jobs come by those.
#[tokio::test]
async fn who_comes_a_moment_early_begins_only_if_the_minute_has_room() {
    let bridge = Bridge::start().await;
    bridge.begin(&limited(requests(1))).await;
    let waiting = limited(requests(1));
    bridge.reserve(&waiting).await;
    bridge.at(60_960);
    assert_eq!(bridge.reserve(&waiting).await, later(61_000, BlockKind::Requests, WHOSE));
    bridge.at(61_000);
    bridge.begin(&waiting).await;
}

#[tokio::test]
async fn bookings_follow_each_other_a_minute_apart() {
    let bridge = Bridge::start().await;
    let one = || limited(Quota { requests_per_minute: Some(2), tokens_per_minute: Some(1_000), ..Quota::default() });
    bridge.begin(&one()).await;
    bridge.at(20_000);
    bridge.begin(&one()).await;
    for at in [61_000, 81_000, 122_000, 142_000] {
        assert_eq!(bridge.reserve(&one()).await, later(at, BlockKind::Requests, WHOSE));
    }
    let large = limited(tokens(1_000));
    let large = Demand {
        candidates: vec![windlass::domain::llm::Candidate { tokens: 900, ..large.candidates[0].clone() }],
        ..large
    };
    assert_eq!(bridge.reserve(&large).await, later(183_000, BlockKind::Tokens, WHOSE), "100 at 122 leave it at 183");
}

#[tokio::test]
async fn who_has_no_booking_leaves_every_booking_its_room() {
    let bridge = Bridge::start().await;
    let of = |n: u64| {
        let mut one = limited(tokens(100));
        one.candidates[0].tokens = n;
        one
    };
    bridge.begin(&of(50)).await;
    let booked = of(60);
    assert_eq!(bridge.reserve(&booked).await, later(61_000, BlockKind::Tokens, WHOSE));
    bridge.at(30_000);
    // There are 50 left now, and only 40 of them until the booking has left the window.
    assert_eq!(bridge.reserve(&of(45)).await, later(122_000, BlockKind::Tokens, WHOSE));
    bridge.begin(&of(40)).await;
    bridge.at(61_000);
    bridge.begin(&booked).await;
    assert_eq!(bridge.in_window("p:openai"), (2, 100));
}

#[tokio::test]
async fn who_comes_late_begins_and_those_behind_wait_the_longer() {
    let bridge = Bridge::start().await;
    bridge.begin(&limited(requests(1))).await;
    let (first, second) = (limited(requests(1)), limited(requests(1)));
    assert_eq!(bridge.reserve(&first).await, later(61_000, BlockKind::Requests, WHOSE));
    assert_eq!(bridge.reserve(&second).await, later(122_000, BlockKind::Requests, WHOSE));
    bridge.at(66_400);
    bridge.begin(&first).await;
    bridge.at(122_000);
    assert_eq!(bridge.reserve(&second).await, later(127_000, BlockKind::Requests, WHOSE));
    bridge.at(127_000);
    bridge.begin(&second).await;
}

#[tokio::test]
async fn a_booking_that_never_comes_is_given_back_whole() {
    let bridge = Bridge::start().await;
    bridge.begin(&limited(requests(1))).await;
    let (gone, next) = (limited(requests(1)), limited(requests(1)));
    bridge.reserve(&gone).await;
    bridge.at(121_999);
    assert_eq!(bridge.reserve(&next).await, later(122_000, BlockKind::Requests, WHOSE));
    bridge.at(122_000);
    bridge.begin(&next).await;
    assert_eq!(["br", "bt"].map(|f| bridge.field("rate:w:ws", f)), ["0", "0"]);
    let money = format!("money:{DAY}:w:ws");
    assert_eq!(["spent", "reserved"].map(|f| bridge.field(&money, f)), ["1000", "1000"], "of the first and the last");
    assert_eq!(bridge.redis.cli_int(&["HLEN", "ai:llm:reserved"]), 1);
}

#[tokio::test]
async fn a_booking_goes_when_its_target_is_no_candidate_any_more() {
    let bridge = Bridge::start().await;
    bridge.begin(&limited(requests(1))).await;
    let mut waiting = limited(requests(1));
    bridge.reserve(&waiting).await;
    waiting.candidates = vec![candidate("grok", "g")];
    bridge.begin(&waiting).await;
    assert_eq!(bridge.field("rate:p:openai", "br"), "0");
}

#[tokio::test]
async fn the_candidate_with_the_earliest_time_is_booked() {
    let bridge = Bridge::start().await;
    let one = || {
        demand(|d| {
            d.candidates.push(candidate("grok", "g"));
            d.candidates[0].provider = requests(1);
            d.candidates[1].provider = requests(1);
        })
    };
    bridge.begin(&demand(|d| d.candidates = vec![candidate("grok", "g")])).await;
    bridge.at(7_000);
    bridge.begin(&one()).await;
    assert_eq!(bridge.reserve(&one()).await, later(61_000, BlockKind::Requests, "provider grok"));
    assert_eq!(bridge.reserve(&one()).await, later(68_000, BlockKind::Requests, WHOSE));
}

#[tokio::test]
async fn nobody_books_further_ahead_than_an_hour() {
    let bridge = Bridge::start().await;
    for n in 0..60 {
        let answer = bridge.reserve(&limited(requests(1))).await;
        assert!(n == 0 || answer == later(n * 61_000, BlockKind::Requests, WHOSE), "{n}: {answer:?}");
    }
    for _ in 0..20 {
        let Reserved::Later { at, block } = bridge.reserve(&limited(requests(1))).await else { panic!("no time") };
        assert_eq!(block.kind, BlockKind::Requests);
        assert!((3_600_000..4_200_000).contains(&(at.unix_ms() - START)), "{at}");
    }
    assert_eq!(bridge.field("rate:p:openai", "br"), "59");
    assert_eq!(bridge.redis.cli_int(&["HLEN", "ai:llm:reserved"]), 60);
}

#[tokio::test]
async fn a_full_scope_gives_out_turns_as_far_apart_as_calls_end() {
    let bridge = Bridge::start().await;
    let one = || limited(at_once(2));
    for took in [4_000, 4_000] {
        let done = one();
        bridge.begin(&done).await;
        bridge.settle(&done, |s| s.took = Duration::from_millis(took)).await;
    }
    let open = one();
    bridge.begin(&open).await;
    bridge.begin(&one()).await;
    let waiting = one();
    assert_eq!(bridge.reserve(&waiting).await, later(2_000, BlockKind::Concurrency, WHOSE));
    for at in [4_000, 6_000] {
        assert_eq!(bridge.reserve(&one()).await, later(at, BlockKind::Concurrency, WHOSE));
    }
    for _ in 0..100 {
        let Reserved::Later { at, .. } = bridge.reserve(&one()).await else { panic!("it is full") };
        assert!((8_000..=30_000).contains(&(at.unix_ms() - START)), "{at}");
    }
    assert_eq!(bridge.in_window("p:openai"), (4, 400), "nothing is booked");
    bridge.settle(&open, |_| {}).await;
    bridge.begin(&waiting).await;
}

#[tokio::test]
async fn a_booking_whose_time_came_keeps_its_place_while_calls_at_once_are_full() {
    let bridge = Bridge::start().await;
    let one = || limited(Quota { concurrency: Some(1), ..requests(1) });
    let open = one();
    bridge.begin(&open).await;
    let waiting = one();
    assert_eq!(bridge.reserve(&waiting).await, later(61_000, BlockKind::Requests, WHOSE));
    assert_eq!(bridge.reserve(&one()).await, later(122_000, BlockKind::Requests, WHOSE));
    bridge.at(61_000);
    assert_eq!(bridge.reserve(&waiting).await, later(63_000, BlockKind::Concurrency, WHOSE));
    bridge.settle(&open, |_| {}).await;
    bridge.at(63_000);
    bridge.begin(&waiting).await;
}

#[tokio::test]
async fn a_spent_budget_waits_for_midnight_utc_and_a_booking_counts_for_its_day() {
    let bridge = Bridge::start().await;
    let midnight = 16 * 3_600_000;
    let one = || limited(Quota { requests_per_minute: Some(1), ..a_day(2_000) });
    bridge.at(midnight - 30_000);
    bridge.begin(&one()).await;
    let waiting = one();
    assert_eq!(bridge.reserve(&waiting).await, later(midnight + 31_000, BlockKind::Requests, WHOSE));
    bridge.at(midnight - 10_000);
    let small = limited(a_day(1_999));
    assert_eq!(bridge.reserve(&small).await, later(midnight, BlockKind::Budget, WHOSE));
    let tomorrow = format!("money:{}:p:openai", DAY + 1);
    assert_eq!(bridge.field(&tomorrow, "reserved"), "1000");
    bridge.at(midnight + 31_000);
    bridge.begin(&waiting).await;
    assert_eq!(bridge.field(&tomorrow, "reserved"), "1000");
}

#[tokio::test]
async fn ten_thousand_that_wait_are_booked_once_each_and_asking_again_changes_nothing() {
    let bridge = Bridge::start().await;
    let all: Vec<Demand> = (0..10_000).map(|_| limited(requests(200))).collect();
    let round = async || {
        let mut answers = Vec::new();
        for part in all.chunks(100) {
            answers.extend(futures_util::future::join_all(part.iter().map(|one| bridge.reserve(one))).await);
        }
        answers
    };
    let first = round().await;
    let mut times: BTreeMap<i64, usize> = BTreeMap::new();
    for answer in &first {
        let at = match answer {
            Reserved::Granted { .. } => 0,
            Reserved::Later { at, .. } => at.unix_ms() - START,
            Reserved::Never { .. } => panic!("{answer:?}"),
        };
        *times.entry(at).or_default() += 1;
    }
    let expected: BTreeMap<i64, usize> = (0..50).map(|n| (n * 61_000, 200)).collect();
    assert_eq!(times, expected);
    let before = Snapshot::take(&bridge.redis).contents();
    assert_eq!(round().await, first);
    assert_eq!(Snapshot::take(&bridge.redis).contents(), before);
}
