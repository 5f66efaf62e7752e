//! The one home of the process clock.
//!
//! Leases, schedules and retention use Redis `TIME` only. The clocks here measure durations inside
//! one process, and stamp logs and outgoing signatures.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::Timestamp;

/// Monotonic time; honours tokio's paused clock in tests.
pub use tokio::time::Instant;

/// The wall clock of this machine. Never decides about a lease, a schedule or a retention.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one home of the wall clock")]
pub fn wall() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_unix_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// The same in nanoseconds since the Unix epoch, for spans of traces.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one home of the wall clock")]
pub fn unix_nanos() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

/// Monotonic now.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one home of the monotonic clock")]
pub fn now() -> Instant {
    Instant::now()
}
