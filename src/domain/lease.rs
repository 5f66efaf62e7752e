//! The arithmetic of a lease: how long it lasts, when it is renewed, when its holder must stop.

use std::time::Duration;

/// How long a claim is good for and when it is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTiming {
    /// From claim or renewal to expiry.
    pub lease: Duration,
    /// Between renewals; at most a third of the lease, so that two may be lost.
    pub heartbeat: Duration,
    /// The holder aborts its handlers this long before the lease could end.
    pub margin: Duration,
}

/// A lease too short to be renewed in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a lease of {lease_ms} ms is too short: at least 500 ms are needed")]
pub struct LeaseTimingError {
    lease_ms: u128,
}

impl LeaseTiming {
    /// Timing for a lease: renewed every third of it, given up a sixth before its end.
    ///
    /// # Errors
    /// When the lease is shorter than 500 ms: one slow round trip would lose it.
    pub fn for_lease(lease: Duration) -> Result<Self, LeaseTimingError> {
        if lease < Duration::from_millis(500) {
            return Err(LeaseTimingError { lease_ms: lease.as_millis() });
        }
        Ok(Self { lease, heartbeat: lease / 3, margin: lease / 6 })
    }

    /// How long after the *sending* of the last successful renewal the holder may go on. Counted
    /// from sending, because Redis grants the lease no earlier than that.
    #[must_use]
    pub fn hold(&self) -> Duration {
        self.lease.saturating_sub(self.margin)
    }
}

impl Default for LeaseTiming {
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), heartbeat: Duration::from_secs(5), margin: Duration::from_millis(2500) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_renewals_may_be_lost() {
        let timing = LeaseTiming::default();
        assert!(timing.heartbeat * 2 < timing.hold());
        assert_eq!(LeaseTiming::for_lease(Duration::from_secs(15)), Ok(timing));
    }

    #[test]
    fn a_lease_below_half_a_second_is_refused() {
        assert!(LeaseTiming::for_lease(Duration::from_millis(499)).is_err());
    }
}
