//! The documents say nothing that the code does not.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::tree::{File, exists, files, read, rust};

fn markdown() -> Vec<File> {
    files("").into_iter().filter(|f| f.is("md")).collect()
}

/// Lines inside code fences, and spans between single backticks outside of them.
fn code_spans(text: &str) -> Vec<&str> {
    let (mut spans, mut fenced) = (Vec::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            spans.push(line.trim());
        } else {
            spans.extend(line.split('`').skip(1).step_by(2));
        }
    }
    spans
}

#[test]
fn the_state_diagram_is_the_state_table() {
    let text = read("ARCHITECTURE.md");
    let drawn = text.split("```mermaid\n").skip(1).filter_map(|rest| rest.split("```").next());
    let expected = windlass::domain::diagram();
    let found = drawn.into_iter().any(|diagram| diagram.trim_end() == expected.trim_end());
    assert!(found, "put this into a mermaid block of ARCHITECTURE.md:\n{expected}");
}

#[test]
fn every_make_target_that_is_named_exists() {
    let makefile = read("Makefile");
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter(|l| !l.starts_with(['\t', '.', '#']))
        .filter_map(|l| l.split_once(':')?.0.into())
        .collect();
    let mut offenders = Vec::new();
    for file in markdown() {
        for span in code_spans(&file.text) {
            let Some(target) = span.strip_prefix("make ") else { continue };
            let target = target.split(|c: char| c.is_whitespace() || c == '#').next().unwrap_or_default();
            if !targets.contains(target) {
                offenders.push(format!("{}: make {target}", file.path));
            }
        }
    }
    assert_none("the Makefile has no such target:", &offenders);
}

/// Every guarantee of ARCHITECTURE.md names the tests that hold it, and these exist.
#[test]
fn every_guarantee_names_tests_that_exist() {
    if !exists("tests/it/main.rs") {
        return;
    }
    let mut source: String = rust("tests").into_iter().map(|f| f.text).collect();
    source.extend(rust("src").into_iter().map(|f| f.text));
    let text = read("ARCHITECTURE.md");
    let mut offenders = Vec::new();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| **G")).collect();
    assert!(rows.len() >= 10, "the table has {} rows", rows.len());
    for (number, row) in (1..).zip(rows) {
        let tests = row.trim_end().trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            offenders.push(format!("G{number} names no test"));
        }
        for name in names {
            if !source.contains(&format!("fn {name}(")) {
                offenders.push(format!("G{number}: no test `{name}`"));
            }
        }
    }
    assert_none("the table of guarantees in ARCHITECTURE.md:", &offenders);
}

/// As GitHub makes it: lower case, blanks to hyphens, other marks dropped.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_cause_of_waiting_leads_to_a_section_of_the_runbook_and_is_named_there() {
    let text = read("runbook.md");
    let anchors: BTreeSet<String> = text.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
    let mut offenders = Vec::new();
    for reason in windlass::domain::WaitReason::ALL {
        if !anchors.contains(reason.section()) {
            offenders.push(format!("{reason}: no section #{}", reason.section()));
        }
        if !text.contains(&format!("`{reason}`")) {
            offenders.push(format!("{reason}: not in the table of causes"));
        }
    }
    assert_none("runbook.md has to say what to do about:", &offenders);
    assert_eq!(anchor("### Stop the intake, or the work"), "stop-the-intake-or-the-work");
}

#[test]
fn the_files_of_a_project_are_there() {
    const FILES: &[&str] = &[
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "runbook.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "deny.toml",
    ];
    let missing: Vec<String> = FILES.iter().filter(|f| !exists(f)).map(|f| (*f).to_owned()).collect();
    assert_none("missing:", &missing);
}

#[test]
fn the_changelog_knows_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(read("CHANGELOG.md").contains(&format!("## [{version}]")), "CHANGELOG.md has no entry for {version}");
}
