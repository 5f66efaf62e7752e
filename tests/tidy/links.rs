//! Every link inside the project leads somewhere, its anchor too.

use std::collections::{BTreeMap, BTreeSet};

use crate::assert_none;
use crate::tree::{files, read, root};

/// The anchors that a renderer makes of a document's headings: lower case, punctuation gone, blanks as dashes, a number
/// behind a repeated one.
fn anchors(text: &str) -> BTreeSet<String> {
    let (mut found, mut seen, mut fenced) = (BTreeSet::new(), BTreeMap::<String, usize>::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced || !line.starts_with('#') {
            continue;
        }
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let count = seen.entry(slug.clone()).or_default();
        found.insert(if *count == 0 { slug } else { format!("{slug}-{count}") });
        *count += 1;
    }
    found
}

/// Targets of links, outside of code.
fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for prose in text.split("\n```").step_by(2) {
        found.extend(prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
    }
    found
}

#[test]
fn links_inside_the_project_lead_somewhere() {
    let mut offenders = Vec::new();
    for file in files("").iter().filter(|file| file.is("md")) {
        for target in links(&file.text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let whole = if path.is_empty() { root().join(&file.path) } else { root().join(folder).join(path) };
            if !whole.exists() {
                offenders.push(format!("{}: {target}", file.path));
            } else if let Some(anchor) = anchor
                && whole.extension().is_some_and(|extension| extension == "md")
                && !anchors(&std::fs::read_to_string(&whole).unwrap_or_default()).contains(anchor)
            {
                offenders.push(format!("{}: {target}: no such heading", file.path));
            }
        }
    }
    assert_none("dead links:", &offenders);
}

/// Alerts name the section of the runbook that they are about.
#[test]
fn sections_of_the_runbook_that_rules_name_exist() {
    let anchors = anchors(&read("runbook.md"));
    let mut offenders = Vec::new();
    for file in files("deploy") {
        for rest in file.text.split("runbook.md#").skip(1) {
            let anchor: String = rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect();
            if !anchor.is_empty() && !anchors.contains(&anchor) {
                offenders.push(format!("{}: runbook.md#{anchor}", file.path));
            }
        }
    }
    assert_none("runbook.md has no such heading:", &offenders);
}

#[test]
fn anchors_are_those_of_a_renderer() {
    let text =
        "# High error rate on /ai/jobs\n## Paged at 3 a.m.\n### redis_full\n```sh\n# no heading\n```\n# `Two`\n# Two\n";
    let expected = ["high-error-rate-on-aijobs", "paged-at-3-am", "redis_full", "two", "two-1"];
    assert_eq!(anchors(text).into_iter().collect::<Vec<_>>(), expected);
}
