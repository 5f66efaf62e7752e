//! The checker of a chaos run's history. It shares nothing with the engine: what it knows of jobs, leases and keys was
//! written from the documents, so that a mistake would have to be made twice.
//!
//! Four sources are held against each other: what clients asked for and were told, the engine's own log of
//! transitions, what the receivers of effects saw, and what is left in Redis at the end. All passes are linear (or
//! sort), and a job takes a few hundred bytes.

mod caps;
mod dump;
mod effects;
mod ends;
mod findings;
mod gauges;
mod history;
mod jobs;
mod keys;
mod leases;
mod lines;
mod liveness;
mod ops;
mod replay;
mod report;
mod rules;
mod steps;
mod symbols;
mod timeline;

use std::path::Path;

use findings::Findings;
pub(crate) use findings::{CLASSES, Violation};
use lines::Folder;
use report::Figures;

/// What the checker found.
pub(crate) struct Report {
    /// Nothing was violated and the history is complete.
    pub(crate) valid: bool,
    /// For people.
    pub(crate) text: String,
    /// At most twenty of each class.
    pub(crate) violations: Vec<Violation>,
}

/// Checks the history in a folder (its format: tests/chaos/README.md).
pub(crate) fn check(folder: &Path) -> Report {
    let mut found = Findings::default();
    let text = match judge(folder, &mut found) {
        Ok(text) => text,
        Err(error) => {
            let text = format!("NOT VALID\nno history: {error}\n");
            found.add("history_unreadable", 0, None, error);
            text
        }
    };
    Report { valid: found.counts.is_empty(), text, violations: found.kept }
}

/// The dump in the middle of a run, before the faults that may lose something.
const SAFE: &str = "safe.json";
const FINAL: &str = "final.json";

/// A run has two parts where there are two dumps: up to the first nothing may be lost, and its jobs are judged by what
/// is there then. Then the whole is judged by what is left at the end.
fn judge(path: &Path, found: &mut Findings) -> Result<String, String> {
    let whole = Folder { path, until: u64::MAX };
    let nemesis = history::Nemesis::read(&whole)?;
    let dumped = nemesis.marks.iter().find(|(_, mark)| mark.word("metric") == "dumped" && mark.word("file") == SAFE);
    let mut safe = None;
    if let Some((t, _)) = dumped {
        safe = Some(part(&Folder { path, until: *t }, SAFE, found)?);
    }
    let mut all = Findings::default();
    let last = part(&whole, FINAL, &mut all)?;
    // The whole repeats what the part before it saw.
    found.merge(all);
    found.sort();
    Ok(report::write(&whole, safe.as_ref(), &last, found))
}

fn part(folder: &Folder<'_>, file: &str, found: &mut Findings) -> Result<Figures, String> {
    let meta = history::Meta::read(folder)?;
    let nemesis = history::Nemesis::read(folder)?;
    let workers = history::workers(folder)?;
    let losses = history::losses(folder)?;
    let snapshots = gauges::snapshots(folder)?;
    let lease = meta.lease_ms();
    let stalls = history::Stalls::new(snapshots.iter().map(|snapshot| snapshot.t));
    let mut jobs = jobs::Jobs::new();
    // A dump names queue, workspace and type of every job, also of those whose enqueue nobody answered.
    if file != SAFE && folder.document(SAFE)?.is_some() {
        dump::read(folder, SAFE, &mut jobs, &mut Findings::default())?;
        jobs.forget_dump();
    }
    dump::read(folder, file, &mut jobs, found)?;
    let ops = ops::read(folder, &mut jobs, found)?;
    let caps = caps::Caps::new(&ops.caps, &losses);
    let log = replay::replay(folder, &mut jobs, found, caps, (&losses, &snapshots))?;
    let effects = effects::check(folder, &mut jobs, &log.lines, (&losses, &nemesis, lease), found)?;
    let recovery = leases::check(folder, &jobs, &workers, (&nemesis, &stalls, lease), found)?;
    let quiet = nemesis.marks.iter().rev().find(|(_, mark)| mark.word("metric") == "quiesce").map(|(t, _)| *t);
    let quiet = quiet.unwrap_or(u64::MAX);
    let ends = ends::check((&meta, &losses, quiet), &jobs, &log.lines, &ops, found);
    ends::check_waits(&log.waits, &jobs, (&nemesis, &stalls, lease), found);
    let live = liveness::check(&nemesis, meta.number("recovery_limit_ms"), found);
    liveness::check_noticed(&losses, &ends.lost_in_window, &snapshots, &nemesis, found);
    let (attempts, snapshots) = (jobs.attempts.len(), snapshots.len());
    Ok(Figures { meta, nemesis, losses, ops, log, effects, recovery, ends, live, attempts, snapshots })
}
