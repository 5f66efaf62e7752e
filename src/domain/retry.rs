//! How long a failed attempt waits before the next one.

use std::time::Duration;

/// A source of numbers in `[0, 1)`; tests pass a constant.
pub type Rng01<'a> = &'a mut dyn FnMut() -> f64;

/// Exponential backoff with full jitter: attempt *n* waits a random time in
/// `[0, min(cap, base · 2ⁿ⁻¹)]`. Full jitter spreads a crowd of retries best at equal load
/// (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in total, the first included; at least 1.
    pub max_attempts: u32,
    /// Upper end of the first wait.
    pub base: Duration,
    /// Upper end of every wait.
    pub cap: Duration,
}

impl RetryPolicy {
    /// The longest `Retry-After` that is honoured in full; a longer one is clamped to it.
    pub const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(15 * 60);

    /// The wait after the `attempt`-th failed attempt (1-based). `retry_after` is a floor, clamped
    /// to [`Self::RETRY_AFTER_LIMIT`]; jitter is added above it so that a crowd told the same
    /// second does not return as one.
    #[must_use]
    pub fn delay(&self, attempt: u32, retry_after: Option<Duration>, rng: Rng01<'_>) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let ceiling = self.base.saturating_mul(1 << doublings).min(self.cap);
        let jitter = ceiling.mul_f64(rng().clamp(0.0, 1.0));
        match retry_after {
            Some(floor) => floor.min(Self::RETRY_AFTER_LIMIT) + jitter.min(ceiling / 4),
            None => jitter,
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_attempts: 3, base: Duration::from_secs(2), cap: Duration::from_secs(300) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy { max_attempts: 5, base: Duration::from_secs(1), cap: Duration::from_secs(10) }
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let waits: Vec<u64> = (1..=6).map(|n| policy().delay(n, None, &mut || 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn retry_after_is_a_clamped_floor() {
        let wait = policy().delay(1, Some(Duration::from_secs(30)), &mut || 0.0);
        assert_eq!(wait, Duration::from_secs(30));
        let wait = policy().delay(1, Some(Duration::from_secs(86_400)), &mut || 0.0);
        assert_eq!(wait, RetryPolicy::RETRY_AFTER_LIMIT);
    }

    #[test]
    fn huge_attempt_numbers_do_not_overflow() {
        assert_eq!(policy().delay(u32::MAX, None, &mut || 1.0), Duration::from_secs(10));
    }
}
