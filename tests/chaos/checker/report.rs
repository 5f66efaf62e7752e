//! The verdict as text: counts first, then what was violated.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::effects::Effects;
use super::ends::Ends;
use super::findings::{CLASSES, Findings};
use super::history::{Loss, Meta, Nemesis};
use super::leases::Recovery;
use super::lines::Folder;
use super::liveness::Liveness;
use super::ops::Ops;
use super::replay::Outcome;
use super::timeline;

/// Classes whose first violation is told at length.
const TOLD: usize = 5;
/// Violations of a class that are named.
const NAMED: usize = 5;

/// All that a report tells.
pub(super) struct Figures {
    pub(super) meta: Meta,
    pub(super) nemesis: Nemesis,
    pub(super) losses: Vec<Loss>,
    pub(super) ops: Ops,
    pub(super) log: Outcome,
    pub(super) effects: Effects,
    pub(super) recovery: Recovery,
    pub(super) ends: Ends,
    pub(super) live: Liveness,
    /// After how many milliseconds each loss was seen to be noticed.
    pub(super) noticed: Vec<Option<u64>>,
    pub(super) attempts: usize,
    pub(super) snapshots: usize,
}

pub(super) fn write(folder: &Folder<'_>, safe: Option<&Figures>, whole: &Figures, found: &Findings) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = head(&mut text, whole);
    let _ = operations(&mut text, whole);
    if let Some(safe) = safe {
        text.push_str("\nup to the faults with loss\n");
        let _ = ended(&mut text, safe);
        let _ = came_back(&mut text, safe);
        text.push_str("\nthe whole\n");
    }
    let _ = ended(&mut text, whole);
    let _ = jobs(&mut text, whole);
    let _ = faults(&mut text, whole);
    let _ = came_back(&mut text, whole);
    let _ = verdict(&mut text, folder, whole, found);
    text
}

fn head(text: &mut String, figures: &Figures) -> std::fmt::Result {
    let meta = &figures.meta;
    let span = figures.ops.last_t.saturating_sub(figures.ops.first_t) / 1_000_000;
    writeln!(
        text,
        "seed {}, {} s, revision {}, durability {}, lease {} ms{}",
        meta.word("seed"),
        span,
        meta.word("git"),
        meta.word("durability"),
        meta.lease_ms(),
        match meta.word("bug") {
            bug if bug.is_empty() => String::new(),
            bug => format!(", planted bug {bug}"),
        }
    )
}

fn operations(text: &mut String, figures: &Figures) -> std::fmt::Result {
    writeln!(text, "\n{:<12}{:>10}{:>10}{:>10}{:>10}", "operation", "attempted", "ok", "failed", "unknown")?;
    for (f, tally) in &figures.ops.tallies {
        writeln!(text, "{f:<12}{:>10}{:>10}{:>10}{:>10}", tally.attempted, tally.ok, tally.failed, tally.unknown)?;
    }
    Ok(())
}

fn ended(text: &mut String, figures: &Figures) -> std::fmt::Result {
    let ends = &figures.ends;
    let mut states: Vec<(&str, u64)> = ends.by_state.iter().map(|(state, n)| (*state, *n)).collect();
    states.sort_unstable();
    let states: Vec<String> = states.iter().map(|(state, n)| format!("{n} {state}")).collect();
    writeln!(text, "jobs         {}", states.join(", "))?;
    let declared: u64 = ends.lost_in_window.iter().sum();
    writeln!(text, "acked        {} lost, {declared} lost in a declared window", ends.lost)
}

fn jobs(text: &mut String, figures: &Figures) -> std::fmt::Result {
    let (ends, effects, log) = (&figures.ends, &figures.effects, &figures.log);
    writeln!(
        text,
        "repeats      {} answered with their job; {} unknown enqueues had made one",
        figures.ops.replays, ends.recovered
    )?;
    writeln!(text, "attempts     {} in {} log entries", figures.attempts, log.entries)?;
    writeln!(text, "snapshots    {}, {} of them at no entry of the log", figures.snapshots, log.unmatched)?;
    writeln!(
        text,
        "effects      {} requests, {} effects; {} jobs had more than one, each of an attempt of its own, {} unexplained",
        effects.requests, effects.happened, effects.repeated, effects.unflagged
    )
}

fn faults(text: &mut String, figures: &Figures) -> std::fmt::Result {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for fault in &figures.nemesis.faults {
        *kinds.entry(fault.kind.as_str()).or_default() += 1;
    }
    let total = figures.nemesis.faults.len();
    let with_loss = figures.nemesis.faults.iter().filter(|f| f.class == "F").count();
    let kinds: Vec<String> = kinds.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
    writeln!(
        text,
        "faults       {total} of {} kinds, {with_loss} of them with loss: {}",
        kinds.len(),
        kinds.join(", ")
    )?;
    let mut struck: Vec<_> = figures.effects.struck.iter().collect();
    struck.sort();
    let struck: Vec<String> = struck.iter().map(|(fault, n)| format!("{fault} {n}")).collect();
    writeln!(text, "struck       around an effect: {}", struck.join(", "))?;
    for (at, (loss, acked)) in figures.losses.iter().zip(&figures.ends.lost_in_window).enumerate() {
        let window = match loss.last.0 {
            0 => "all there was".to_owned(),
            last => format!("the last {} ms", (loss.t / 1000).saturating_sub(last)),
        };
        let noticed = figures.noticed.get(at).copied().flatten();
        let noticed = noticed.map_or("not seen to be noticed".to_owned(), |ms| format!("noticed within {ms} ms"));
        writeln!(text, "loss         {}: {window}, {acked} acknowledged jobs, {noticed}", loss.why)?;
    }
    Ok(())
}

fn came_back(text: &mut String, figures: &Figures) -> std::fmt::Result {
    let recovery = &figures.recovery;
    writeln!(text, "orphans      freed {}", spread(&recovery.freed))?;
    writeln!(text, "             started again {}", spread(&recovery.restarted))?;
    let live = &figures.live;
    let back = live.recovered_ms.map_or("not".to_owned(), |ms| format!("in {ms} ms"));
    let peak = figures.log.ends.values().max().copied().unwrap_or(0);
    writeln!(
        text,
        "throughput   {} jobs/s before the faults, back {back} after them, {peak} at best",
        live.baseline_per_s
    )?;
    let quiet = live.quiet_ms.map_or("never".to_owned(), |ms| format!("after {ms} ms"));
    writeln!(text, "quiet        {quiet}")
}

/// Middle, near worst, and worst.
fn spread(values: &[u64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let at =
        |part: f64| sorted.get(((sorted.len() as f64 * part) as usize).min(sorted.len().saturating_sub(1))).copied();
    match (at(0.5), at(0.99), sorted.last()) {
        (Some(p50), Some(p99), Some(max)) => {
            format!("{} times, p50 {p50} p99 {p99} max {max} ms after the death", sorted.len())
        }
        _ => "never".to_owned(),
    }
}

fn verdict(text: &mut String, folder: &Folder<'_>, figures: &Figures, found: &Findings) -> std::fmt::Result {
    if found.counts.is_empty() {
        return writeln!(text, "\nvalid");
    }
    writeln!(text, "\nNOT VALID")?;
    let classes: Vec<&(&str, &str)> = CLASSES.iter().filter(|(name, _)| found.counts.contains_key(name)).collect();
    for (name, meaning) in &classes {
        writeln!(text, "{:>6} {name}: {meaning}", found.counts[name])?;
        for violation in found.kept.iter().filter(|v| v.name == *name).take(NAMED) {
            let after = violation.t.saturating_sub(figures.ops.first_t) as f64 / 1e6;
            writeln!(text, "       {after:>9.3} s {} {}", violation.job.as_deref().unwrap_or("-"), violation.detail)?;
        }
    }
    let told = classes.iter().filter_map(|(name, _)| found.kept.iter().find(|v| v.name == *name && v.job.is_some()));
    let told: Vec<_> = told.take(TOLD).collect();
    let jobs: Vec<String> = told.iter().filter_map(|violation| violation.job.clone()).collect();
    let lines = timeline::of(folder, &jobs, &figures.nemesis);
    for violation in told {
        let job = violation.job.as_deref().unwrap_or_default();
        writeln!(text, "\n{} of {job}: {}", violation.name, violation.detail)?;
        text.push_str(lines.get(job).map_or("", String::as_str));
    }
    writeln!(text, "\nagain: make chaos SEED={} MINUTES={}", figures.meta.word("seed"), figures.meta.word("minutes"))
}
