//! An audit line that does not say who is none.

use crate::assert_none;
use crate::tree::files;

/// The arguments of every line of the audit log, with where they stand.
fn lines(path: &str, text: &str) -> Vec<(String, String)> {
    let starts = ["target: AUDIT,", "target: crate::domain::AUDIT,"];
    let found = starts.iter().flat_map(|start| text.match_indices(start));
    let place = |at: usize| format!("{path}:{}", text[..at].lines().count());
    found.map(|(at, _)| (place(at), text[at..].split(");").next().unwrap_or_default().to_owned())).collect()
}

#[test]
fn every_line_of_the_audit_log_says_who() {
    let all: Vec<_> = files("src").into_iter().flat_map(|file| lines(&file.path, &file.text)).collect();
    assert!(all.len() >= 18, "the audit lines were not read: {all:?}");
    let says = |line: &str| [" by,", " by =", "\nby,", "by, "].iter().any(|by| line.contains(by));
    let mute = all.iter().filter(|(_, line)| !says(line)).map(|(place, line)| format!("{place}: {line}"));
    assert_none("audit lines need `by`, the name of who did it:", &mute.collect::<Vec<_>>());
}
