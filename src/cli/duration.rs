//! Lengths of time as people type and read them.

use std::time::Duration;

/// Reads `90s`, `10m`, `2h` or `1d`; a bare number is seconds.
pub(super) fn parse(text: &str) -> Result<Duration, &'static str> {
    let wrong = "must be a number with s, m, h or d, such as 90s or 10m";
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong)?;
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong),
    };
    number.checked_mul(unit).map(Duration::from_secs).ok_or(wrong)
}

/// A length as people say it, in one unit.
pub(super) fn say(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_with_their_unit() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86_400), ("5", 5)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "m", "-1s", "1.5h", "10 m", "3w", "99999999999999999999s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
