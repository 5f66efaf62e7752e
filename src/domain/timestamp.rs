//! A moment in milliseconds, written as RFC 3339 in UTC.

use std::fmt;
use std::time::Duration;

/// Milliseconds since the Unix epoch. The job engine takes "now" from Redis only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Not an RFC 3339 time with a zone between 1970 and 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 time with a zone, such as 2026-01-31T09:00:00.000Z")]
pub struct TimestampError;

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// Parses RFC 3339; any zone is accepted and becomes UTC, fractions below 1 ms are cut.
    ///
    /// # Errors
    /// When the text is no such time, or is before 1970.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let time: jiff::Timestamp = text.parse().map_err(|_| TimestampError)?;
        let ms = time.as_millisecond();
        (ms >= 0).then_some(Self(ms)).ok_or(TimestampError)
    }

    /// This moment plus `by`, saturating.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment less `by`; 1970 at the earliest.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)).max(0))
    }

    /// Time from `earlier` to this moment, zero when it lies after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_milliseconds_and_utc() {
        let time = Timestamp::parse("2026-01-31T10:00:00+01:00").map(|t| t.to_string());
        assert_eq!(time.as_deref(), Ok("2026-01-31T09:00:00.000Z"));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "2026-01-31", "2026-01-31T09:00:00", "1969-12-31T23:59:59Z", "tomorrow", "-1"] {
            assert!(Timestamp::parse(bad).is_err(), "{bad}");
        }
    }
}
