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
mod symbols;
mod timeline;

use std::path::Path;

use findings::Findings;
pub(crate) use findings::{CLASSES, Violation};

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

fn judge(folder: &Path, found: &mut Findings) -> Result<String, String> {
    let meta = history::Meta::read(folder)?;
    let nemesis = history::Nemesis::read(folder)?;
    let workers = history::workers(folder)?;
    let losses = history::losses(folder)?;
    let snapshots = gauges::snapshots(folder)?;
    let lease = meta.lease_ms();
    let mut jobs = jobs::Jobs::new();
    // The dump first: it names queue, workspace and type of every job, also of those whose enqueue nobody answered.
    dump::read(folder, &mut jobs, found)?;
    let ops = ops::read(folder, &mut jobs, found)?;
    let caps = caps::Caps::new(&ops.caps, &losses);
    let log = replay::replay(folder, &mut jobs, found, caps, (&losses, &snapshots))?;
    let effects = effects::check(folder, &mut jobs, &log.lines, (&losses, &nemesis, lease), found)?;
    let recovery = leases::check(folder, &jobs, &workers, (&nemesis, lease), found)?;
    let ends = ends::check((&meta, &losses), &jobs, &log.lines, &ops, found);
    ends::check_waits(&log.waits, &jobs, &nemesis, lease, found);
    let live = liveness::check(&nemesis, meta.number("recovery_limit_ms"), found);
    let mut figures = report::Figures {
        meta: &meta,
        nemesis: &nemesis,
        losses: &losses,
        ops: &ops,
        log: &log,
        effects: &effects,
        recovery: &recovery,
        ends: &ends,
        live: &live,
        attempts: jobs.attempts.len(),
        snapshots: snapshots.len(),
    };
    Ok(report::write(folder, &mut figures, found))
}
