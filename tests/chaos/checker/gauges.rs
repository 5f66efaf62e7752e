//! Figures recounted from the log, and compared with what an atomic look at Redis showed.

use std::collections::HashMap;

use super::findings::Findings;
use super::history::{Entry, entry};
use super::jobs::Jobs;
use super::lines::{Folder, Row};
use super::rules::State;

/// Fleet-wide counters that the log can be counted for. A release and an expired lease look alike in it.
const COUNTERS: [&str; 9] = [
    "enqueue",
    "dequeue",
    "succeeded",
    "retried",
    "released+lease_expiries",
    "dead",
    "cancelled",
    "expired",
    "redriven",
];
pub(super) const ENQUEUE: usize = 0;
pub(super) const DEQUEUE: usize = 1;
pub(super) const RETRIED: usize = 3;
pub(super) const UNCHARGED: usize = 4;
pub(super) const REDRIVEN: usize = 8;

/// One queue's figures by the log.
#[derive(Clone, Copy, Default)]
pub(super) struct Gauge {
    states: [i64; 9],
    counters: [i64; 9],
}

impl Gauge {
    pub(super) fn count(&mut self, counter: usize) {
        self.counters[counter] += 1;
    }

    pub(super) fn change(&mut self, from: State, to: State) {
        self.states[from as usize] -= 1;
        self.states[to as usize] += 1;
        match to {
            State::Succeeded => self.count(2),
            State::Dead => self.count(5),
            State::Cancelled => self.count(6),
            State::Expired => self.count(7),
            _ => {}
        }
    }

    fn of(&self, state: State) -> i64 {
        self.states[state as usize]
    }
}

/// All queues by number, and running attempts by queue and workspace.
#[derive(Clone, Default)]
pub(super) struct Gauges {
    queues: Vec<Gauge>,
    pub(super) running: HashMap<(u16, u16), u64>,
}

impl Gauges {
    pub(super) fn queue(&mut self, number: u16) -> &mut Gauge {
        let at = usize::from(number);
        if self.queues.len() <= at {
            self.queues.resize(at + 1, Gauge::default());
        }
        &mut self.queues[at]
    }

    fn all(&self, states: impl Fn(State) -> bool) -> i64 {
        let of = |gauge: &Gauge| State::ALL.iter().filter(|s| states(**s)).map(|s| gauge.of(*s)).sum::<i64>();
        self.queues.iter().map(of).sum()
    }
}

/// One atomic look at a queue.
pub(super) struct Snapshot {
    pub(super) t: u64,
    /// The newest entry of the log at that moment.
    pub(super) entry: Entry,
    /// What the engine calls the state of Redis.
    pub(super) epoch: String,
    row: Row,
}

/// Reads `snapshots.jsonl`, in order.
///
/// # Errors
/// When it has a line that is none.
pub(super) fn snapshots(folder: &Folder<'_>) -> Result<Vec<Snapshot>, String> {
    let mut found = Vec::new();
    folder.each("snapshots", |row| {
        let entry = entry(row.word("entry")).unwrap_or((0, 0));
        let epoch = row.word("epoch").to_owned();
        found.push(Snapshot { t: row.t(), entry, epoch, row: Row::of(row.value().clone()) });
    })?;
    Ok(found)
}

impl Snapshot {
    fn figure(&self, name: &str) -> i64 {
        self.row.number(name).and_then(|n| i64::try_from(n).ok()).unwrap_or(0)
    }

    fn part(&self, name: &str) -> Vec<(String, i64)> {
        let map = self.row.get(name).and_then(serde_json::Value::as_object);
        let number = |v| super::lines::as_number(v).and_then(|n| i64::try_from(n).ok()).unwrap_or(0);
        map.into_iter().flatten().map(|(field, v)| (field.clone(), number(v))).collect()
    }

    fn stat(&self, name: &str) -> i64 {
        let stats = self.row.get("stats");
        let one = |name| stats.and_then(|s| s.get(name)).and_then(super::lines::as_number).unwrap_or(0) as i64;
        name.split('+').map(one).sum()
    }

    /// In order and parked.
    fn in_line(&self) -> i64 {
        ["order", "parked_sets"].iter().flat_map(|name| self.part(name)).map(|(_, n)| n).sum()
    }

    fn queue(&self) -> &str {
        self.row.text("queue").unwrap_or("default")
    }

    /// What must hold of the figures among themselves.
    pub(super) fn check_itself(&self, found: &mut Findings) {
        let (queue, order) = (self.queue(), self.part("order").iter().map(|(_, n)| n).sum::<i64>());
        let (parked, total) = (self.part("parked"), self.figure("parked_total"));
        let sum: i64 = parked.iter().filter(|(field, _)| field.contains(':')).map(|(_, n)| n).sum();
        let sets: i64 = self.part("parked_sets").iter().map(|(_, n)| n).sum();
        let depth = self.figure("pending_len");
        if depth != order + sets {
            let detail = format!("queue {queue}: depth {depth}, in order {order}, parked {sets}");
            found.add("depth_drift", self.t, None, detail);
        }
        if total != sum || sum != sets {
            let detail = format!("queue {queue}: parked total {total}, sum {sum}, in the parked sets {sets}");
            found.add("parked_drift", self.t, None, detail);
        }
        let came = self.stat("enqueue") + self.stat("redriven");
        let there = order + sets + ["scheduled", "running", "held"].iter().map(|n| self.figure(n)).sum::<i64>();
        let ended = self.stat("succeeded") + self.stat("dead") + self.stat("cancelled") + self.stat("expired");
        if came != there + ended {
            let detail = format!("queue {queue}: {came} came in, {there} are there, {ended} ended");
            found.add("sum_not_conserved", self.t, None, detail);
        }
    }

    /// What must hold against the log at the same entry.
    pub(super) fn check_recount(&self, gauges: &mut Gauges, jobs: &Jobs, found: &mut Findings) {
        let (queue, mut differ) = (self.queue(), Vec::new());
        let number = jobs.queues.find(queue).unwrap_or(0);
        let unknown = *gauges.queue(0);
        let gauge = *gauges.queue(number);
        // Jobs of which nobody knows the queue may be this queue's.
        let mut compare = |name: &str, shown: i64, counted: i64, unknown: i64| {
            if shown < counted || shown > counted + unknown.abs() {
                differ.push(format!("{name} {shown}, by the log {counted}"));
            }
        };
        let in_line = self.in_line();
        compare("in line", in_line, gauge.of(State::Pending), unknown.of(State::Pending));
        for (name, state) in [("scheduled", State::Scheduled), ("running", State::Running), ("held", State::Held)] {
            compare(name, self.figure(name), gauge.of(state), unknown.of(state));
        }
        if self.row.get("dead").is_some() {
            compare("dead", self.figure("dead"), gauge.of(State::Dead), unknown.of(State::Dead));
        }
        for (at, name) in COUNTERS.iter().enumerate() {
            compare(name, self.stat(name), gauge.counters[at], unknown.counters[at]);
        }
        if self.row.get("jobs").is_some() {
            compare("jobs", self.figure("jobs"), gauges.all(|s| s.is_live() || s == State::Dead), 0);
        }
        if self.row.get("done_total").is_some() {
            let done = gauges.all(|s| s.is_terminal() && s != State::Dead);
            compare("done_total", self.figure("done_total"), done, 0);
        }
        if !differ.is_empty() {
            let detail = format!("queue {queue} at {}-{}: {}", self.entry.0, self.entry.1, differ.join(", "));
            found.add("recount_differs", self.t, None, detail);
        }
        self.check_slots(number, gauges, jobs, found);
    }

    fn check_slots(&self, queue: u16, gauges: &Gauges, jobs: &Jobs, found: &mut Findings) {
        let limits = self.row.get("limits");
        for (workspace, slots) in self.part("slots") {
            let cap = limits.and_then(|l| l.get(&workspace)).and_then(serde_json::Value::as_str);
            // `<weight>\t<cap>`; without a cap there are no slots.
            let capped = cap.is_some_and(|text| text.split('\t').nth(1).is_some_and(|cap| !cap.is_empty()));
            let number = jobs.workspaces.find(&workspace).unwrap_or(0);
            let runs = |key| gauges.running.get(&key).copied().unwrap_or(0) as i64;
            let running = runs((queue, number));
            // A job whose enqueue was not answered and that a loss took may have been anyone's.
            if capped && !(running..=running + runs((0, 0))).contains(&slots) {
                let detail = format!("queue {}, {workspace}: {slots} slots, {running} run by the log", self.queue());
                found.add("slots_wrong", self.t, None, detail);
            }
        }
    }
}
