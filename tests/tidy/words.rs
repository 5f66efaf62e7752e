//! Words and marks that must not appear.

use crate::assert_none;
use crate::tree::{File, code, files, rust};

/// Text reduced to words: lower case, and whatever may stand between two words of one sentence in
/// prose, comments and Markdown becomes one blank.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_whitespace() || matches!(c, '/' | '!' | '*' | '_' | '-' | '>' | '#' | '|') {
            if !out.ends_with(' ') {
                out.push(' ');
            }
        } else {
            out.extend(c.to_lowercase());
        }
    }
    out
}

#[test]
fn nothing_claims_a_delivery_guarantee_that_no_queue_can_give() {
    let claim = ["exactly", "once"].join(" ");
    let offenders: Vec<String> = files("")
        .iter()
        .filter(|f| f.is("md") || f.is("rs") || f.is("lua") || f.is("yml") || f.is("toml"))
        .filter(|f| plain(&f.text).contains(&claim))
        .map(|f| f.path.clone())
        .collect();
    assert_none("delivery is at-least-once and effects are guarded; say that:", &offenders);
}

#[test]
fn tests_wait_for_events_and_never_sleep() {
    let call = ["sleep", "("].concat();
    // The chaos harness lets time pass on purpose; its pauses have one home.
    let homes = ["tests/it/support/", "tests/chaos/pace.rs"];
    let offenders = marked(rust("tests").iter().filter(|f| !homes.iter().any(|home| f.path.starts_with(home))), &call);
    assert_none("wait for an event (tests/it/support has waiters):", &offenders);
}

#[test]
fn no_test_is_ignored() {
    let mark = ["#[", "ignore"].concat();
    let mut all = rust("tests");
    all.extend(rust("src"));
    assert_none("a test runs or does not exist:", &marked(all.iter(), &mark));
}

#[test]
fn no_file_names_a_place_on_one_machine() {
    let places = [["/wo", "rk/"].concat(), ["/ro", "ot/"].concat()];
    let mut offenders = Vec::new();
    for file in files("") {
        for (number, line) in file.text.lines().enumerate() {
            let hit = places.iter().any(|place| {
                line.match_indices(place.as_str()).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}'))
                })
            });
            if hit {
                offenders.push(format!("{}:{}", file.path, number + 1));
            }
        }
    }
    assert_none("a path that exists on one machine only:", &offenders);
}

#[test]
fn nothing_is_left_to_be_done() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X"].concat()];
    let mut offenders = Vec::new();
    for file in files("").iter().filter(|f| f.path != "Cargo.lock") {
        for (number, line) in file.text.lines().enumerate() {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.into_iter().any(|word| marks.iter().any(|mark| mark == word)) {
                offenders.push(format!("{}:{}", file.path, number + 1));
            }
        }
    }
    assert_none("finish it or open an issue:", &offenders);
}

/// Every line of code (comments and literals aside) on which `mark` starts a word.
fn marked<'a>(files: impl Iterator<Item = &'a File>, mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (number, line) in code(&file.text).lines().enumerate() {
            let hit = line.match_indices(mark).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            });
            if hit {
                found.push(format!("{}:{}", file.path, number + 1));
            }
        }
    }
    found
}

#[test]
fn a_claim_is_found_across_comment_lines() {
    let split = format!("/// runs {}\n/// {}", "Exactly", "once");
    assert!(plain(&split).contains(&["exactly", "once"].join(" ")));
}
