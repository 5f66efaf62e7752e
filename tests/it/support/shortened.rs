//! Prometheus and Alertmanager settings in which time passes faster.
//!
//! Every duration of a file is divided by the same number, and nothing else is touched. With the intervals of scrapes and
//! evaluations, and the lookback, divided by it as well, a rule sees as many samples in its range, holds for as many
//! evaluations and waits for as long in relation to everything else as the committed one does in production. What is
//! not scaled are numbers that rules compare with, and what happens inside Windlass (leases, the patience with a
//! deaf loop): these take their own time, so thresholds in seconds are not reached sooner.

/// A text with every duration (`15s`, `[5m]`, `for: 10m`) divided by `factor`, in milliseconds; a range of less would be
/// nothing. A digit within a name (`rate5m`) begins none.
pub(crate) fn shortened(text: &str, factor: u64) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        if digits > 0
            && !before.is_some_and(is_word)
            && let Some((unit, ms)) = unit(&rest[digits..])
        {
            let count: u64 = rest[..digits].parse().expect("digits");
            out.push_str(&format!("{}ms", count * ms / factor));
            rest = &rest[digits + unit.len()..];
            before = Some('s');
            continue;
        }
        let taken = if digits > 0 { digits } else { c.len_utf8() };
        out.push_str(&rest[..taken]);
        before = rest[..taken].chars().next_back();
        rest = &rest[taken..];
    }
    out
}

/// The durations of a text in milliseconds, and the text without them.
pub(crate) fn durations(text: &str) -> (Vec<u64>, String) {
    let marked = shortened(text, 1);
    let (mut found, mut left, mut rest) = (Vec::new(), String::new(), marked.as_str());
    while let Some(end) = rest.find("ms") {
        let start = rest[..end].rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
        left.push_str(&rest[..start]);
        match rest[start..end].parse() {
            Ok(ms) => found.push(ms),
            Err(_) => left.push_str("ms"),
        }
        rest = &rest[end + 2..];
    }
    left.push_str(rest);
    (found, left)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.' | '-')
}

/// The unit that a text begins with, and its milliseconds.
fn unit(text: &str) -> Option<(&'static str, u64)> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)].into_iter();
    units.into_iter().find(|(unit, _)| {
        let after = text.strip_prefix(unit);
        after.is_some_and(|after| !after.chars().next().is_some_and(is_word))
    })
}
