//! Verbs `reserve` and `settle` against a naive model of limits, over random histories of two handles: bursts, calls
//! that use less than they asked for, workers that die, bookings that come in time, late or never.

mod history;
mod model;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use self::history::{History, Step};
use crate::support::calls::Bridge;

const CASES: u32 = 48;

/// Runs histories of one kind, each on an empty server whose clock begins anew.
fn check<S: Strategy>(steps: &S, run: impl AsyncFn(&mut History<'_>, S::Value)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bridge = runtime.block_on(Bridge::start());
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let outcome = TestRunner::new(config).run(steps, |steps| {
        bridge.redis.ask(&["FLUSHALL"]);
        bridge.at(0);
        runtime.block_on(async {
            let mut history = History::new(&bridge).await;
            run(&mut history, steps).await;
            history.end().await;
        });
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn random_histories_agree_with_the_model_and_never_exceed_a_limit() {
    check(&proptest::collection::vec(Step::any(), 30..=90), async |history, steps| {
        for step in &steps {
            history.take(step).await;
        }
    });
}

/// Tokens, milliseconds since the arrival before, and how much of what it asked for each call uses.
fn arrivals() -> impl Strategy<Value = Vec<(u64, i64, u64)>> {
    proptest::collection::vec((1..=100_u64, prop_oneof![3 => 0..200_i64, 1 => 0..9_000_i64], 0..=100_u64), 10..=60)
}

#[test]
fn every_booking_that_comes_in_time_begins_at_its_time() {
    check(&arrivals(), async |history, arrivals| {
        for (tokens, gap, percent) in arrivals {
            history.keep_bookings(history.now + gap, percent).await;
            history.arrive(tokens, percent).await;
        }
        history.keep_bookings(i64::MAX, 50).await;
    });
}
