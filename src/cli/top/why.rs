//! Why a queue stands as it does, for the overlay.

use super::read::{QueueRow, Snapshot};
use crate::client::Client;
use crate::domain::QueueName;

/// The lines to show. What cannot be asked is said from what was read.
pub(super) async fn ask(client: Client, queue: String, row: Option<QueueRow>) -> Vec<String> {
    let asked = match QueueName::new(&queue) {
        Ok(name) => client.queue_why(&name).await.ok(),
        Err(_) => None,
    };
    let mut lines = match asked {
        Some(why) => {
            let told = [
                Some(why.detail),
                why.until.map(|until| format!("until {until}")),
                why.next.map(|next| format!("next: {next}")),
                Some(format!("runbook: {}", why.runbook)),
            ];
            told.into_iter().flatten().collect()
        }
        None => row.map_or_else(|| vec![format!("there is no queue {queue} any more")], |row| from_row(&row)),
    };
    lines.extend([String::new(), "any key goes back".to_owned()]);
    lines
}

/// The queue of a snapshot.
pub(super) fn row(snapshot: Option<&Snapshot>, queue: &str) -> Option<QueueRow> {
    snapshot?.queues.iter().find(|row| row.view.name == queue).cloned()
}

fn from_row(row: &QueueRow) -> Vec<String> {
    let q = &row.view;
    let mut lines = Vec::new();
    for (what, switch) in [("paused", &q.paused), ("taking no new jobs", &q.draining)] {
        if let Some(switch) = switch {
            lines.push(format!("{what}, by {} at {}: {}", switch.by, switch.at, switch.reason));
            lines.push(format!("next: windlass queues resume {}", q.name));
        }
    }
    if q.workers == 0 && q.depth + q.scheduled > 0 {
        lines.push(format!("no live worker serves it; jobs that wait: {}", q.depth + q.scheduled));
        lines.push(format!("next: windlass worker --queues {}=1", q.name));
    }
    if q.parked > 0 {
        lines.push(format!("parked behind a pause of a type or a workspace, or a cap: {}", q.parked));
    }
    if q.held > 0 {
        lines.push(format!("held until someone decides: {}", q.held));
        lines.push(format!("next: windlass jobs list --state held --queue {}", q.name));
    }
    if lines.is_empty() {
        let line = match q.depth {
            0 => "nothing waits in it".to_owned(),
            depth => format!("in line: {depth}, each waits for its turn; workers that serve it: {}", q.workers),
        };
        lines.push(line);
    }
    lines.push("`windlass why JOB` says it of one job".to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::queue;
    use super::*;

    #[test]
    fn what_was_read_names_the_cause_and_the_command() {
        let mut row = queue("mail");
        row.view.depth = 2;
        row.view.workers = 0;
        let lines = from_row(&row);
        assert!(lines[0].contains("no live worker") && lines[1].contains("--queues mail=1"), "{lines:?}");
        row.view.workers = 2;
        assert!(from_row(&row)[0].contains("waits for its turn"));
    }
}
