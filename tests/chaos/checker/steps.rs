//! One transition, held against what was before it.

use super::jobs::Job;
use super::replay::Line;
use super::rules::{POISON, SCRIPT_MS, State, legal};

/// The class of violation, and what was seen.
type Verdict = Result<(), (&'static str, String)>;

/// One item of the log.
pub(super) struct Step {
    pub(super) number: u32,
    pub(super) ms: u64,
    pub(super) letter: u8,
    pub(super) to: State,
    pub(super) count: u16,
    /// The attempt that the item names.
    pub(super) token: u64,
    /// The attempt that the entry's claims are.
    pub(super) claim: u64,
}

impl Step {
    /// Whether the step is one that may follow.
    pub(super) fn judge(&self, job: &Job, line: &Line) -> Verdict {
        let step = self;
        let (named, from) = (step.token != 0, line.state);
        if from.is_terminal() {
            let redrive = step.letter == b'P' && !named && step.count == 0 && from != State::Succeeded;
            if !redrive {
                return Err(("terminal_not_final", "nothing but a redrive may follow an end".to_owned()));
            } else if line.redriven >= job.redrives {
                let asked = format!("{} redrives were asked for", job.redrives);
                return Err(("terminal_not_final", asked));
            }
            return Ok(());
        }
        if step.letter == b'R' && from == State::Running {
            return Err(("lease_overlap", "the attempt before has not ended".to_owned()));
        }
        if named && (from != State::Running || step.token != line.token) {
            return Err(("stale_write", "another attempt holds the lease, or none".to_owned()));
        }
        if step.letter == b'c' && job.cancels == 0 {
            return Err(("transition_without_invoke", "nobody asked for a cancel".to_owned()));
        }
        if !legal(from, step.letter, named) {
            return Err(("illegal_transition", "there is no such way".to_owned()));
        }
        if step.letter == b'R' && step.claim == 0 {
            return Err(("illegal_transition", "a claim without an attempt id".to_owned()));
        }
        judge_count(step, line, job.max_attempts)?;
        judge_time(step, line, job.run_at_ms, job.expires_at_ms)
    }
}

/// Charged +1; a release or a crash takes it back; the third crash is the end, or a person's to decide. A hold may be
/// uncharged, and who comes back from one has an attempt left.
fn judge_count(step: &Step, line: &Line, max: u16) -> Verdict {
    let (count, before) = (step.count, line.attempt);
    let wrong = |want: String| Err(("attempt_number", format!("attempt {count} after {before}, expected {want}")));
    match step.letter {
        b'R' if count != before + 1 => wrong((before + 1).to_string()),
        b'R' if max > 0 && count > max => Err(("attempts_over_max", format!("attempt {count} of {max}"))),
        b'S' | b'P' if line.state == State::Running => match count {
            n if n + 1 == before => Ok(()),
            n if n != before => wrong(format!("{before}, or one less when uncharged")),
            n if max > 0 && n >= max => Err(("attempts_over_max", format!("a retry after attempt {n} of {max}"))),
            _ => Ok(()),
        },
        b'd' if count + 1 == before => match line.uncharged + 1 {
            ends if ends < POISON => Err(("poison_rule", format!("given up on as poison after {ends} crashes"))),
            _ => Ok(()),
        },
        b'H' if count + 1 == before => Ok(()),
        b'P' if line.state == State::Held && count + 1 == before && (max == 0 || before >= max) => Ok(()),
        b'R' => Ok(()),
        _ if line.state == State::Unborn && count == 0 => Ok(()),
        _ if count != before => wrong(before.to_string()),
        _ => Ok(()),
    }
}

/// What an enqueue takes for the time may be ahead of Redis' clock by as much.
const STAMP_MS: u64 = 100;

fn judge_time(step: &Step, line: &Line, run_at: u64, expires: u64) -> Verdict {
    let first = line.state == State::Scheduled && line.began == 0 && line.redriven == 0;
    match step.letter {
        b'P' if first && step.ms < run_at => {
            Err(("ran_before_due", format!("{} ms before its run_at", run_at - step.ms)))
        }
        // A job of which the queue thinks that its time has come when it is enqueued.
        b'P' if line.state == State::Unborn && step.ms + STAMP_MS < run_at => {
            Err(("ran_before_due", format!("in line {} ms before its run_at, at once", run_at - step.ms)))
        }
        // A redrive gives more time, and the dump has the last only.
        b'R' if expires > 0 && line.redriven == 0 && step.ms > expires + SCRIPT_MS => {
            Err(("expired_job_ran", format!("{} ms after its time in line", step.ms - expires)))
        }
        b'e' if expires > 0 && line.redriven == 0 && step.ms < expires => {
            Err(("expired_early", format!("{} ms before its time", expires - step.ms)))
        }
        _ => Ok(()),
    }
}
