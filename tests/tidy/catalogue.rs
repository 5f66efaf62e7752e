//! Metrics and error codes agree with what the documents say of them.

use std::collections::BTreeSet;

use windlass::metrics::{CATALOGUE, Kind};

use crate::assert_none;
use crate::tree::{exists, files, read, rust};

/// Beginnings of the names that are ours.
pub(crate) const OURS: &[&str] = &["ai_queue_", "http_request", "windlass_"];

/// The files in which a metric may be named.
fn documents() -> Vec<crate::tree::File> {
    let mut found = files("deploy");
    found.extend(files("").into_iter().filter(|f| f.is("md")));
    found
}

/// Whether a name, or its family when it is a series of a histogram, is catalogued.
fn is_catalogued(name: &str) -> bool {
    CATALOGUE.iter().any(|m| {
        let series = name.strip_prefix(m.name);
        series == Some("") || (m.kind == Kind::Histogram && matches!(series, Some("_bucket" | "_sum" | "_count")))
    })
}

#[test]
fn every_metric_that_is_named_exists() {
    let mut offenders = Vec::new();
    for file in documents() {
        for (number, line) in file.text.lines().enumerate() {
            for word in line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':') {
                let word = word.trim_matches(':');
                if OURS.iter().any(|start| word.starts_with(start)) && !word.ends_with('_') && !is_catalogued(word) {
                    offenders.push(format!("{}:{}: {word}", file.path, number + 1));
                }
            }
        }
    }
    assert_none("src/metrics.rs has no such metric:", &offenders);
}

/// A name that nobody emits makes a rule silent. Fleet families are rendered from the catalogue.
#[test]
fn every_catalogued_metric_is_emitted_somewhere() {
    if !exists("src/http") {
        return;
    }
    let source: String = rust("src").into_iter().filter(|f| f.path != "src/metrics.rs").map(|f| f.text).collect();
    let table = read("src/metrics.rs");
    let mut offenders = Vec::new();
    for metric in CATALOGUE {
        let row = table.lines().find(|l| l.contains(&format!("= \"{}\"", metric.name))).expect("a row");
        let constant = row.trim().split(' ').next().unwrap_or_default();
        let used = source.contains(&format!("metrics::{constant}"))
            || source.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == constant);
        if !used {
            offenders.push(format!("{} ({constant})", metric.name));
        }
    }
    assert_none("catalogued, yet nothing in src names it:", &offenders);
}

/// A rule that sums over API replicas counts each job once per replica.
#[test]
fn no_rule_sums_over_replicas_without_taking_the_maximum_first() {
    for file in files("deploy/prometheus") {
        for (at, _) in file.text.match_indices("sum(").chain(file.text.match_indices("sum (")) {
            let inner = file.text[at..].trim_start_matches("sum").trim_start_matches([' ', '(']);
            let fleet = OURS.iter().any(|start| inner.starts_with(start));
            assert!(!fleet, "{}: write sum(max by (queue) (…))", file.path);
        }
    }
}

#[test]
fn every_error_code_has_a_heading_in_the_runbook() {
    if !exists("src/api/problem.rs") {
        return;
    }
    let runbook = headings("runbook.md");
    let codes = error_codes(&read("src/api/problem.rs"));
    assert!(codes.len() >= 10, "the codes of src/api/problem.rs were not read: {codes:?}");
    let offenders: Vec<String> = codes.into_iter().filter(|code| !runbook.contains(code)).collect();
    assert_none("runbook.md has no heading for these error codes:", &offenders);
}

/// The codes of the table in the wire types: `Variant = 404 "not_found" "In words.",`.
fn error_codes(source: &str) -> BTreeSet<String> {
    let rows = source.lines().filter_map(|l| l.trim().split_once(" = "));
    rows.filter_map(|(_, row)| {
        let (status, rest) = row.split_once(" \"")?;
        let (code, _) = rest.split_once('"')?;
        (status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit())).then(|| code.to_owned())
    })
    .collect()
}

/// The headings of a document, without marks.
pub(crate) fn headings(path: &str) -> BTreeSet<String> {
    read(path)
        .lines()
        .filter(|l| l.starts_with('#'))
        .map(|l| l.trim_start_matches('#').trim().trim_matches('`').to_owned())
        .collect()
}

#[test]
fn error_codes_are_read_from_their_table() {
    let source = "#[serde(rename = \"type\")]\n    /// Gone.\n    NotFound = 404 \"not_found\" \"No such thing.\",";
    assert_eq!(error_codes(source).into_iter().collect::<Vec<_>>(), ["not_found"]);
}
