//! The engine's own log, replayed in order through the checker's rules. At a loss the replay goes back to the last
//! entry that survived, as Redis did.

use std::collections::BTreeMap;

use super::caps::Caps;
use super::findings::Findings;
use super::gauges::{self, Gauges, Snapshot};
use super::history::{Entry, Loss, entry};
use super::jobs::{Attempt, Jobs};
use super::lines::Folder;
use super::rules::{State, longest_backoff_ms, target};
use super::steps::Step;
use super::symbols::hash;

/// Where a job is by the log.
#[derive(Clone, Copy, Default)]
pub(super) struct Line {
    pub(super) state: State,
    /// Charged attempts begun.
    pub(super) attempt: u16,
    /// Ends without a charge in this life: releases and crashes.
    pub(super) uncharged: u16,
    pub(super) redriven: u16,
    pub(super) began: u16,
    /// Of the attempt that runs or ran last.
    pub(super) token: u64,
    pub(super) born_ms: u64,
    pub(super) changed_ms: u64,
    /// The last attempt, plus one.
    pub(super) last: u32,
}

/// Until a retry that is due is in line, with workers that are well.
const PROMOTION_MS: u64 = 6_000;

/// A wait for a retry that was longer than the backoff allows.
pub(super) struct Wait {
    pub(super) job: u32,
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
    pub(super) bound_ms: u64,
}

/// What has to be put back after a loss.
#[derive(Clone, Default)]
struct Place {
    lines: Vec<Line>,
    gauges: Gauges,
    at: Entry,
}

/// The replay.
struct Replay<'a> {
    jobs: &'a mut Jobs,
    found: &'a mut Findings,
    caps: Caps,
    place: Place,
    /// Of each loss still to come, once the log has gone past what survives it.
    saved: Vec<Option<Place>>,
    losses: &'a [Loss],
    era: usize,
    snapshots: std::iter::Peekable<std::slice::Iter<'a, Snapshot>>,
    /// Snapshots that could not be compared, since the log has no such place.
    unmatched: u64,
    entries: u64,
    /// Ends of jobs, by second of Redis' clock.
    ends: BTreeMap<u64, u64>,
    sound: bool,
    waits: Vec<Wait>,
    retries: u64,
    /// Retries that were in line at once: how many, and the first.
    at_once: (u64, Option<(u64, u32)>),
}

/// What the log adds up to.
pub(super) struct Outcome {
    pub(super) lines: Vec<Line>,
    pub(super) entries: u64,
    pub(super) unmatched: u64,
    pub(super) ends: BTreeMap<u64, u64>,
    pub(super) waits: Vec<Wait>,
}

/// Replays `log.jsonl`.
///
/// # Errors
/// When it is not there or has a line that is none.
pub(super) fn replay(
    folder: &Folder<'_>,
    jobs: &mut Jobs,
    found: &mut Findings,
    caps: Caps,
    (losses, snapshots): (&[Loss], &[Snapshot]),
) -> Result<Outcome, String> {
    let mut replay = Replay {
        jobs,
        found,
        caps,
        place: Place::default(),
        saved: losses.iter().map(|_| None).collect(),
        losses,
        era: 0,
        snapshots: snapshots.iter().peekable(),
        unmatched: 0,
        entries: 0,
        ends: BTreeMap::new(),
        sound: true,
        waits: Vec::new(),
        retries: 0,
        at_once: (0, None),
    };
    let there = folder.each("log", |row| match row.word("marker") {
        "" => {
            let Some(at) = entry(row.word("entry")) else { return };
            replay.entry(at, row.word("e"), row.word("a"));
        }
        "lost_suffix" => replay.loss(),
        _ => replay.found.add("log_incomplete", row.t(), None, "the log was trimmed before it was read"),
    })?;
    if !there {
        return Err("log.jsonl is not there".to_owned());
    }
    replay.close_snapshots(u64::MAX);
    replay.judge_backoff();
    let (waits, ends) = (std::mem::take(&mut replay.waits), std::mem::take(&mut replay.ends));
    let mut lines = std::mem::take(&mut replay.place.lines);
    lines.resize(replay.jobs.list.len(), Line::default());
    Ok(Outcome { lines, entries: replay.entries, unmatched: replay.unmatched, ends, waits })
}

impl Replay<'_> {
    /// The wait before a retry is random from 0 up, so that one alone may be none; many cannot.
    fn judge_backoff(&mut self) {
        let (skipped, first) = self.at_once;
        if let Some((ms, number)) = first.filter(|_| skipped > 5 && skipped * 10 > self.retries) {
            let detail = format!("{skipped} of {} retries were in line at once", self.retries);
            self.found.add("backoff_skipped", ms * 1000, Some(self.jobs.id(number)), detail);
        }
    }

    fn entry(&mut self, at: Entry, items: &str, claimed_by: &str) {
        if at <= self.place.at {
            let detail = format!("entry {}-{} after {}-{}", at.0, at.1, self.place.at.0, self.place.at.1);
            return self.found.add("log_incomplete", at.0 * 1000, None, detail);
        }
        self.due_snapshots(at);
        for (loss, saved) in self.losses.iter().zip(&mut self.saved).skip(self.era) {
            if at > loss.last && saved.is_none() {
                *saved = Some(self.place.clone());
            }
        }
        self.entries += 1;
        for item in items.split(' ').filter(|item| !item.is_empty()) {
            if self.item(at.0, item, claimed_by).is_none() {
                self.found.add("log_incomplete", at.0 * 1000, None, format!("an item that is none: {item}"));
            }
        }
        self.place.at = at;
    }

    /// Compares the snapshots of the moment before `next`.
    fn due_snapshots(&mut self, next: Entry) {
        let until = self.losses.get(self.era).map_or(u64::MAX, |loss| loss.t);
        while let Some(snapshot) = self.snapshots.next_if(|s| s.entry < next && s.t < until) {
            self.compare(snapshot);
        }
    }

    /// Compares those of this era that are left.
    fn close_snapshots(&mut self, until: u64) {
        while let Some(snapshot) = self.snapshots.next_if(|s| s.t < until) {
            self.compare(snapshot);
        }
    }

    fn compare(&mut self, snapshot: &Snapshot) {
        snapshot.check_itself(self.found);
        if snapshot.entry != self.place.at {
            self.unmatched += 1;
        } else if self.sound {
            // Once the log contradicts itself, figures that differ from it prove nothing more.
            snapshot.check_recount(&mut self.place.gauges, self.jobs, self.found);
        }
    }

    /// Back to what survived.
    fn loss(&mut self) {
        let Some(loss) = self.losses.get(self.era) else { return };
        self.close_snapshots(loss.t);
        if let Some(kept) = self.saved[self.era].take() {
            for number in self.jobs.numbers() {
                let at = number as usize;
                let (now, then) = (self.line(number), kept.lines.get(at).copied().unwrap_or_default());
                if now.state != then.state || now.token != then.token || now.redriven != then.redriven {
                    let job = self.jobs.job_mut(number);
                    job.touched_by_loss = true;
                    if then.state == State::Unborn {
                        job.lost_by = u16::try_from(self.era + 1).unwrap_or(u16::MAX);
                    }
                    job.tainted = false;
                }
            }
            self.place = kept;
        }
        self.era += 1;
    }

    fn line(&mut self, number: u32) -> Line {
        let at = number as usize;
        if self.place.lines.len() <= at {
            self.place.lines.resize(self.jobs.list.len().max(at + 1), Line::default());
        }
        self.place.lines[at]
    }

    /// One transition; `None` when it cannot be read.
    fn item(&mut self, ms: u64, item: &str, claimed_by: &str) -> Option<()> {
        let number = self.jobs.number(item.get(..22)?)?;
        let (token, what) = match item.get(22..)?.strip_prefix(':') {
            Some(named) => (hash(named.get(..22)?), named.get(22..)?),
            None => (0, &item[22..]),
        };
        let (letter, count) = (*what.as_bytes().first()?, what.get(1..)?.parse().ok()?);
        let to = target(letter)?;
        let step = Step { number, ms, letter, to, count, token, claim: hash(claimed_by) };
        let line = self.line(number);
        if !self.jobs.job(number).tainted
            && let Err((name, detail)) = step.judge(self.jobs.job(number), &line)
        {
            self.jobs.job_mut(number).tainted = true;
            self.sound = false;
            let detail = format!("{} after {}: {detail}", to.word(), line.state.word());
            self.found.add(name, ms * 1000, Some(self.jobs.id(number)), detail);
        }
        self.apply(&step, line);
        Some(())
    }

    fn apply(&mut self, step: &Step, mut line: Line) {
        let from = line.state;
        let (queue, workspace) = {
            let job = self.jobs.job(step.number);
            (job.queue, job.workspace)
        };
        if step.letter == b'p' {
            return;
        }
        let gauge = self.place.gauges.queue(queue);
        gauge.change(from, step.to);
        if from == State::Running {
            let charged = step.count >= line.attempt;
            match step.letter {
                b'S' | b'P' if charged => {
                    gauge.count(gauges::RETRIED);
                    self.retries += 1;
                    if step.letter == b'P' {
                        self.at_once = (self.at_once.0 + 1, self.at_once.1.or(Some((step.ms, step.number))));
                    }
                }
                b'S' | b'P' | b'd' | b'H' if !charged => gauge.count(gauges::UNCHARGED),
                _ => {}
            }
            line.uncharged = line.uncharged.saturating_add(u16::from(!charged));
            self.end_attempt(&line, step, charged);
            self.leave(queue, workspace);
        }
        match (from, step.letter) {
            (State::Unborn, b'S' | b'P') => {
                gauge_count(&mut self.place.gauges, queue, gauges::ENQUEUE);
                line.born_ms = step.ms;
            }
            (_, b'P') if from.is_terminal() => {
                gauge_count(&mut self.place.gauges, queue, gauges::REDRIVEN);
                (line.redriven, line.uncharged) = (line.redriven + 1, 0);
            }
            (_, b'R') => {
                gauge_count(&mut self.place.gauges, queue, gauges::DEQUEUE);
                (line.token, line.began) = (step.claim, line.began.saturating_add(1));
                self.begin_attempt(&mut line, step);
                self.enter(queue, workspace, step);
            }
            _ => {}
        }
        self.jobs.job_mut(step.number).reached |= step.to.bit();
        if from == State::Scheduled && step.letter == b'P' {
            self.note_wait(step, &line);
        }
        if step.to.is_terminal() {
            *self.ends.entry(step.ms / 1000).or_default() += 1;
        }
        (line.state, line.attempt, line.changed_ms) = (step.to, step.count, step.ms);
        self.place.lines[step.number as usize] = line;
    }

    fn begin_attempt(&mut self, line: &mut Line, step: &Step) {
        self.jobs.attempts.push(Attempt {
            job: step.number,
            token: step.claim,
            began_ms: step.ms,
            ended_ms: 0,
            end: 0,
            charged: true,
        });
        line.last = u32::try_from(self.jobs.attempts.len()).unwrap_or(u32::MAX);
    }

    fn end_attempt(&mut self, line: &Line, step: &Step, charged: bool) {
        if let Some(attempt) = (line.last as usize).checked_sub(1).and_then(|at| self.jobs.attempts.get_mut(at)) {
            (attempt.ended_ms, attempt.end, attempt.charged) = (step.ms, step.letter, charged);
        }
    }

    fn enter(&mut self, queue: u16, workspace: u16, step: &Step) {
        let running = self.place.gauges.running.entry((queue, workspace)).or_default();
        *running += 1;
        let (now, most) = (*running, self.caps.most(workspace, step.ms));
        if workspace != 0 && now > most {
            let name = self.jobs.workspaces.name(workspace);
            let detail = format!("{now} attempts of {name} run in queue {}, {most} may", self.jobs.queues.name(queue));
            self.found.add("cap_exceeded", step.ms * 1000, Some(self.jobs.id(step.number)), detail);
        }
    }

    /// Keeps a wait after a failure that was longer than the backoff, for whoever knows the faults.
    fn note_wait(&mut self, step: &Step, line: &Line) {
        let last = (line.last as usize).checked_sub(1).and_then(|at| self.jobs.attempts.get(at));
        let charged = last.is_some_and(|attempt| attempt.charged && attempt.ended_ms == line.changed_ms);
        let bound = longest_backoff_ms(line.attempt) + PROMOTION_MS;
        if charged && step.ms > line.changed_ms + bound {
            self.waits.push(Wait { job: step.number, from_ms: line.changed_ms, to_ms: step.ms, bound_ms: bound });
        }
    }

    fn leave(&mut self, queue: u16, workspace: u16) {
        if let Some(running) = self.place.gauges.running.get_mut(&(queue, workspace)) {
            *running = running.saturating_sub(1);
        }
    }
}

fn gauge_count(gauges: &mut Gauges, queue: u16, counter: usize) {
    gauges.queue(queue).count(counter);
}
