//! The small files: what the run was, which faults it had, which workers lived, what Redis lost.

use serde_json::Value;

use super::lines::{Folder, Row};

/// The run.
pub(super) struct Meta {
    row: Row,
}

impl Meta {
    pub(super) fn read(folder: &Folder<'_>) -> Result<Self, String> {
        let text = folder.document("meta.json")?.ok_or("meta.json is not there")?;
        let value = serde_json::from_str(&text).map_err(|e| format!("meta.json: {e}"))?;
        Ok(Self { row: Row::of(value) })
    }

    pub(super) fn lease_ms(&self) -> u64 {
        self.row.number("lease_ms").unwrap_or(15_000)
    }

    pub(super) fn word(&self, name: &str) -> String {
        match self.row.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.row.number(name)
    }

    /// Whether the engine promised to keep every acknowledged write, whatever dies.
    pub(super) fn loses_nothing(&self) -> bool {
        self.row.word("durability") == "strict"
    }
}

/// One fault.
pub(super) struct Fault {
    pub(super) kind: String,
    pub(super) class: String,
    pub(super) target: String,
    /// Unix microseconds.
    pub(super) begin: u64,
    /// Equal to `begin` for one that only happened; `u64::MAX` for one that was never lifted.
    pub(super) end: u64,
    pub(super) args: String,
}

/// What the nemesis did and said.
#[derive(Default)]
pub(super) struct Nemesis {
    pub(super) faults: Vec<Fault>,
    /// Lines that are no fault: phases of the run, and figures.
    pub(super) marks: Vec<(u64, Row)>,
}

impl Nemesis {
    pub(super) fn read(folder: &Folder<'_>) -> Result<Self, String> {
        let mut found = Self::default();
        let mut open: Vec<(u64, usize)> = Vec::new();
        folder.each("nemesis", |row| {
            let (n, t) = (row.number("n").unwrap_or_default(), row.t());
            match row.word("phase") {
                "begin" => {
                    open.push((n, found.faults.len()));
                    found.faults.push(Fault {
                        kind: row.word("fault").to_owned(),
                        class: row.word("class").to_owned(),
                        target: row.word("target").to_owned(),
                        begin: t,
                        end: u64::MAX,
                        args: row.get("args").map(Value::to_string).unwrap_or_default(),
                    });
                }
                "end" => {
                    if let Some(at) = open.iter().position(|(begun, _)| *begun == n) {
                        found.faults[open.swap_remove(at).1].end = t;
                    }
                    found.marks.push((t, clone(row)));
                }
                _ => found.marks.push((t, clone(row))),
            }
        })?;
        Ok(found)
    }

    /// The latest moment to which faults that overlap `[from, to]` reach, each `tail` further; `to` without any.
    pub(super) fn reach(&self, from: u64, to: u64, tail: u64, counts: impl Fn(&Fault) -> bool) -> u64 {
        let (mut until, faults) = (to, self.faults.iter().filter(|f| counts(f)).collect::<Vec<_>>());
        loop {
            let overlapping = faults.iter().filter(|f| f.begin <= until && f.end.saturating_add(tail) >= from);
            let further = overlapping.map(|f| f.end.saturating_add(tail)).max().unwrap_or(0);
            if further <= until {
                return until;
            }
            until = further;
        }
    }
}

/// How long a look at Redis every 0.7 s may take to come back.
const LOOK_US: u64 = 800_000;

/// When looks at Redis came late: a fault, or a machine that has more to do than it can. What is promised in time is
/// promised beside that.
pub(super) struct Stalls {
    late: Vec<(u64, u64)>,
    /// The last look: nobody knows what came after it.
    pub(super) last: u64,
}

impl Stalls {
    /// From the moments of the looks, in order.
    pub(super) fn new(looks: impl Iterator<Item = u64>) -> Self {
        let mut found = Self { late: Vec::new(), last: 0 };
        for t in looks {
            let due = found.last + LOOK_US;
            if found.last != 0 && due < t {
                found.late.push((due, t));
            }
            found.last = t;
        }
        found
    }

    /// How much of `[from, to]` was such a time, in microseconds.
    pub(super) fn within(&self, from: u64, to: u64) -> u64 {
        self.late.iter().map(|(begin, end)| (*end).min(to).saturating_sub((*begin).max(from))).sum()
    }
}

fn clone(row: &Row) -> Row {
    Row::of(row.value().clone())
}

/// One start of a worker process.
pub(super) struct Worker {
    pub(super) id: String,
    pub(super) name: String,
    /// Unix microseconds; `None` while it lives.
    pub(super) exit: Option<u64>,
}

pub(super) fn workers(folder: &Folder<'_>) -> Result<Vec<Worker>, String> {
    let mut found: Vec<Worker> = Vec::new();
    folder.each("workers", |row| {
        let id = row.word("worker");
        if id.is_empty() {
            return;
        }
        match found.iter_mut().find(|w| w.id == id) {
            Some(worker) if row.word("event") == "exit" => worker.exit = Some(row.t()),
            Some(_) => {}
            None => found.push(Worker {
                id: id.to_owned(),
                name: row.word("name").to_owned(),
                exit: (row.word("event") == "exit").then_some(row.t()),
            }),
        }
    })?;
    Ok(found)
}

/// Place in the log.
pub(super) type Entry = (u64, u64);

pub(super) fn entry(text: &str) -> Option<Entry> {
    let (ms, seq) = text.split_once('-')?;
    Some((ms.parse().ok()?, seq.parse().ok()?))
}

/// A fault that took a suffix of what Redis had acknowledged.
pub(super) struct Loss {
    /// When the harness wrote of it, in unix microseconds.
    pub(super) t: u64,
    /// The last entry that survived.
    pub(super) last: Entry,
    pub(super) why: String,
}

impl Loss {
    /// When the last entry that survived was written, in unix microseconds; the loss itself after a flush.
    pub(super) fn last_t(&self) -> u64 {
        if self.last.0 == 0 { self.t } else { self.last.0 * 1000 }
    }

    /// Whether something acknowledged at `t` (unix microseconds) may have been in the lost window.
    pub(super) fn covers(&self, invoked: u64, acked: u64) -> bool {
        acked / 1000 + 50 >= self.last.0 && invoked <= self.t
    }
}

/// The losses, in the order of the log.
pub(super) fn losses(folder: &Folder<'_>) -> Result<Vec<Loss>, String> {
    let mut found = Vec::new();
    folder.raw("log", |number, line| {
        if line.contains("\"marker\"") {
            let row = Row::of(serde_json::from_str(line).map_err(|e| format!("log.jsonl:{number}: {e}"))?);
            if row.t() > folder.until {
                return Ok(false);
            }
            if row.word("marker") == "lost_suffix" {
                let last = entry(row.word("last")).unwrap_or((0, 0));
                found.push(Loss { t: row.t(), last, why: row.word("why").to_owned() });
            }
        }
        Ok(true)
    })?;
    Ok(found)
}
