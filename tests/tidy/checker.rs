//! The checker of chaos runs shares nothing with what it checks.

use crate::assert_none;
use crate::tree::{code, rust};

/// What its sources may name before a `::`, beside its own modules.
const ALLOWED: &[&str] = &["std", "serde_json"];
/// The same of its tests.
const ALLOWED_IN_TESTS: &[&str] = &["std", "serde_json", "tempfile"];

/// The first segment of a `use`.
fn imported(line: &str) -> Option<&str> {
    let rest = line.trim_start().trim_start_matches("pub(crate) ").strip_prefix("use ")?;
    rest.split([':', ';', ' ']).next()
}

#[test]
fn the_checker_shares_nothing_with_the_engine() {
    let mut offenders = Vec::new();
    let files = rust("tests/chaos/checker");
    assert!(files.len() > 5, "the checker is in tests/chaos/checker");
    for file in files {
        let of_tests = file.path.contains("/checker/tests/");
        let allowed = if of_tests { ALLOWED_IN_TESTS } else { ALLOWED };
        let own: Vec<String> = rust("tests/chaos/checker").iter().map(|f| f.stem().to_owned()).collect();
        for (at, line) in code(&file.text).lines().enumerate() {
            let head = imported(line);
            let foreign = head.filter(|head| {
                !matches!(*head, "super" | "self")
                    && !allowed.contains(head)
                    && !own.iter().any(|module| module == head)
            });
            // A path outside of a `use` would do as well.
            if foreign.is_some() || line.contains("windlass") || line.contains("crate::") {
                offenders.push(format!("{}:{}: {}", file.path, at + 1, line.trim()));
            }
        }
    }
    assert_none("the checker knows std and serde_json only, so that a mistake has to be made twice:", &offenders);
}
