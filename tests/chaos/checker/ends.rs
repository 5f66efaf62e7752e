//! What became of each job and each request, when all was quiet.

use std::collections::HashMap;

use super::findings::Findings;
use super::history::{Loss, Meta, Nemesis, Stalls};
use super::jobs::{Expect, Job, Jobs};
use super::ops::{Ops, Request};
use super::replay::{Line, Wait};
use super::rules::{POISON, State};

/// Life of an idempotency key after its job, by default.
const KEY_LIFE_MS: i64 = 86_400_000;
/// What a dump may take to be written.
const DUMP_MS: i64 = 300_000;

/// Figures for the report.
#[derive(Default)]
pub(super) struct Ends {
    pub(super) by_state: HashMap<&'static str, u64>,
    pub(super) lost: u64,
    /// By loss.
    pub(super) lost_in_window: Vec<u64>,
    /// Enqueues nobody answered that had made a job.
    pub(super) recovered: u64,
}

struct Judge<'a> {
    meta: &'a Meta,
    losses: &'a [Loss],
    found: &'a mut Findings,
    jobs: &'a Jobs,
    ends: Ends,
    last_ms: u64,
    /// When the harness stopped waiting for all to be quiet, and began to write the dump.
    quiet_ms: u64,
    /// Jobs in the dump by (workspace, client_request_id): the first and the last of each.
    there: HashMap<u64, (u32, u32)>,
}

/// Judges every job.
pub(super) fn check(
    (meta, losses, quiet): (&Meta, &[Loss], u64),
    jobs: &Jobs,
    lines: &[Line],
    ops: &Ops,
    found: &mut Findings,
) -> Ends {
    let last_ms = ops.last_t / 1000;
    let mut there: HashMap<u64, (u32, u32)> = HashMap::new();
    for number in jobs.numbers().filter(|n| jobs.job(*n).dump.state != State::Unborn) {
        there.entry(jobs.job(number).key).or_insert((number, number)).1 = number;
    }
    let ends = Ends { lost_in_window: vec![0; losses.len()], ..Ends::default() };
    let mut judge = Judge { meta, losses, found, jobs, ends, last_ms, quiet_ms: quiet / 1000, there };
    for number in jobs.numbers() {
        judge.job(number, &lines[number as usize]);
    }
    judge.requests(&ops.requests);
    judge.ends
}

/// Judges waits after failures, knowing the faults.
pub(super) fn check_waits(
    waits: &[Wait],
    jobs: &Jobs,
    (nemesis, stalls, lease_ms): (&Nemesis, &Stalls, u64),
    found: &mut Findings,
) {
    for wait in waits {
        let (from, to) = (wait.from_ms * 1000, wait.to_ms * 1000);
        let most = nemesis.reach(from, from + wait.bound_ms * 1000, lease_ms * 1000, |_| true);
        if to > most + stalls.within(from, to) {
            let detail = format!("waited {} ms, {} at most", wait.to_ms - wait.from_ms, wait.bound_ms);
            found.add("retry_too_late", wait.to_ms * 1000, Some(jobs.id(wait.job)), detail);
        }
    }
}

impl Judge<'_> {
    fn add(&mut self, name: &'static str, t: u64, number: u32, detail: impl Into<String>) {
        self.found.add(name, t, Some(self.jobs.id(number)), detail);
    }

    fn job(&mut self, number: u32, line: &Line) {
        let job = self.jobs.job(number);
        let there = job.dump.state;
        if line.changed_ms > self.quiet_ms {
            // It moved while the dump was written, which proves nothing of it, then.
            let detail = format!("it went on to be {} when all should have been quiet", line.state.word());
            return self.add("not_terminal", line.changed_ms * 1000, number, detail);
        }
        if there == State::Unborn {
            return self.nowhere(number, job, line);
        }
        *self.ends.by_state.entry(there.word()).or_default() += 1;
        if line.state == State::Unborn {
            return self.add("log_incomplete", 0, number, "it is in the dump and not in the log");
        }
        if !there.is_terminal() {
            self.add("not_terminal", line.changed_ms * 1000, number, format!("it is {} at the end", there.word()));
        }
        if !job.tainted {
            self.agrees(number, job, line);
        }
        self.key(number, job, line);
        self.as_told(number, job, line);
        if job.missed_at != 0 && !job.touched_by_loss {
            self.add("view_disagrees", job.missed_at, number, "GET answered 404 after its acknowledgement");
        }
        let excused = job.reached & State::Cancelled.bit() != 0
            || self.losses.iter().any(|l| l.covers(job.cancel_acked, job.cancel_acked));
        if job.cancel_acked != 0 && !excused {
            self.add("cancel_lost", job.cancel_acked, number, "answered as cancelled, and the log has no cancel");
        }
    }

    /// Neither in the dump nor, perhaps, in the log.
    fn nowhere(&mut self, number: u32, job: &Job, line: &Line) {
        let by_log = usize::from(job.lost_by).checked_sub(1);
        let by_time = || self.losses.iter().position(|loss| loss.covers(job.ack_invoked, job.acked));
        let window = by_log.or_else(by_time).filter(|at| !self.forbidden(&self.losses[*at]));
        let declared = window.filter(|_| line.state == State::Unborn);
        match (job.acked, declared) {
            (0, _) if line.state == State::Unborn => {}
            (0, _) => self.add("job_vanished", line.changed_ms * 1000, number, "the log has it, the dump has not"),
            (_, Some(at)) => self.ends.lost_in_window[at] += 1,
            (t, None) => {
                self.ends.lost += 1;
                let log = if line.state == State::Unborn { "nor in the log" } else { "but in the log" };
                self.add("acked_job_lost", t, number, format!("acknowledged, not in the dump, {log}"));
            }
        }
    }

    /// Whether this run's durability promised that such a loss takes nothing that was acknowledged.
    fn forbidden(&self, loss: &Loss) -> bool {
        self.meta.loses_nothing() && loss.why != "flushall"
    }

    fn agrees(&mut self, number: u32, job: &Job, line: &Line) {
        let (told, t) = (job.dump, line.changed_ms * 1000);
        if told.state != line.state {
            let detail = format!("the dump has it {}, the log {}", told.state.word(), line.state.word());
            return self.add("dump_disagrees", t, number, detail);
        }
        if told.state == State::Succeeded && told.token != line.token {
            return self.add("stale_write", t, number, "its record names another attempt than the log");
        }
        if told.attempt != line.attempt {
            let detail = format!("the dump counts {} attempts, the log {}", told.attempt, line.attempt);
            return self.add("dump_disagrees", t, number, detail);
        }
        let poisoned = told.state == State::Dead && told.poisoned;
        // One that crashed within an effect was a person's to decide.
        let aside = job.reached & State::Held.bit() != 0;
        if told.crashes > line.uncharged || ((told.crashes >= POISON) != poisoned && !aside) {
            let (crashes, ends) = (told.crashes, line.uncharged);
            let detail = format!("{crashes} crashes, {ends} attempts that ended uncharged, poison: {poisoned}");
            self.add("poison_rule", t, number, detail);
        }
    }

    /// Ends that clients were told, and the end that the job's handler makes.
    fn as_told(&mut self, number: u32, job: &Job, line: &Line) {
        let wrong =
            State::ALL.into_iter().find(|s| s.is_terminal() && job.told & s.bit() != 0 && job.reached & s.bit() == 0);
        if let Some(state) = wrong.filter(|_| !job.touched_by_loss && !job.tainted) {
            self.add(
                "view_disagrees",
                job.acked,
                number,
                format!("a client was told {}, the log never was", state.word()),
            );
        }
        let other_end = match (job.dump.state, job.expect) {
            (State::Succeeded, Expect::Die) => true,
            (State::Dead, Expect::Succeed) => !job.dump.poisoned,
            _ => false,
        };
        if other_end {
            let detail = format!("it was made to {:?}, and is {}", job.expect, job.dump.state.word());
            self.add("wrong_end", line.changed_ms * 1000, number, detail.to_lowercase());
        }
    }

    fn key(&mut self, number: u32, job: &Job, line: &Line) {
        let Some(ttl) = job.key_ttl_ms else {
            let same = self.there.get(&job.key).copied();
            if let Some(other) = same.into_iter().flat_map(|(first, last)| [first, last]).find(|n| *n != number) {
                let detail = format!("{} has the same client_request_id, and the key", self.jobs.id(other));
                return self.add("two_jobs_for_key", job.acked, number, detail);
            }
            return self.add("key_gone", line.changed_ms * 1000, number, "no idempotency key names it");
        };
        let since = i64::try_from(self.last_ms.saturating_sub(line.changed_ms)).unwrap_or(0);
        if job.dump.state.is_terminal() && ttl < 0 {
            self.add("key_ttl", 0, number, "its key lives for ever");
        } else if job.dump.state.is_terminal() && ttl < KEY_LIFE_MS - since - DUMP_MS {
            self.add("key_ttl", 0, number, format!("its key lives {ttl} ms more, it ended {since} ms ago"));
        }
    }

    fn requests(&mut self, requests: &HashMap<u64, Request>) {
        for number in self.jobs.numbers() {
            let job = self.jobs.job(number);
            if job.dump.state == State::Unborn {
                continue;
            }
            match requests.get(&job.key) {
                Some(request) if request.possible => {
                    self.ends.recovered += u64::from(request.job.is_none());
                }
                Some(_) => self.add("failed_op_took_effect", 0, number, "every enqueue of it was answered as not done"),
                None => self.add("transition_without_invoke", 0, number, "nobody enqueued it"),
            }
        }
        for request in requests.values() {
            let answered = request.job.into_iter().map(|job| (job, 0)).chain(request.others.iter().copied());
            let mut kept: Vec<(u32, u64)> = answered.filter(|(n, _)| !self.was_lost(*n)).collect();
            kept.dedup_by_key(|(number, _)| *number);
            // Jobs that are all in the dump were met above.
            let gone = kept.iter().any(|(n, _)| self.jobs.job(*n).dump.state == State::Unborn);
            if kept.len() > 1 && gone {
                let detail = format!("{} was answered with {} jobs", request.text.1, kept.len());
                self.add("two_jobs_for_key", kept[1].1, kept[1].0, detail);
            }
        }
    }

    /// Whether a declared loss took it.
    fn was_lost(&self, number: u32) -> bool {
        let job = self.jobs.job(number);
        let covered = || self.losses.iter().any(|loss| loss.covers(job.ack_invoked, job.acked));
        job.lost_by != 0 || (job.dump.state == State::Unborn && covered())
    }
}
