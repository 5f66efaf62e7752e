//! The queue as plain data and one pure function, [`step`]. It knows nothing of Redis, of ids and of order; which jobs
//! a claim picks is the store's choice, and the model judges it.

use std::collections::{BTreeMap, BTreeSet};

use windlass::domain::JobState;

use super::command::{Answer, Block, Cancel, Claim, Command, End, Item, Redrive, Reply, Verdict, When};

/// Crashes after which a job is poison.
const POISON: u32 = 3;
/// Crashes from which a process runs one such job at a time.
const SUSPECT: u32 = 2;
/// Attempts of a job.
const MOST: u32 = 3;
/// All are held for this here.
const HELD: &str = "held:outcome_unknown";

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ModelJob {
    pub(super) item: Item,
    pub(super) state: JobState,
    pub(super) attempt: u32,
    pub(super) crashes: u32,
    /// In `scheduled`: the time has come.
    due: bool,
    /// Its time in line is over.
    ended: bool,
    pub(super) lease: Option<Lease>,
    /// The attempt whose report was the last thing that happened to it.
    pub(super) reported_by: Option<usize>,
    /// An effect may have happened.
    pub(super) doubt: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lease {
    pub(super) attempt: usize,
    pub(super) worker: usize,
    pub(super) over: bool,
}

/// Everything there is. Jobs are numbered in the order they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Model {
    pub(super) jobs: Vec<ModelJob>,
    /// (workspace, request) → who holds the idempotency key.
    pub(super) keys: BTreeMap<(usize, usize), usize>,
    pub(super) live: BTreeSet<usize>,
    pub(super) blocks: BTreeSet<Block>,
    pub(super) caps: BTreeMap<usize, usize>,
    /// Jobs that may wait; `None` is any number.
    pub(super) depth_limit: Option<usize>,
    /// As in the queue's statistics.
    pub(super) counters: BTreeMap<&'static str, i64>,
}

/// One command.
///
/// # Errors
/// When a claim brought what it may not bring, or left what it should have brought.
pub(super) fn step(model: &mut Model, command: &Command) -> Result<Reply, String> {
    Ok(match command {
        Command::Enqueue(items) => Reply::Enqueued(model.enqueue(items)),
        Command::Exchange { reports, claim } => {
            let verdicts = reports.iter().map(|(job, attempt, end)| model.report(*job, *attempt, *end)).collect();
            if let Some(claim) = claim {
                model.tend(claim.may_reap && model.live.contains(&claim.worker));
                model.claim(claim)?;
            }
            model.moment_passes();
            Reply::Reported(verdicts)
        }
        Command::Heartbeat { worker, leases } => {
            model.live.insert(*worker);
            Reply::Held(leases.iter().map(|(job, attempt)| model.renew(*job, *attempt)).collect())
        }
        Command::Progress { job, attempt } => {
            Reply::Stored(model.jobs[*job].lease.is_some_and(|lease| lease.attempt == *attempt))
        }
        Command::Intent { job, attempt } => {
            let holds = model.jobs[*job].lease.is_some_and(|lease| lease.attempt == *attempt);
            model.jobs[*job].doubt |= holds;
            Reply::Stored(holds)
        }
        Command::Unhold { job, nothing_happened } => Reply::Unheld(model.unhold(*job, *nothing_happened)),
        Command::Cancel(job) => Reply::Cancelled(model.cancel(*job)),
        Command::Redrive(job) => Reply::Redriven(model.redrive(*job)),
        other => {
            model.change(other);
            Reply::Nothing
        }
    })
}

impl Model {
    /// Jobs in this state.
    pub(super) fn count(&self, state: JobState) -> usize {
        self.jobs.iter().filter(|job| job.state == state).count()
    }

    fn tally(&mut self, counter: &'static str) {
        *self.counters.entry(counter).or_default() += 1;
    }

    fn change(&mut self, command: &Command) {
        match *command {
            Command::Pause(block) => drop(self.blocks.insert(block)),
            Command::Resume(block) => drop(self.blocks.remove(&block)),
            Command::Limit { ws, cap: Some(cap) } => drop(self.caps.insert(ws, cap)),
            Command::Limit { ws, cap: None } => drop(self.caps.remove(&ws)),
            Command::LeaseEnds(job) => {
                if let Some(lease) = &mut self.jobs[job].lease {
                    lease.over = true;
                }
            }
            Command::WorkerGone(worker) => drop(self.live.remove(&worker)),
            Command::InLineOver(job) => {
                self.jobs[job].ended |= matches!(self.jobs[job].state, JobState::Scheduled | JobState::Pending);
                self.tend(false);
            }
            Command::KeyEnds { ws, request } => drop(self.keys.remove(&(ws, request))),
            _ => {}
        }
    }

    fn enqueue(&mut self, items: &[Item]) -> Vec<Answer> {
        let waiting = self.count(JobState::Pending) + self.count(JobState::Scheduled);
        let room = self.depth_limit.map_or(usize::MAX, |limit| limit.saturating_sub(waiting));
        let (mut made, mut answers) = (0, Vec::new());
        for item in items {
            answers.push(match self.keys.get(&(item.ws, item.request)) {
                Some(owner) if self.jobs[*owner].item.other_body == item.other_body => Answer::Replay(*owner),
                Some(owner) => Answer::OtherBody(*owner),
                None if self.blocks.contains(&Block::Intake) => Answer::Draining,
                None if made >= room => Answer::Full,
                None => {
                    made += 1;
                    self.add(*item)
                }
            });
        }
        self.moment_passes();
        answers
    }

    fn add(&mut self, item: Item) -> Answer {
        let (job, later) = (self.jobs.len(), item.run != When::Now);
        self.keys.insert((item.ws, item.request), job);
        self.tally("enqueue");
        self.jobs.push(ModelJob {
            item,
            state: if later { JobState::Scheduled } else { JobState::Pending },
            attempt: 0,
            crashes: 0,
            due: false,
            ended: item.ends_soon,
            lease: None,
            reported_by: None,
            doubt: false,
        });
        Answer::New(job, later)
    }

    /// What was to happen soon has come.
    fn moment_passes(&mut self) {
        for job in &mut self.jobs {
            job.due |= job.state == JobState::Scheduled && job.item.run == When::Soon;
        }
    }

    /// What every claim does first.
    fn tend(&mut self, may_reap: bool) {
        for at in 0..self.jobs.len() {
            let job = &mut self.jobs[at];
            if job.state == JobState::Scheduled && job.due {
                job.state = JobState::Pending;
            }
            if matches!(job.state, JobState::Scheduled | JobState::Pending) && job.ended {
                job.state = JobState::Expired;
                self.tally("expired");
            } else if let (Some(lease), true) = (job.lease, may_reap)
                && lease.over
            {
                let lives = self.live.contains(&lease.worker);
                self.jobs[at].reap(lives);
                self.tally("lease_expiries");
                match self.jobs[at].state {
                    JobState::Dead => self.tally("dead"),
                    JobState::Held => self.set_aside(),
                    _ => {}
                }
            }
        }
    }

    /// Whether a claim of these types may take the job now.
    pub(super) fn claimable(&self, job: &ModelJob, kinds: &[usize], may_suspect: bool) -> bool {
        let blocks = [Block::Queue, Block::Kind(job.item.kind), Block::Workspace(job.item.ws)];
        job.state == JobState::Pending
            && kinds.contains(&job.item.kind)
            && !blocks.iter().any(|block| self.blocks.contains(block))
            && self.caps.get(&job.item.ws).is_none_or(|cap| self.running(job.item.ws) < *cap)
            && (job.crashes < SUSPECT || may_suspect)
    }

    pub(super) fn running(&self, ws: usize) -> usize {
        self.jobs.iter().filter(|job| job.state == JobState::Running && job.item.ws == ws).count()
    }

    /// Takes what a claim brought, one job after the other, and then looks whether more was left.
    fn claim(&mut self, claim: &Claim) -> Result<(), String> {
        let Claim { taken, want, kinds, .. } = claim;
        let mut may_suspect = claim.may_suspect;
        if taken.len() > *want {
            return Err(format!("a claim for {want} brought {taken:?}"));
        }
        for at in taken {
            let job = self.jobs.get(*at).ok_or_else(|| format!("job {at} is unknown"))?;
            if !self.claimable(job, kinds, may_suspect) {
                return Err(format!("job {at} was claimed: {job:?}"));
            }
            may_suspect &= job.crashes < SUSPECT;
            let job = &mut self.jobs[*at];
            job.state = JobState::Running;
            job.attempt += 1;
            job.lease = Some(Lease { attempt: claim.attempt, worker: claim.worker, over: claim.brief });
            job.reported_by = None;
            self.tally("dequeue");
        }
        let left: Vec<usize> =
            (0..self.jobs.len()).filter(|at| self.claimable(&self.jobs[*at], kinds, may_suspect)).collect();
        if taken.len() < *want && !left.is_empty() {
            return Err(format!("a claim for {want} brought {taken:?} and left {left:?}"));
        }
        Ok(())
    }

    fn report(&mut self, at: usize, attempt: usize, end: End) -> Verdict {
        let job = &mut self.jobs[at];
        if job.lease.is_none_or(|lease| lease.attempt != attempt) {
            return if job.reported_by == Some(attempt) { Verdict::DoneBefore } else { Verdict::Stale };
        }
        (job.lease, job.reported_by) = (None, Some(attempt));
        let counter = match end {
            End::Succeed => {
                job.state = JobState::Succeeded;
                Some("succeeded")
            }
            End::Retry(when) => {
                job.wait(when);
                Some("retried")
            }
            End::GiveBack(_) | End::Release => {
                job.attempt -= 1;
                job.wait(if let End::GiveBack(when) = end { when } else { When::Now });
                Some("released")
            }
            End::Die if job.doubt => {
                job.state = JobState::Held;
                self.set_aside();
                None
            }
            End::Die => {
                job.state = JobState::Dead;
                Some("dead")
            }
            End::Hold => {
                job.state = JobState::Held;
                self.set_aside();
                None
            }
        };
        if let Some(counter) = counter {
            self.tally(counter);
        }
        Verdict::Done
    }

    fn renew(&mut self, job: usize, attempt: usize) -> bool {
        let lease = self.jobs[job].lease.as_mut().filter(|lease| lease.attempt == attempt);
        lease.map(|lease| lease.over = false).is_some()
    }

    fn cancel(&mut self, at: usize) -> Cancel {
        let job = &mut self.jobs[at];
        if job.state.is_terminal() {
            return if job.state == JobState::Dead { Cancel::Dead } else { Cancel::NotLive };
        }
        let held = job.state == JobState::Held;
        (job.state, job.lease) = (JobState::Cancelled, None);
        self.tally("cancelled");
        if held {
            *self.counters.entry(HELD).or_default() -= 1;
        }
        Cancel::Now
    }

    fn set_aside(&mut self) {
        self.tally(HELD);
        self.tally("outcome_unknown");
    }

    fn unhold(&mut self, at: usize, nothing_happened: bool) -> bool {
        let job = &mut self.jobs[at];
        if job.state != JobState::Held {
            return false;
        }
        job.wait(When::Now);
        job.attempt = job.attempt.min(MOST - 1);
        job.doubt &= !nothing_happened;
        *self.counters.entry(HELD).or_default() -= 1;
        true
    }

    fn redrive(&mut self, at: usize) -> Redrive {
        let job = &mut self.jobs[at];
        if !matches!(job.state, JobState::Dead | JobState::Cancelled | JobState::Expired) {
            return Redrive::NotRedrivable;
        }
        let owner = *self.keys.entry((job.item.ws, job.item.request)).or_insert(at);
        if owner != at {
            return Redrive::Superseded(owner);
        }
        (job.state, job.attempt, job.crashes) = (JobState::Pending, 0, 0);
        (job.ended, job.reported_by) = (false, None);
        self.tally("redriven");
        Redrive::Now
    }
}

impl ModelJob {
    /// From here on `run` tells when it is due again.
    fn wait(&mut self, when: When) {
        self.state = if when == When::Now { JobState::Pending } else { JobState::Scheduled };
        (self.item.run, self.due) = (when, false);
    }

    fn reap(&mut self, worker_lives: bool) {
        self.lease = None;
        self.attempt -= 1;
        self.state = JobState::Pending;
        if !worker_lives {
            self.crashes += 1;
            if self.crashes >= POISON {
                self.state = if self.doubt { JobState::Held } else { JobState::Dead };
            }
        }
    }
}
