//! docs/coming-from.md forgets no name that users of other systems know, and what it calls ours exists.

use std::collections::{BTreeMap, BTreeSet};

use clap::CommandFactory;
use windlass::cli::Cli;
use windlass::config::SETTINGS;
use windlass::metrics::CATALOGUE;

use crate::assert_none;
use crate::tree::{exists, files, read};

const PAGE: &str = "docs/coming-from.md";

/// Cells of the tables by heading: theirs, ours.
fn tables(text: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let (mut tables, mut heading) = (BTreeMap::<String, Vec<_>>::new(), String::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            name.clone_into(&mut heading);
        } else if line.starts_with('|') {
            let mut cells = line.split('|').skip(1).map(|cell| cell.trim().to_owned());
            let (theirs, ours) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
            tables.entry(heading.clone()).or_default().push((theirs, ours));
        }
    }
    tables
}

fn spans(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn no_name_that_others_know_is_forgotten() {
    let tables = tables(&read(PAGE));
    let names = read("tests/tidy/contract_names.txt");
    let (mut heading, mut count, mut offenders) = ("", 0, Vec::new());
    for line in names.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_prefix("## ") {
            Some(name) => heading = name,
            None if line.starts_with("# ") || heading.is_empty() => {}
            None => {
                count += 1;
                let rows = tables.get(heading).map(Vec::as_slice).unwrap_or_default();
                let is_there = |cell: &str| spans(cell).any(|span| span == line) || has_words(cell, line);
                if !rows.iter().any(|(theirs, _)| is_there(theirs)) {
                    offenders.push(format!("{heading}: {line}"));
                }
            }
        }
    }
    assert!(count > 200, "the list of names was read");
    assert_none("docs/coming-from.md has no row for these:", &offenders);
}

/// Whether a cell has these words outside of code.
fn has_words(cell: &str, words: &str) -> bool {
    cell.split('`').step_by(2).any(|text| text.contains(words))
}

/// Everything that can be ours.
struct Ours {
    verbs: BTreeSet<String>,
    openapi: serde_json::Value,
    alerts: String,
    /// Whatever else the project says: job types, keys, scopes, states, fields.
    text: String,
}

impl Ours {
    fn read() -> Self {
        let mut verbs = BTreeSet::new();
        verbs_of(&Cli::command(), &mut verbs);
        let text = ["src", "config", "ARCHITECTURE.md"].into_iter().flat_map(files_or_file).collect();
        let openapi = serde_json::from_str(&read("openapi.json")).expect("JSON");
        Self { verbs, openapi, alerts: read("deploy/prometheus/alerts.yml"), text }
    }

    fn have(&self, name: &str) -> bool {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if let Some((method, path)) = name.split_once(" /") {
            let operation = format!("/paths/{}/{}", format!("/{path}").replace('/', "~1"), method.to_lowercase());
            return self.openapi.pointer(&operation).is_some();
        }
        if name.starts_with("windlass ") {
            return self.verbs.contains(name);
        }
        if name.starts_with("deploy/")
            || name.ends_with(".md")
            || name.ends_with(".json")
            || name.starts_with(".github")
        {
            return exists(name);
        }
        let is_metric = ["ai_queue_", "http_request", "windlass_"].iter().any(|start| name.starts_with(start));
        let is_setting = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        let is_alert = name.chars().all(|c| c.is_ascii_alphanumeric()) && name.starts_with(|c: char| c.is_uppercase());
        match () {
            () if is_metric => CATALOGUE.iter().any(|metric| metric.name == name),
            () if is_setting => SETTINGS.iter().any(|setting| setting.env == name),
            () if is_alert => self.alerts.contains(&format!("alert: {name}\n")),
            () => {
                exists(name)
                    || self.text.match_indices(name).any(|(at, _)| {
                        let (before, after) = (self.text[..at].chars().next_back(), &self.text[at + name.len()..]);
                        !before.is_some_and(word) && !after.chars().next().is_some_and(word)
                    })
            }
        }
    }
}

fn files_or_file(path: &str) -> Vec<String> {
    if path.ends_with(".md") { vec![read(path)] } else { files(path).into_iter().map(|file| file.text).collect() }
}

fn verbs_of(command: &clap::Command, verbs: &mut BTreeSet<String>) {
    fn walk(command: &clap::Command, path: &str, verbs: &mut BTreeSet<String>) {
        for inner in command.get_subcommands() {
            let path = format!("{path} {}", inner.get_name());
            walk(inner, &path, verbs);
            verbs.insert(path);
        }
    }
    walk(command, "windlass", verbs);
}

#[test]
fn what_the_page_calls_ours_exists() {
    let (ours, mut offenders) = (Ours::read(), Vec::new());
    for (heading, rows) in tables(&read(PAGE)) {
        // Two lines are the table's head.
        for (_, cell) in rows.iter().filter(|(theirs, _)| !theirs.starts_with("---")) {
            let absent = spans(cell).filter(|name| !ours.have(name));
            offenders.extend(absent.map(|name| format!("{heading}: {name}")));
        }
    }
    assert_none("docs/coming-from.md calls these ours, and they are not there:", &offenders);
}

#[test]
fn names_are_looked_up_by_their_form() {
    let ours = Ours::read();
    let there = [
        "GET /ready",
        "POST /ai/jobs/{id}/cancel",
        "windlass jobs list",
        "REDIS_URL",
        "ai_queue_workers",
        "AIQueueDepthHigh",
        "gmail.send",
        "deploy/redis.conf",
        "ai:queue:pending",
    ];
    let absent = [
        "GET /nowhere",
        "POST /ready",
        "windlass jobs dance",
        "REDIS_URI",
        "ai_queue_worker",
        "AIQueueHigh",
        "gmail.sendall",
        "deploy/nothing.conf",
        "ai:queue:pendant",
    ];
    for name in there {
        assert!(ours.have(name), "{name}");
    }
    for name in absent {
        assert!(!ours.have(name), "{name}");
    }
}
