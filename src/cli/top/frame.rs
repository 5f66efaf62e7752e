//! One frame: the snapshot as rows of text.

use std::time::Duration;

use super::super::paint::Look;
use super::super::span::{self, ago};
use super::conditions::Severity;
use super::grid::{Line, grid, number, text, word};
use super::read::{QueueRow, Snapshot};
use super::view::{Overlay, View};
use crate::api::queue::SwitchView;
use crate::clock;
use crate::domain::Timestamp;

const HELP: [&str; 9] = [
    "q        quit",
    "p        stop and go on refreshing",
    "s        order the queues by name, depth, oldest, rate, dead",
    "j k      choose a queue; arrows do the same",
    "Enter    say why the chosen queue stands as it does",
    "?        this help; any key takes it away",
    "",
    "SW: P paused, D takes no new jobs. IN/S and OUT/S: jobs enqueued and claimed per second, between two reads.",
    "Conditions are what the alert rules look at, at this moment; whether an alert fires is Prometheus' word.",
];

/// When the API went away, and what it said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Away {
    /// Since when.
    pub(super) since: Timestamp,
    /// Why the latest read failed.
    pub(super) reason: String,
}

/// What a frame is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    /// The latest read that succeeded.
    pub(super) snapshot: Option<&'a Snapshot>,
    /// What the viewer chose.
    pub(super) view: &'a View,
    /// Set while the API is away.
    pub(super) away: Option<&'a Away>,
    /// Between two reads.
    pub(super) interval: Duration,
    /// Columns.
    pub(super) width: usize,
    /// Rows; `None` shows everything.
    pub(super) height: Option<usize>,
}

/// The rows of the frame, at most as many as the terminal has.
pub(super) fn frame(scene: &Scene<'_>) -> Vec<Line> {
    let mut lines = head(scene);
    match (&scene.view.overlay, scene.snapshot) {
        (Overlay::Help, _) => lines.extend(HELP.map(|line| Line::new(Look::Plain, line))),
        (Overlay::Why(queue, told), _) => {
            lines.push(Line::new(Look::Bold, format!("Why {queue} stands as it does")));
            let waiting = vec!["asking the API…".to_owned()];
            lines.extend(told.as_ref().unwrap_or(&waiting).iter().map(|line| Line::new(Look::Plain, line)));
        }
        (Overlay::None, Some(snapshot)) => lines.extend(body(scene, snapshot, lines.len())),
        (Overlay::None, None) => {}
    }
    for line in &mut lines {
        line.text = super::grid::clip(&line.text, scene.width);
    }
    lines.truncate(scene.height.unwrap_or(usize::MAX));
    lines
}

fn head(scene: &Scene<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    let every = format!("every {}, by {}", span::brief(scene.interval), scene.view.sort.word());
    let mode = if scene.view.paused { "STANDS STILL (p)" } else { "? help" };
    let (url, at) = scene.snapshot.map_or(("", ""), |s| (s.url.as_str(), s.at.get(11..19).unwrap_or(&s.at)));
    lines.push(Line::new(Look::Bold, format!("windlass top  {url}  {at}Z  {every}  {mode}")));
    if let Some(Away { since, reason }) = scene.away {
        let ago = span::brief(clock::wall().since(*since));
        lines.push(Line::new(Look::Bad, format!("API AWAY since {since} ({ago}): {reason}; trying again")));
    }
    if let Some(snapshot) = scene.snapshot {
        lines.push(totals(snapshot));
    }
    lines.push(Line::new(Look::Plain, ""));
    lines
}

fn totals(snapshot: &Snapshot) -> Line {
    let sum = |count: fn(&QueueRow) -> u64| snapshot.queues.iter().map(count).sum::<u64>();
    let (busy, slots) = snapshot.workers.iter().fold((0, 0), |(b, s), worker| (b + worker.busy, s + worker.slots));
    let ready = match (snapshot.ready.ready, snapshot.ready.degraded) {
        (false, _) => "NOT READY",
        (true, true) => "degraded",
        (true, false) => "ready",
    };
    let look = if snapshot.ready.ready { Look::Plain } else { Look::Bad };
    Line::new(
        look,
        format!(
            "{ready}, durability {}  {} in line  {} running  {} dead  {} workers {busy}/{slots}",
            snapshot.ready.durability,
            sum(|q| q.view.depth),
            sum(|q| q.view.running),
            sum(|q| q.view.dead),
            snapshot.workers.len()
        ),
    )
}

/// The sections below the head. On a small terminal the queues get what the others leave, and half at the least.
fn body(scene: &Scene<'_>, snapshot: &Snapshot, used: usize) -> Vec<Line> {
    let sections = [conditions(snapshot, scene.width), workers(snapshot, scene.width), dead(snapshot, scene.width)];
    let queues = queues(scene, snapshot);
    let Some(height) = scene.height else {
        let [conditions, workers, dead] = sections;
        return [conditions, queues, workers, dead].concat();
    };
    let left = height.saturating_sub(used);
    let others: usize = sections.iter().map(Vec::len).sum();
    let for_queues = queues.len().min(left.saturating_sub(others).max(left / 2));
    let mut rest = left.saturating_sub(for_queues);
    let [conditions, workers, dead] = sections.map(|lines| {
        let shown = cut(lines, rest);
        rest -= shown.len();
        shown
    });
    [conditions, scroll(queues, scene, snapshot, for_queues), workers, dead].concat()
}

/// The first rows of a section, its heading, and how many are not shown.
fn cut(mut lines: Vec<Line>, room: usize) -> Vec<Line> {
    if lines.len() <= room {
        return lines;
    }
    // A heading alone says nothing.
    if room < 4 {
        return Vec::new();
    }
    let hidden = lines.len() - room + 2;
    lines.truncate(room - 2);
    lines.push(Line::new(Look::Dim, format!("… {hidden} more")));
    lines.push(Line::new(Look::Plain, ""));
    lines
}

/// The rows around the chosen queue.
fn scroll(lines: Vec<Line>, scene: &Scene<'_>, snapshot: &Snapshot, room: usize) -> Vec<Line> {
    if lines.len() <= room || room < 3 {
        return cut(lines, room);
    }
    let chosen = scene.view.chosen.as_ref();
    let at = scene.view.order(snapshot).iter().position(|row| Some(&row.view.name) == chosen).unwrap_or_default();
    let rows = room - 2;
    let from = (at + 1).saturating_sub(rows);
    let mut shown = vec![lines[0].clone()];
    shown.extend(lines[1..lines.len() - 1].iter().skip(from).take(rows).cloned());
    let hidden = lines.len() - 1 - shown.len();
    shown.push(Line::new(Look::Dim, format!("… {hidden} more queues")));
    shown
}

fn conditions(snapshot: &Snapshot, width: usize) -> Vec<Line> {
    if snapshot.conditions.is_empty() {
        return Vec::new();
    }
    let rows = snapshot.conditions.iter().map(|condition| {
        let look = if condition.severity == Severity::Critical { Look::Bad } else { Look::Warn };
        let cells = [condition.name, &condition.subject, &condition.detail, &condition.next];
        (look, cells.map(str::to_owned).to_vec())
    });
    section(grid(&[word("CONDITION"), text("WHERE"), text("WHAT"), word("TRY")], rows.collect(), width))
}

fn queues(scene: &Scene<'_>, snapshot: &Snapshot) -> Vec<Line> {
    let columns = [
        text("QUEUE"),
        word("SW"),
        number("DEPTH"),
        number("PARK"),
        number("RUN"),
        number("SCHED"),
        number("HELD"),
        number("DEAD"),
        number("OLDEST"),
        number("IN/S"),
        number("OUT/S"),
        number("WRK"),
        text("SWITCHED OFF"),
    ];
    let rows = scene.view.order(snapshot).into_iter().map(|row| {
        let chosen = scene.view.chosen.as_ref() == Some(&row.view.name);
        (if chosen { Look::Chosen } else { Look::Plain }, queue_cells(row))
    });
    section(grid(&columns, rows.collect(), scene.width))
}

fn queue_cells(row: &QueueRow) -> Vec<String> {
    let q = &row.view;
    let marks = [q.paused.as_ref().map(|_| "P"), q.draining.as_ref().map(|_| "D")];
    let rate = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
    let mut cells = vec![q.name.clone(), marks.into_iter().flatten().collect()];
    cells.extend([q.depth, q.parked, q.running, q.scheduled, q.held, q.dead].iter().map(u64::to_string));
    let oldest = q.oldest_pending_ms.map(Duration::from_millis);
    cells.push(oldest.map_or_else(|| "-".to_owned(), span::brief));
    cells.extend([rate(row.enqueued_per_second), rate(row.dequeued_per_second), q.workers.to_string()]);
    let switches = [("paused", &q.paused), ("draining", &q.draining)];
    let told = switches.into_iter().filter_map(|(name, switch)| Some(switched(name, switch.as_ref()?)));
    cells.push(told.collect::<Vec<_>>().join("; "));
    cells
}

fn switched(name: &str, switch: &SwitchView) -> String {
    let reason = if switch.reason.is_empty() { String::new() } else { format!(": {}", switch.reason) };
    format!("{name} by {} {}{reason}", switch.by, ago(&switch.at))
}

fn workers(snapshot: &Snapshot, width: usize) -> Vec<Line> {
    let columns = [text("WORKER"), number("PID"), word("STATE"), number("BUSY"), word("HEARD"), text("QUEUES")];
    let rows = snapshot.workers.iter().map(|worker| {
        let queues: Vec<String> = worker.queues.iter().map(|q| format!("{}={}", q.name, q.weight)).collect();
        let cells = vec![
            worker.host.clone(),
            worker.pid.to_string(),
            worker.standing().to_owned(),
            format!("{}/{}", worker.busy, worker.slots),
            ago(&worker.seen_at),
            queues.join(","),
        ];
        (Look::Plain, cells)
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return section(vec![Line::new(Look::Warn, "no live workers")]);
    }
    section(grid(&columns, rows, width))
}

fn dead(snapshot: &Snapshot, width: usize) -> Vec<Line> {
    if snapshot.dead_letters.is_empty() {
        return Vec::new();
    }
    let columns = [number("DEAD"), text("QUEUE"), text("TYPE"), text("REASON"), word("LAST"), word("SAMPLE")];
    let rows = snapshot.dead_letters.iter().map(|group| {
        let reason = group.reason.clone().unwrap_or_default();
        let names = [group.count.to_string(), group.queue.clone(), group.job_type.clone(), reason];
        (Look::Plain, names.into_iter().chain([ago(&group.last_at), group.sample.clone()]).collect())
    });
    section(grid(&columns, rows.collect(), width))
}

fn section(mut lines: Vec<Line>) -> Vec<Line> {
    lines.push(Line::new(Look::Plain, ""));
    lines
}

#[cfg(test)]
mod tests;
