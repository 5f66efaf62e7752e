//! How fast an operation goes.

use std::time::Duration;

use crate::clock::Instant;

/// Jobs of one step at most: a millisecond or two of Redis. With 50 the slowest of a million jobs' steps took 7 ms on a quiet
/// machine and 16 to 41 on a busy one (`make operations`).
const MOST: u32 = 25;

/// Steps of a second, while they are smaller than [`MOST`].
const STEPS: u32 = 10;

/// A step whose longest call takes longer, its way included, makes the next one wait. A busy Redis answers within less.
const SLOW: Duration = Duration::from_millis(50);

/// Times that what was slow is waited for.
const REST: u32 = 2;

/// The longest wait for what was slow.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// Keeps an operation at its rate, and below it while Redis is slow.
#[derive(Debug)]
pub(super) struct Pace {
    rate: u32,
    /// When the next step may begin.
    next: Instant,
}

impl Pace {
    pub(super) fn new(rate: u32, now: Instant) -> Self {
        Self { rate: rate.max(1), next: now }
    }

    /// Another rate, from the next step on.
    pub(super) fn set_rate(&mut self, rate: u32) {
        self.rate = rate.max(1);
    }

    /// Jobs of the next step: a tenth of a second's.
    pub(super) fn step(&self) -> usize {
        usize::try_from((self.rate / STEPS).clamp(1, MOST)).unwrap_or(1)
    }

    /// A step changed so many jobs and took so long; returns when the next one may begin. What was not used is lost, so
    /// that there is no burst after a pause.
    pub(super) fn made(&mut self, changed: u64, took: Duration, now: Instant) -> Instant {
        let due = Duration::from_secs_f64(cast(changed) / f64::from(self.rate));
        let rest = if took > SLOW { (took * REST).min(LONGEST_REST) } else { Duration::ZERO };
        let begun = now.checked_sub(took).unwrap_or(now);
        self.next = (self.next.max(begun) + due).max(now + rest);
        self.next
    }
}

#[expect(clippy::cast_precision_loss, reason = "a step changes a few dozen jobs")]
fn cast(changed: u64) -> f64 {
    changed as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const QUICK: Duration = Duration::from_millis(1);

    #[test]
    fn a_second_has_as_many_jobs_as_the_rate_and_small_steps() {
        for (rate, step) in [(1, 1), (9, 1), (50, 5), (2_000, 25), (100_000, 25)] {
            let start = clock::now();
            let (mut pace, mut now, mut jobs) = (Pace::new(rate, start), start, 0);
            assert_eq!(pace.step(), step);
            while now < start + Duration::from_secs(1) {
                jobs += step;
                now = pace.made(step as u64, QUICK, now + QUICK).max(now + QUICK);
            }
            let most = rate as usize + step;
            assert!(jobs <= most && (jobs + step >= rate as usize || rate > 90_000), "{rate}/s made {jobs}");
        }
    }

    #[test]
    fn what_was_not_used_is_no_burst_later() {
        let start = clock::now();
        let mut pace = Pace::new(10, start);
        let later = start + Duration::from_secs(60);
        let next = pace.made(1, QUICK, later);
        assert!(next >= later + Duration::from_millis(98), "{:?}", next - later);
    }

    #[test]
    fn a_slow_redis_is_left_alone_for_longer_than_it_took() {
        let start = clock::now();
        let mut pace = Pace::new(100_000, start);
        let now = start + Duration::from_millis(100);
        assert_eq!(pace.made(100, Duration::from_millis(100), now), now + Duration::from_millis(200));
    }
}
