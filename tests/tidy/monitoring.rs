//! Alert rules, their cases, Alertmanager's settings and the dashboards name only what exists, and all of it.

use std::collections::BTreeSet;

use serde_json::Value;
use windlass::metrics::CATALOGUE;

use crate::assert_none;
use crate::catalogue::{OURS, headings};
use crate::tree::{files, read};

/// The files with rules.
const RULES: [&str; 3] = ["alerts.yml", "recording.yml", "slo.yml"];

/// Labels that Prometheus adds, or that recorded series have.
const ADDED: [&str; 5] = ["instance", "job", "le", "alertstate", "__name__"];

/// One alerting rule: its name and its lines.
struct Rule {
    alert: String,
    text: String,
}

fn rules() -> Vec<Rule> {
    let mut found = Vec::new();
    for name in RULES {
        let text = read(&format!("deploy/prometheus/{name}"));
        for rest in text.split("- alert: ").skip(1) {
            let end = rest.find("- record: ").unwrap_or(rest.len());
            let alert = rest.lines().next().unwrap_or_default().trim().to_owned();
            found.push(Rule { alert, text: rest[..end].to_owned() });
        }
    }
    assert!(found.len() >= 20, "the rules were not read");
    found
}

fn alerts() -> BTreeSet<String> {
    rules().into_iter().map(|rule| rule.alert).collect()
}

/// The names that rules record.
fn recorded() -> BTreeSet<String> {
    let texts = RULES.iter().map(|name| read(&format!("deploy/prometheus/{name}")));
    let names = texts.flat_map(|text| {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("- record: "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    });
    names.collect()
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do_in_a_section_that_exists() {
    let sections = headings("runbook.md");
    let mut offenders = Vec::new();
    for Rule { alert, text } in rules() {
        let has = |what: &str| text.contains(what);
        if !(has("severity: critical") || has("severity: warning")) {
            offenders.push(format!("{alert}: no severity"));
        }
        for part in ["summary: \"", "description: \""] {
            if !has(part) {
                offenders.push(format!("{alert}: no {part}"));
            }
        }
        if !has(&format!("runbook: \"runbook.md#{}\"", alert.to_lowercase())) {
            offenders.push(format!("{alert}: its runbook annotation does not lead to its own section"));
        }
        if !sections.contains(&alert) {
            offenders.push(format!("{alert}: runbook.md has no such heading"));
        }
    }
    assert_none("alert rules:", &offenders);
}

/// A rule that never fired in a test may never fire; one that was never quiet may always; and one whose series vanish
/// with a restart may do either.
#[test]
fn every_alert_has_cases_that_fire_stay_quiet_and_lose_their_series() {
    let (mut firing, mut quiet, mut vanishing) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for file in files("deploy/prometheus/tests") {
        for case in file.text.split("  - name: ").skip(1) {
            let gaps = case.contains("stale") || case.contains("_x");
            for check in case.split("- alertname: ").skip(1) {
                let name = check.lines().next().unwrap_or_default().trim().to_owned();
                if gaps {
                    vanishing.insert(name.clone());
                }
                let _ = if check.contains("exp_alerts: []") { quiet.insert(name) } else { firing.insert(name) };
            }
        }
    }
    let mut offenders = Vec::new();
    for (what, having) in [("fires", &firing), ("stays quiet", &quiet), ("loses its series", &vanishing)] {
        offenders.extend(alerts().difference(having).map(|alert| format!("{alert}: no case in which it {what}")));
    }
    offenders
        .extend(firing.union(&quiet).filter(|name| !alerts().contains(*name)).map(|name| format!("{name}: no rule")));
    assert_none("deploy/prometheus/tests:", &offenders);
}

#[test]
fn what_is_recorded_is_used_and_what_is_used_is_recorded() {
    let (known, mut used, mut offenders) = (recorded(), BTreeSet::new(), Vec::new());
    for file in files("deploy") {
        for line in file.text.lines().filter(|line| !line.contains("- record: ") && !line.trim().starts_with('#')) {
            for word in line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':') {
                if word.starts_with("windlass:") && word.matches(':').count() == 2 {
                    used.insert(word.to_owned());
                    if !known.contains(word) {
                        offenders.push(format!("{}: {word} is recorded nowhere", file.path));
                    }
                }
            }
        }
    }
    offenders.extend(known.difference(&used).map(|name| format!("{name} is recorded for nobody")));
    assert_none("recording rules:", &offenders);
}

/// A label that a metric does not have matches nothing, silently.
#[test]
fn queries_select_and_group_by_labels_that_exist() {
    let all: BTreeSet<&str> = CATALOGUE.iter().flat_map(|m| m.labels.iter().copied()).chain(ADDED).collect();
    let mut offenders = Vec::new();
    for (place, query) in queries() {
        for (metric, labels) in selectors(&query) {
            let row = CATALOGUE.iter().find(|m| {
                metric.strip_prefix(m.name).is_some_and(|rest| ["", "_bucket", "_count", "_sum"].contains(&rest))
            });
            let Some(row) = row else { continue };
            let foreign =
                labels.iter().filter(|label| !row.labels.contains(&label.as_str()) && !ADDED.contains(&label.as_str()));
            offenders.extend(foreign.map(|label| format!("{place}: {metric} has no label {label}")));
        }
        for group in query.split("by (").skip(1).chain(query.split("on (").skip(1)) {
            let labels = group.split(')').next().unwrap_or_default().split(',').map(str::trim);
            let foreign = labels.filter(|label| !label.is_empty() && !all.contains(label));
            offenders.extend(foreign.map(|label| format!("{place}: nothing has a label {label}")));
        }
    }
    assert_none("labels:", &offenders);
}

/// All queries: of rules, where a text is taken whole, and of dashboards.
fn queries() -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for name in RULES {
        let text = read(&format!("deploy/prometheus/{name}"));
        let lines = text.lines().filter(|line| !line.trim().starts_with('#') && !line.contains("summary:"));
        found.push((name.to_owned(), lines.collect::<Vec<_>>().join("\n")));
    }
    for (path, dashboard) in dashboards() {
        for target in targets(&dashboard) {
            found.push((path.clone(), target["expr"].as_str().unwrap_or_default().to_owned()));
        }
    }
    assert!(found.len() > 60, "the dashboards' queries were not read");
    found
}

/// Metrics with the labels in the braces behind them.
fn selectors(query: &str) -> Vec<(String, Vec<String>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    for (at, _) in query.match_indices('{') {
        let start = query[..at].rfind(|c| !is_name(c)).map_or(0, |before| before + 1);
        let name = &query[start..at];
        if !OURS.iter().any(|ours| name.starts_with(ours)) {
            continue;
        }
        // Values may hold braces: only what stands outside of quotes counts.
        let (mut outside, mut quoted) = (String::new(), false);
        for c in query[at + 1..].chars() {
            match c {
                '"' => quoted = !quoted,
                '}' if !quoted => break,
                c if !quoted => outside.push(c),
                _ => {}
            }
        }
        let labels = outside.split(',').map(|m| m.split(['=', '!', '~']).next().unwrap_or_default().trim().to_owned());
        found.push((name.to_owned(), labels.filter(|label| !label.is_empty()).collect()));
    }
    found
}

fn dashboards() -> Vec<(String, Value)> {
    let found = files("deploy/grafana/dashboards").into_iter().filter(|f| f.is("json"));
    found.map(|f| (f.path, serde_json::from_str(&f.text).expect("JSON"))).collect()
}

fn panels(dashboard: &Value) -> Vec<&Value> {
    let all = dashboard["panels"].as_array().expect("panels").iter();
    all.filter(|panel| panel["type"] != "row").collect()
}

fn targets(dashboard: &Value) -> Vec<&Value> {
    panels(dashboard).into_iter().filter_map(|panel| panel["targets"].as_array()).flatten().collect()
}

#[test]
fn dashboards_keep_their_address_and_every_panel_has_a_unit_and_the_chosen_source() {
    let uids: Vec<String> =
        dashboards().iter().map(|(_, d)| d["uid"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(uids, ["windlass-fleet", "windlass-llm", "windlass-queue", "windlass-slo"]);
    let mut offenders = Vec::new();
    for (path, dashboard) in dashboards() {
        let mut say = |bad: bool, what: &str| offenders.extend(bad.then(|| format!("{path}: {what}")));
        say(dashboard["schemaVersion"].as_u64() < Some(39), "an old schema");
        say(dashboard["templating"]["list"][0]["type"] != "datasource", "its first variable is no data source");
        let leads = dashboard["links"].as_array().expect("links").iter().any(|link| link["title"] == "Runbook");
        say(!leads, "no link to the runbook");
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap_or_default();
            say(panel["datasource"]["uid"] != "${datasource}", &format!("{title}: another data source"));
            let defaults = &panel["fieldConfig"]["defaults"];
            say(!defaults["unit"].is_string(), &format!("{title}: no unit"));
            say(panel["targets"].as_array().is_none_or(Vec::is_empty), &format!("{title}: no query"));
        }
    }
    assert_none("deploy/grafana/dashboards:", &offenders);
}

#[test]
fn alertmanager_names_only_alerts_that_exist() {
    let (text, known) = (read("deploy/alertmanager/alertmanager.yml"), alerts());
    let mut offenders = Vec::new();
    for rest in text.split("alertname").skip(1) {
        let Some(names) = rest.split('"').nth(1).filter(|_| rest.starts_with(['=', '!'])) else { continue };
        for name in names.split('|') {
            let matches = |alert: &String| match name.strip_suffix(".*") {
                Some(start) => alert.starts_with(start),
                None => alert == name,
            };
            if !known.iter().any(matches) {
                offenders.push(name.to_owned());
            }
        }
    }
    assert_none("no rule has these names:", &offenders);
}

#[test]
fn selectors_are_read_from_queries() {
    let query = "max(windlass_jobs{state=\"a}b\", queue=~\"$queue\"}) / up{job!=\"x\"}";
    let found = selectors(query);
    assert_eq!(found, [("windlass_jobs".to_owned(), vec!["state".to_owned(), "queue".to_owned()])]);
}
