//! The queue as plain data: what each job should be after each step. It knows nothing of Redis and
//! nothing of order; which jobs a claim picks is the store's choice, and the model judges it.

use std::collections::{BTreeMap, BTreeSet};

use windlass::domain::{AttemptId, JobId, JobState, WorkerId};

use super::step::{Block, End, When};

#[derive(Clone, Debug)]
pub(super) struct ModelJob {
    pub(super) ws: usize,
    pub(super) request: usize,
    pub(super) kind: usize,
    pub(super) other_body: bool,
    pub(super) state: JobState,
    pub(super) attempt: u32,
    pub(super) crashes: u32,
    /// In `scheduled`: the time has come.
    due: bool,
    /// Its time in line is over.
    ended: bool,
    pub(super) lease: Option<Lease>,
    /// The attempt whose report was the last thing that happened to it.
    reported_by: Option<AttemptId>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) attempt: AttemptId,
    pub(super) worker: WorkerId,
    pub(super) over: bool,
}

/// What a report should be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Done,
    DoneBefore,
    Stale,
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) jobs: BTreeMap<JobId, ModelJob>,
    /// (workspace, request) → who holds the idempotency key.
    pub(super) keys: BTreeMap<(usize, usize), JobId>,
    pub(super) live: BTreeSet<WorkerId>,
    pub(super) blocks: std::collections::HashSet<Block>,
    pub(super) caps: BTreeMap<usize, u32>,
}

impl Model {
    pub(super) fn add(&mut self, id: JobId, job: (usize, usize, usize, bool), state: JobState, run: When, ended: bool) {
        let (ws, request, kind, other_body) = job;
        self.keys.insert((ws, request), id);
        let due = run != When::Far;
        let fresh = ModelJob {
            ws,
            request,
            kind,
            other_body,
            state,
            attempt: 0,
            crashes: 0,
            due,
            ended,
            lease: None,
            reported_by: None,
        };
        assert!(self.jobs.insert(id, fresh).is_none());
    }

    /// What every claim does first.
    pub(super) fn tend(&mut self, may_reap: bool) {
        let live = self.live.clone();
        for job in self.jobs.values_mut() {
            if job.state == JobState::Scheduled && job.due {
                job.state = JobState::Pending;
            }
            if matches!(job.state, JobState::Scheduled | JobState::Pending) && job.ended {
                job.state = JobState::Expired;
            }
            if let (JobState::Running, Some(lease), true) = (job.state, job.lease, may_reap)
                && lease.over
            {
                job.reap(live.contains(&lease.worker));
            }
        }
    }

    /// Whether a claim of these types may take the job now.
    fn claimable(&self, job: &ModelJob, kinds: &[usize], may_suspect: bool) -> bool {
        let blocks = [Block::Queue, Block::Kind(job.kind), Block::Workspace(job.ws)];
        job.state == JobState::Pending
            && kinds.contains(&job.kind)
            && !blocks.iter().any(|block| self.blocks.contains(block))
            && self.caps.get(&job.ws).is_none_or(|cap| self.running(job.ws) < *cap)
            && (job.crashes == 0 || may_suspect)
    }

    fn running(&self, ws: usize) -> u32 {
        self.jobs.values().filter(|job| job.state == JobState::Running && job.ws == ws).count() as u32
    }

    /// Takes what a claim brought, one job after the other, and then says whether more was left.
    pub(super) fn claim(&mut self, taken: &[JobId], want: usize, kinds: &[usize], mut may_suspect: bool, lease: Lease) {
        assert!(taken.len() <= want, "{} of {want}", taken.len());
        for id in taken {
            let job = self.jobs.get(id).unwrap_or_else(|| panic!("{id} is unknown"));
            assert!(self.claimable(job, kinds, may_suspect), "{id} was claimed: {job:?}");
            let job = self.jobs.get_mut(id).unwrap();
            job.state = JobState::Running;
            job.attempt += 1;
            job.lease = Some(lease);
            job.reported_by = None;
            may_suspect &= job.crashes == 0;
        }
        if taken.len() < want {
            let left: Vec<_> = self.jobs.iter().filter(|(_, job)| self.claimable(job, kinds, may_suspect)).collect();
            assert!(left.is_empty(), "a claim for {want} brought {taken:?} and left {left:?}");
        }
    }

    pub(super) fn report(&mut self, id: JobId, attempt: AttemptId, end: End) -> Verdict {
        let job = self.jobs.get_mut(&id).unwrap();
        if job.lease.is_none_or(|lease| lease.attempt != attempt) {
            return if job.reported_by == Some(attempt) { Verdict::DoneBefore } else { Verdict::Stale };
        }
        job.lease = None;
        job.reported_by = Some(attempt);
        let wait = |job: &mut ModelJob, when| {
            job.state = if when == When::Now { JobState::Pending } else { JobState::Scheduled };
            job.due = when == When::Soon;
        };
        match end {
            End::Succeed => job.state = JobState::Succeeded,
            End::Retry(when) => wait(job, when),
            End::GiveBack(when) => {
                job.attempt -= 1;
                wait(job, when);
            }
            End::Release => {
                job.attempt -= 1;
                wait(job, When::Now);
            }
            End::Die => job.state = JobState::Dead,
            End::Hold => job.state = JobState::Held,
        }
        Verdict::Done
    }

    /// Keeps a job that this call scheduled from becoming due in it; true if that has to be undone.
    pub(super) fn hold_back(&mut self, id: JobId) -> bool {
        let job = self.jobs.get_mut(&id).unwrap();
        std::mem::replace(&mut job.due, false)
    }

    pub(super) fn let_go(&mut self, id: JobId) {
        self.jobs.get_mut(&id).unwrap().due = true;
    }

    /// True when the cancel changes the job.
    pub(super) fn cancel(&mut self, id: JobId) -> bool {
        let job = self.jobs.get_mut(&id).unwrap();
        if job.state.is_terminal() {
            return false;
        }
        job.state = JobState::Cancelled;
        job.lease = None;
        true
    }

    /// Who has the request of a job, if that is another job.
    pub(super) fn redrive(&mut self, id: JobId) -> Option<JobId> {
        let job = self.jobs.get_mut(&id).unwrap();
        let owner = *self.keys.entry((job.ws, job.request)).or_insert(id);
        if owner != id {
            return Some(owner);
        }
        (job.state, job.attempt, job.crashes) = (JobState::Pending, 0, 0);
        (job.ended, job.reported_by) = (false, None);
        None
    }
}

impl ModelJob {
    fn reap(&mut self, worker_lives: bool) {
        self.lease = None;
        self.attempt -= 1;
        self.state = JobState::Pending;
        if !worker_lives {
            self.crashes += 1;
            if self.crashes >= 3 {
                self.state = JobState::Dead;
            }
        }
    }
}
