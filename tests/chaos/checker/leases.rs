//! Leases as they were seen from beside: when they end, and how fast those of dead workers were taken back.

use std::collections::HashMap;

use super::findings::Findings;
use super::history::{Fault, Nemesis, Stalls, Worker};
use super::jobs::Jobs;
use super::lines::Folder;
use super::rules::{POISON, SCRIPT_MS};
use super::symbols::hash;

/// What is promised beyond the lease.
const PROMISE_MS: u64 = 2_000;
/// From a moment in Redis to the line that tells of it.
const READING_MS: u64 = 100;

/// How long jobs of dead workers waited, in milliseconds from the death.
#[derive(Default)]
pub(super) struct Recovery {
    /// Until the lease was taken back.
    pub(super) freed: Vec<u64>,
    /// Until another attempt began.
    pub(super) restarted: Vec<u64>,
    pub(super) leases: u64,
}

/// Reads `leases.jsonl` and judges it.
///
/// # Errors
/// When it has a line that is none.
pub(super) fn check(
    folder: &Folder<'_>,
    jobs: &Jobs,
    workers: &[Worker],
    (nemesis, stalls, lease_ms): (&Nemesis, &Stalls, u64),
    found: &mut Findings,
) -> Result<Recovery, String> {
    let mut numbers: HashMap<(u32, u64), usize> = HashMap::with_capacity(jobs.attempts.len());
    for (at, attempt) in jobs.attempts.iter().enumerate() {
        numbers.insert((attempt.job, attempt.token), at);
    }
    let exits: HashMap<&str, (u64, &str)> =
        workers.iter().filter_map(|w| Some((w.id.as_str(), (w.exit?, w.name.as_str())))).collect();
    let (mut recovery, mut orphans) = (Recovery::default(), Vec::new());
    folder.each("leases", |row| {
        let (token, worker) = (hash(row.word("attempt")), row.word("worker"));
        let Some(attempt) = jobs.find(row.word("job")).and_then(|job| numbers.get(&(job, token))) else { return };
        recovery.leases += 1;
        let began = jobs.attempts[*attempt].began_ms;
        let deadline = row.number("deadline").unwrap_or_default();
        let (least, most) = (began + lease_ms, row.t() / 1000 + lease_ms + READING_MS);
        // A server that was frozen inside the claim's script stamped its entry when it went on.
        let frozen = nemesis
            .faults
            .iter()
            .any(|f| f.kind == "redis_stop" && f.begin <= row.t() && f.end / 1000 + SCRIPT_MS > began);
        if (deadline + SCRIPT_MS < least && !frozen) || deadline > most {
            let detail = format!("claimed at {began}, it ends at {deadline}; {least} to {most} is possible");
            found.add("lease_deadline", row.t(), Some(row.word("job").to_owned()), detail);
        }
        if let Some(exit) = exits.get(worker) {
            orphans.push((*attempt, *exit));
        }
    })?;
    let mut next: HashMap<u32, Vec<u64>> = HashMap::new();
    for (attempt, _) in &orphans {
        next.entry(jobs.attempts[*attempt].job).or_default();
    }
    for attempt in &jobs.attempts {
        if let Some(begins) = next.get_mut(&attempt.job) {
            begins.push(attempt.began_ms);
        }
    }
    let mut crashes: HashMap<u32, u16> = HashMap::new();
    for (at, (exit, worker)) in orphans {
        let attempt = &jobs.attempts[at];
        let died = exit / 1000;
        let reaped = matches!(attempt.end, b'P' | b'd') && !attempt.charged;
        // Only what it held when it died; the rest was over, or taken by a cancel.
        if attempt.began_ms > died || (attempt.ended_ms != 0 && (attempt.ended_ms < died || !reaped)) {
            continue;
        }
        if jobs.job(attempt.job).touched_by_loss || jobs.job(attempt.job).tainted {
            continue;
        }
        let promised = exit + (lease_ms + PROMISE_MS) * 1000;
        // Its own death, and what happens to an API, delay nobody else.
        let counts = |f: &Fault| f.target != worker && !f.kind.starts_with("api_");
        let tail = (lease_ms + PROMISE_MS) * 1000;
        let most = nemesis.reach(exit.saturating_sub(lease_ms * 1000), promised, tail, counts);
        let ended = attempt.ended_ms * 1000;
        let seen_until = if ended == 0 { stalls.last } else { ended };
        if seen_until > most + stalls.within(exit, seen_until) {
            let seen = match attempt.ended_ms {
                0 => "never taken back".to_owned(),
                ms => format!("taken back {} ms after the death", ms - died),
            };
            let detail = format!("{seen}, lease {lease_ms} ms");
            found.add("orphan_late", exit, Some(jobs.id(attempt.job)), detail);
        }
        if attempt.ended_ms != 0 {
            *crashes.entry(attempt.job).or_default() += 1;
            recovery.freed.push(attempt.ended_ms - died);
            let begins = next.get(&attempt.job).into_iter().flatten().filter(|begin| **begin >= attempt.ended_ms);
            recovery.restarted.extend(begins.min().map(|begin| begin - died));
        }
    }
    let mut crashes: Vec<(u32, u16)> = crashes.into_iter().collect();
    crashes.sort_unstable();
    for (number, times) in crashes {
        // The third is the end, in each of its lives.
        if times > POISON * (1 + jobs.job(number).redrives) {
            let detail = format!("{times} workers died with it, and it was tried again");
            found.add("poison_rule", 0, Some(jobs.id(number)), detail);
        }
    }
    Ok(recovery)
}
