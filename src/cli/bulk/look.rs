//! What a dry run found, in words.

use std::time::Duration;

use indicatif::{HumanCount, HumanDuration};

use crate::api::filter::FilterView;
use crate::api::operation::{DEFAULT_RATE, PreviewView};
use crate::cli::output::{clean, render};
use crate::domain::OperationAction;

/// The count, the groups, a sample, and what will happen.
pub(super) fn describe(found: &PreviewView, rate: Option<u32>) -> String {
    let mut lines = vec![format!("{} {}", found.action, filter(&found.filter))];
    if found.matched == 0 {
        lines.push("no job matches: there is nothing to do".to_owned());
        return lines.join("\n");
    }
    let row = |group: &crate::api::operation::PreviewGroupView| {
        let (queue, job_type, state) = (group.queue.clone(), group.job_type.clone(), group.state.clone());
        vec![HumanCount(group.count).to_string(), queue, job_type, state]
    };
    lines.push(render(&["COUNT", "QUEUE", "TYPE", "STATE"], found.groups.iter().map(row).collect()));
    lines.extend(workspaces(found).map(|of| format!("workspaces: {of}")));
    lines.push(format!("some of them: {}", clean(&found.sample.join(" "))));
    lines.push(sentence(found, rate.unwrap_or(DEFAULT_RATE)));
    lines.join("\n")
}

/// `acme 40, globex 2, and 7 more`; nothing where they were not counted.
pub(in crate::cli) fn workspaces(found: &PreviewView) -> Option<String> {
    let mut all: Vec<String> =
        found.workspaces.iter().map(|of| format!("{} {}", clean(&of.workspace), HumanCount(of.count))).collect();
    let counted: u64 = found.workspaces.iter().map(|of| of.count).sum();
    match found.other_workspaces {
        0 if all.is_empty() => return None,
        0 if counted < found.matched => all.push(format!("of {} looked at in time", HumanCount(counted))),
        0 => {}
        more => all.push(format!("and {} more", HumanCount(more))),
    }
    Some(all.join(", "))
}

fn sentence(found: &PreviewView, rate: u32) -> String {
    let count = match (found.matched, found.complete) {
        (1, true) => "1 job".to_owned(),
        (n, true) => format!("{} jobs", HumanCount(n)),
        (n, false) => format!("at least {} jobs (not all were counted)", HumanCount(n)),
    };
    let fate = fate(found);
    let takes = HumanDuration(Duration::from_secs(found.matched.div_ceil(u64::from(rate))));
    let unit = if rate == 1 { "one a second".to_owned() } else { format!("{} a second", HumanCount(rate.into())) };
    format!("{count}: {fate}. At {unit} at most, it takes {takes} or more.")
}

/// What happens to each job.
fn fate(found: &PreviewView) -> String {
    let running = found.groups.iter().any(|group| group.state == "running");
    match OperationAction::from_word(&found.action) {
        Some(OperationAction::Cancel) if running => "each ends as cancelled, and those that run are stopped".to_owned(),
        Some(OperationAction::Cancel) => "each ends as cancelled".to_owned(),
        Some(OperationAction::Redrive) => "each goes back in line with all its attempts".to_owned(),
        Some(OperationAction::Move) => {
            format!("each is put into queue {}", clean(found.target.as_deref().unwrap_or_default()))
        }
        Some(OperationAction::Hold) => "each is set aside until someone releases it".to_owned(),
        Some(OperationAction::Release) => "each goes back in line".to_owned(),
        Some(OperationAction::Discard) => "each is removed for good, and nothing brings it back".to_owned(),
        None => clean(&found.action),
    }
}

/// A filter in one line.
pub(in crate::cli) fn filter(view: &FilterView) -> String {
    let mut parts = Vec::new();
    let words = [
        ("state", Some(view.state.join("|")).filter(|states| !states.is_empty())),
        ("queue", view.queue.clone()),
        ("type", view.job_type.clone()),
        ("workspace", view.workspace.clone()),
        ("fingerprint", view.fingerprint.clone()),
        ("reason", view.reason.clone()),
        ("held_reason", view.held_reason.clone()),
        ("after", view.after.clone()),
        ("before", view.before.clone()),
    ];
    parts.extend(words.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))));
    parts.extend(view.metadata.iter().map(|(key, value)| format!("metadata.{key}={value}")));
    clean(&parts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::operation::PreviewGroupView;

    fn found(action: &str, state: &str, matched: u64, complete: bool) -> PreviewView {
        let (queue, job_type, state) = ("default".to_owned(), "echo".to_owned(), state.to_owned());
        PreviewView {
            dry_run: true,
            action: action.to_owned(),
            filter: FilterView { queue: Some(queue.clone()), ..FilterView::default() },
            target: (action == "move").then(|| "slow\u{1b}[2J".to_owned()),
            matched,
            complete,
            groups: vec![PreviewGroupView { queue, job_type, state, count: matched }],
            workspaces: vec![],
            other_workspaces: 0,
            sample: vec!["a".to_owned()],
        }
    }

    #[test]
    fn what_will_happen_is_said_in_a_sentence() {
        for (found, rate, said) in [
            (
                found("cancel", "running", 1, true),
                None,
                "1 job: each ends as cancelled, and those that run are stopped.",
            ),
            (found("cancel", "pending", 2, true), None, "2 jobs: each ends as cancelled. At 50 a second"),
            (
                found("redrive", "dead", 3600, true),
                Some(1),
                "3,600 jobs: each goes back in line with all its attempts. At one a second at most, it takes 60 minutes or more.",
            ),
            (
                found("discard", "dead", 7, false),
                None,
                "at least 7 jobs (not all were counted): each is removed for good",
            ),
            (found("move", "pending", 7, true), None, "each is put into queue slow\u{fffd}[2J."),
        ] {
            let text = describe(&found, rate);
            assert!(text.contains(said) && text.contains("queue=default"), "{text}");
        }
        assert!(describe(&found("hold", "pending", 0, true), None).ends_with("nothing to do"));
    }

    #[test]
    fn workspaces_are_shown_as_far_as_they_were_counted() {
        let of = |name: &str, count| crate::api::operation::WorkspaceCount { workspace: name.to_owned(), count };
        let mut found = found("redrive", "dead", 42, true);
        assert_eq!(workspaces(&found), None);
        found.workspaces = vec![of("acme", 40), of("globex", 2)];
        assert!(describe(&found, None).contains("\nworkspaces: acme 40, globex 2\n"));
        found.matched = 5_000;
        assert_eq!(workspaces(&found).unwrap(), "acme 40, globex 2, of 42 looked at in time");
        found.other_workspaces = 7;
        assert_eq!(workspaces(&found).unwrap(), "acme 40, globex 2, and 7 more");
    }
}
