//! `Prefer: wait=N` (RFC 7240): the client is ready to wait up to N seconds.

use std::time::Duration;

use http::HeaderMap;

/// The longest wait that is granted.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// How long an answer was held back because its client asked for that; goes with the response to the metrics, or a fleet
/// of patient clients would look like a slow server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waited(pub(super) Duration);

/// The wait asked for, at most [`LONGEST`]; `None` when there is no such preference or it is not
/// understood (RFC 7240 §2: unknown preferences are ignored).
pub(super) fn asked(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer");
    let mut preferences = values.iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    preferences.find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("wait") {
            return None;
        }
        let seconds: u64 = value.trim().trim_matches('"').parse().ok()?;
        Some(Duration::from_secs(seconds).min(LONGEST))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert("prefer", value.parse().expect("a header"));
        asked(&headers).map(|d| d.as_secs())
    }

    #[test]
    fn the_wait_is_found_and_capped() {
        assert_eq!(of("wait=30"), Some(30));
        assert_eq!(of("respond-async, Wait = \"5\"; x=y"), Some(5));
        assert_eq!(of("wait=100000"), Some(60));
    }

    #[test]
    fn nonsense_is_ignored() {
        for value in ["wait", "wait=", "wait=-1", "wait=1.5", "await=3", "wait=99999999999999999999"] {
            assert_eq!(of(value), None, "{value}");
        }
    }
}
