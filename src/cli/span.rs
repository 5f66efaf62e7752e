//! Lengths of time, as people type and read them.

use std::time::Duration;

use crate::clock;
use crate::domain::{LONGEST_AGE, Timestamp, parse_age};

/// As [`parse_age`] reads it (`2s`, `5m`, `1d12h`); also `250ms`, and a number alone, which is in seconds.
///
/// # Errors
/// A sentence, when it is none of these.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let whole = |number: &str| number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse().ok()).flatten();
    let length = match text.strip_suffix("ms") {
        Some(number) => whole(number).map(Duration::from_millis),
        None => whole(text).map(Duration::from_secs).or_else(|| parse_age(text).ok()),
    };
    length
        .filter(|length| *length <= LONGEST_AGE)
        .ok_or_else(|| "must be a time such as 250ms, 90s, 10m, 2h or 1d12h, at most ten years".to_owned())
}

/// The largest unit that says it: `900ms`, `12s`, `7m`, `5h`, `3d`.
pub(super) fn brief(span: Duration) -> String {
    match span.as_secs() {
        0 => format!("{}ms", span.as_millis()),
        seconds @ 1..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// A moment as seen from `now`: `just now`, `2m ago`, `in 5m`. The clocks of two machines differ: what is less than a
/// second away is now.
pub(super) fn relative(moment: Timestamp, now: Timestamp) -> String {
    let (past, future) = (now.since(moment), moment.since(now));
    match (past.as_secs(), future.as_secs()) {
        (0, 0) => "just now".to_owned(),
        (0, _) => format!("in {}", brief(future)),
        _ => format!("{} ago", brief(past)),
    }
}

/// A moment in RFC 3339 as people say it, seen from now; any other text stays as it is.
pub(super) fn ago(text: &str) -> String {
    Timestamp::parse(text).map_or_else(|_| text.to_owned(), |moment| relative(moment, clock::wall()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_with_their_units() {
        for (text, ms) in [("250ms", 250), ("2s", 2000), ("2", 2000), ("5m", 300_000), ("1h30m", 5_400_000)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "s", "ms", "-1s", "+1", "1.5s", "2 s", "5m2", "99999999999999999999s", "18446744073709551615ms"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn moments_are_told_from_now() {
        let at = Timestamp::from_unix_ms;
        let now = at(10_000_000);
        let told = [10_000_500, 9_940_000, 10_300_000, 1_000].map(|ms| relative(at(ms), now));
        assert_eq!(told, ["just now", "60s ago", "in 5m", "2h ago"]);
        assert_eq!(brief(Duration::from_secs(3 * 86_400)), "3d");
    }

    #[test]
    fn only_a_whole_text_that_is_a_moment_becomes_an_age() {
        assert!(ago("1970-01-01T00:00:00.000Z").ends_with("d ago"));
        for text in ["at 1970-01-01T00:00:00.000Z", "12", "-"] {
            assert_eq!(ago(text), text);
        }
    }
}
