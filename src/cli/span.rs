//! Lengths of time, as people type and read them.

use std::time::Duration;

use crate::domain::Timestamp;

/// `250ms`, `2s`, `5m`, `1h` or `1d`; a number alone is in seconds.
///
/// # Errors
/// A sentence, when it is none of these.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: u64 = match unit {
        "ms" => 1,
        "s" | "" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("must be a number with ms, s, m, h or d, such as 2s".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "must begin with a number, such as 2s".to_owned())?;
    number.checked_mul(factor).map(Duration::from_millis).ok_or_else(|| "is too long".to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_with_their_units() {
        for (text, ms) in [("250ms", 250), ("2s", 2000), ("2", 2000), ("5m", 300_000), ("1h", 3_600_000)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "s", "-1s", "1.5s", "2 s", "2w", "99999999999999999999s", "18446744073709551615d"] {
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
}
