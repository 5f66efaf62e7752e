//! What the receivers saw, against the attempts that can have caused it.

use std::collections::HashMap;

use super::findings::Findings;
use super::history::{Loss, Nemesis};
use super::jobs::{Attempt, Jobs};
use super::lines::Folder;
use super::replay::Line;
use super::rules::State;

/// A job's end may reach its worker this much later than the lease, in microseconds: a request on its way.
const LATE_US: u64 = 5_000_000;
/// Between the clocks of the harness and of Redis, which are one clock read at two places.
const SLACK_US: u64 = 20_000;

/// Figures for the report.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) requests: u64,
    /// Requests that took effect.
    pub(super) happened: u64,
    /// Jobs with more than one effect, each of an attempt of its own.
    pub(super) repeated: u64,
    /// Jobs with more effects than attempts.
    pub(super) unflagged: u64,
    /// Requests that ended as their fault wanted, by fault.
    pub(super) struck: HashMap<String, u64>,
}

#[derive(Clone, Copy)]
struct Request {
    t: u64,
    happened: bool,
    succeeded: bool,
}

/// Reads `sink.jsonl` and judges it.
///
/// # Errors
/// When it has a line that is none.
pub(super) fn check(
    folder: &Folder<'_>,
    jobs: &mut Jobs,
    lines: &[Line],
    (losses, nemesis, lease_ms): (&[Loss], &Nemesis, u64),
    found: &mut Findings,
) -> Result<Effects, String> {
    let mut effects = Effects::default();
    let mut by_job: HashMap<u32, Vec<Request>> = HashMap::new();
    let mut kinds: HashMap<&'static str, bool> = HashMap::new();
    folder.each("sink", |row| {
        let id = row.text("job").unwrap_or_else(|| row.word("key"));
        let Some(job) = jobs.find(id) else {
            let detail = format!("a request for {id}, which no client and no log knows");
            return found.add("effect_resent", row.t(), None, detail);
        };
        let answered = row.number("answered");
        let happened = row.get("effect").and_then(serde_json::Value::as_bool).unwrap_or(true);
        let request = Request { t: row.t(), happened, succeeded: answered.is_some_and(|s| (200..300).contains(&s)) };
        kinds.insert(if row.word("kind") == "llm" { "llm.chat" } else { "webhook.send" }, true);
        effects.requests += 1;
        effects.happened += u64::from(happened);
        if let Some(fault) = row.text("fault") {
            *effects.struck.entry(fault.to_owned()).or_default() += 1;
        }
        by_job.entry(job).or_default().push(request);
    })?;
    let mut attempts: HashMap<u32, Vec<&Attempt>> = HashMap::new();
    for attempt in jobs.attempts.iter().filter(|attempt| by_job.contains_key(&attempt.job)) {
        attempts.entry(attempt.job).or_default().push(attempt);
    }
    let judge = Judge { jobs, lines, losses, nemesis, lease_ms };
    for (job, requests) in &mut by_job {
        requests.sort_by_key(|request| request.t);
        let attempts = attempts.get(job).map_or(&[][..], Vec::as_slice);
        let flagged = judge.job(*job, requests, attempts, found);
        let several = requests.iter().filter(|r| r.happened).count() > 1;
        effects.repeated += u64::from(several && flagged);
        effects.unflagged += u64::from(!flagged);
    }
    for number in jobs.numbers() {
        let kind = jobs.kinds.name(jobs.job(number).kind);
        let due =
            !jobs.job(number).tainted && lines[number as usize].state == State::Succeeded && kinds.contains_key(kind);
        if due && !by_job.get(&number).is_some_and(|requests| requests.iter().any(|r| r.succeeded)) {
            let detail = format!("a {kind} job succeeded and no receiver answered it");
            found.add("effect_missing", lines[number as usize].changed_ms * 1000, Some(jobs.id(number)), detail);
        }
    }
    Ok(effects)
}

struct Judge<'a> {
    jobs: &'a Jobs,
    lines: &'a [Line],
    losses: &'a [Loss],
    nemesis: &'a Nemesis,
    lease_ms: u64,
}

impl Judge<'_> {
    /// Whether each request has an attempt of its own that may have sent it.
    fn job(&self, number: u32, requests: &[Request], attempts: &[&Attempt], found: &mut Findings) -> bool {
        let (job, line) = (self.jobs.job(number), self.lines[number as usize]);
        if job.tainted {
            return true;
        }
        let id = || Some(self.jobs.id(number));
        let mut used = vec![false; attempts.len()];
        let mut excused = vec![false; self.losses.len()];
        for request in requests {
            if take(&mut used, attempts, request.t) || self.excuse(&mut excused, line.born_ms, request.t) {
                continue;
            }
            let detail = format!("{} requests, {} attempts", requests.len(), attempts.len());
            if attempts.is_empty() && line.state == State::Cancelled {
                found.add("effect_of_cancelled", request.t, id(), detail);
            } else {
                found.add("effect_resent", request.t, id(), detail);
            }
            return false;
        }
        let end = line.changed_ms * 1000;
        if let Some(late) = requests.last().filter(|last| {
            let grace = self.lease_ms * 1000 + LATE_US;
            line.state.is_terminal() && !job.touched_by_loss && last.t > end + grace
        }) && self.nemesis.reach(end, end, 0, |_| true) < late.t
        {
            let detail = format!("{} ms after it had ended as {}", (late.t - end) / 1000, line.state.word());
            found.add("effect_after_end", late.t, id(), detail);
        }
        true
    }

    /// An attempt whose claim was lost before anyone read of it may have sent one more.
    fn excuse(&self, excused: &mut [bool], born_ms: u64, t: u64) -> bool {
        for (loss, used) in self.losses.iter().zip(excused) {
            let window = loss.last.0 * 1000..=loss.t + self.lease_ms * 1000;
            if !*used && born_ms * 1000 <= loss.t && window.contains(&t) {
                *used = true;
                return true;
            }
        }
        false
    }
}

/// Takes the attempt that has to send soonest, of those that may have sent a request at `t`. One that succeeded had
/// its answer before; one that was lost may have sent for as long as its process was frozen.
fn take(used: &mut [bool], attempts: &[&Attempt], t: u64) -> bool {
    let until = |a: &Attempt| if a.end == b's' { a.ended_ms * 1000 + SLACK_US } else { u64::MAX };
    let fits = |a: &Attempt| a.began_ms * 1000 <= t + SLACK_US && t <= until(a);
    let free = (0..attempts.len()).filter(|i| !used[*i] && fits(attempts[*i]));
    let Some(best) = free.min_by_key(|i| (until(attempts[*i]), *i)) else { return false };
    used[best] = true;
    true
}
