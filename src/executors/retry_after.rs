//! How long a peer asks to be left alone.

use std::time::Duration;

use http::HeaderMap;

use crate::domain::{RetryPolicy, Timestamp};

/// The shortest wait that is honoured: a peer that says 0 still gets a breath.
const SHORTEST: Duration = Duration::from_secs(1);

/// The wait named by `retry-after-ms` or `retry-after` (seconds, a fraction of them, or an
/// HTTP-date), between 1 s and [`RetryPolicy::RETRY_AFTER_LIMIT`]. `None` when absent or not
/// understood: some providers send `-1`.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    let wait = text("retry-after-ms")
        .and_then(|ms| seconds(ms, 1e-3))
        .or_else(|| text("retry-after").and_then(|value| seconds(value, 1.0).or_else(|| until(value, now))))?;
    Some(wait.clamp(SHORTEST, RetryPolicy::RETRY_AFTER_LIMIT))
}

fn seconds(text: &str, unit: f64) -> Option<Duration> {
    let number: f64 = text.parse().ok().filter(|n: &f64| *n >= 0.0)?;
    // Too large for a Duration (or infinite) means "very long", which the caller clamps.
    Some(Duration::try_from_secs_f64(number * unit).unwrap_or(Duration::MAX))
}

fn until(text: &str, now: Timestamp) -> Option<Duration> {
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Timestamp::from_unix_ms(at.as_millisecond()).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&'static str, &'static str)]) -> Option<f64> {
        let headers = pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect();
        let now = Timestamp::parse("2026-01-31T09:00:00Z").unwrap();
        retry_after(&headers, now).map(|d| d.as_secs_f64())
    }

    #[test]
    fn seconds_fractions_and_milliseconds_are_understood() {
        assert_eq!(parse(&[("retry-after", "2")]), Some(2.0));
        assert_eq!(parse(&[("retry-after", "1.5")]), Some(1.5));
        assert_eq!(parse(&[("retry-after-ms", "2500"), ("retry-after", "9")]), Some(2.5));
    }

    #[test]
    fn an_http_date_counts_from_now() {
        assert_eq!(parse(&[("retry-after", "Sat, 31 Jan 2026 09:00:30 GMT")]), Some(30.0));
        assert_eq!(parse(&[("retry-after", "Sat, 31 Jan 2026 08:00:00 GMT")]), Some(1.0));
    }

    #[test]
    fn waits_are_clamped() {
        assert_eq!(parse(&[("retry-after", "0")]), Some(1.0));
        assert_eq!(parse(&[("retry-after", "86400")]), Some(900.0));
        assert_eq!(parse(&[("retry-after", "1e400")]), Some(900.0));
    }

    #[test]
    fn nonsense_is_absent() {
        for text in ["-1", "", "soon", "NaN", "1h", "Sat, 99 Jan 2026 09:00:30 GMT"] {
            assert_eq!(parse(&[("retry-after", text)]), None, "{text:?}");
        }
        assert_eq!(parse(&[("retry-after-ms", "-1"), ("retry-after", "3")]), Some(3.0));
        assert_eq!(parse(&[]), None);
    }
}
