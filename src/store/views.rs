//! What the reads return: plain data for surfaces.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{
    DrainThen, FailureReason, Job, JobId, JobState, JobType, QueueName, RequestId, Timestamp, WorkerId, WorkerState,
    Workspace,
};

use super::pause::Switch;

/// Whose jobs a caller may see: one workspace, or all (`*`, system keys).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Jobs of this workspace only; all others answer like missing ones.
    Workspace(Workspace),
    /// Every workspace.
    All,
}

impl Scope {
    /// Whether a job of `workspace` is visible.
    #[must_use]
    pub fn sees(&self, workspace: &Workspace) -> bool {
        match self {
            Self::Workspace(own) => own == workspace,
            Self::All => true,
        }
    }
}

/// A filter over the jobs of one workspace, newest first.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// Whose jobs.
    pub workspace: Workspace,
    /// Only this state.
    pub state: Option<JobState>,
    /// Only this type.
    pub job_type: Option<JobType>,
    /// Only this queue.
    pub queue: Option<QueueName>,
    /// Only the job with this client id.
    pub request_id: Option<RequestId>,
    /// Created at or after.
    pub created_after: Option<Timestamp>,
    /// Created before.
    pub created_before: Option<Timestamp>,
    /// Rows wanted, 1 to 200.
    pub limit: usize,
    /// Where the last page ended.
    pub from: Option<Vec<ListPlace>>,
}

/// How far a list has come on one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListPlace {
    /// Nothing of this shard was listed yet.
    Start,
    /// This far.
    At(ListPosition),
    /// All of it was listed.
    End,
}

/// Where a page ended on one shard; opaque to clients (they get it signed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPosition {
    /// The hour of the index, in hours since the epoch.
    pub hour: i64,
    /// Entries of that hour not yet seen, counted from its oldest; -1 for all of them.
    pub offset: i64,
}

/// One page; may be short, and is the last when `next` is `None`.
#[derive(Clone, Debug)]
pub struct ListPage {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Where to go on, by shard.
    pub next: Option<Vec<ListPlace>>,
}

/// Who switched something off, when, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchedBy {
    /// The name of the key that did it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Their words, possibly empty.
    pub reason: String,
    /// Of a drain with a deadline: when it is, and what becomes of what is left then.
    pub deadline: Option<(Timestamp, DrainThen)>,
}

/// The one thing a job waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// Nothing: it runs, or it has ended.
    None,
    /// Its turn.
    InLine,
    /// Every slot of the workers that claim runs something.
    SlotsBusy,
    /// Its `run_at`.
    RunAt(Timestamp),
    /// The end of a backoff.
    Backoff(Timestamp),
    /// The queue is paused.
    QueuePaused(SwitchedBy),
    /// Its type is paused in the queue.
    TypePaused(SwitchedBy),
    /// Its workspace is paused in the queue.
    WorkspacePaused(SwitchedBy),
    /// Its workspace runs as many jobs as it may.
    WorkspaceCap {
        /// The cap.
        max_running: u32,
    },
    /// No worker is alive on the queue.
    NoWorker,
    /// Workers are alive, and none of them claims; the state that explains it.
    NotClaiming(WorkerState),
    /// Workers claim, and none of them offers the type.
    TypeNotOffered,
    /// Its worker died twice, so it waits to run as its worker's only suspect.
    Suspect {
        /// Crashes so far.
        crashes: u32,
    },
    /// It is held; the job says why.
    Held,
}

/// Why a job waits.
#[derive(Clone, Debug)]
pub struct Why {
    /// The job.
    pub job: Job,
    /// The reason.
    pub blocker: Blocker,
    /// Jobs ahead of it in its band (0 = next), while it is in line.
    pub position: Option<u64>,
    /// Live workers on its queue.
    pub workers: u64,
    /// The workers of its queue, by how they stand.
    pub crew: Crew,
    /// What is ahead of it, while it is in line.
    pub ahead: Ahead,
    /// When its lease ended, of a running job whose worker died or is cut off: the next claim puts it back in line.
    pub lost: Option<Timestamp>,
    /// When this was read, by Redis' time.
    pub now: Timestamp,
}

/// The live workers of a queue; of more than 100 only 100 are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crew {
    /// How many stand how.
    pub states: BTreeMap<&'static str, u64>,
    /// Who told quiet and stopping ones to be so, without repeats.
    pub told_by: Vec<String>,
    /// Slots of those that claim.
    pub slots: u64,
    /// Of these, taken.
    pub busy: u64,
    /// What the first 50 leases of the queue are for, most first.
    pub running: Vec<(JobType, u64)>,
    /// Workers that offer the type of the job, though they do not claim.
    pub offered_by_others: u64,
    /// Of these, those that were told to be quiet: one order brings them back.
    pub offered_by_quiet: u64,
}

/// What is ahead of a job in line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Jobs in bands that are served first.
    pub higher: u64,
    /// Jobs of the same band.
    pub in_band: u64,
    /// The next 50 of the band at most: workspace, its weight, how many of them; most first.
    pub of: Vec<(Workspace, u32, u64)>,
}

/// What the waiting jobs of a queue wait for.
#[derive(Clone, Debug)]
pub struct QueueWhy {
    /// Its figures.
    pub summary: QueueSummary,
    /// When these were read, by Redis' time.
    pub now: Timestamp,
    /// Its workers.
    pub crew: Crew,
    /// Jobs by what they wait for, most first: those in line, and those that the next claim puts there.
    pub waiting: Vec<Waiting>,
    /// When the next job that waits for a time is due.
    pub next_due: Option<Timestamp>,
    /// How long the oldest job in line is, parked ones included; of more than 100 blockers 100 are looked at.
    pub oldest: Option<Duration>,
}

/// Jobs in line that wait for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// For what.
    pub blocker: Blocker,
    /// The type or the workspace that it concerns.
    pub subject: Option<String>,
    /// How many.
    pub jobs: u64,
    /// One of them.
    pub sample: Option<JobId>,
}

/// A queue at one moment, from one script.
#[derive(Clone, Debug)]
pub struct QueueSummary {
    /// Its name.
    pub name: QueueName,
    /// In line, parked included: `LLEN ai:queue:pending`.
    pub depth: u64,
    /// Of these, parked behind a block.
    pub parked: u64,
    /// Of the parked ones, those that wait for another kind of worker, or for one without a suspect.
    pub wait_for_worker: u64,
    /// Of the parked ones, those whose type or workspace is paused; of 100 pauses at most.
    pub behind_pause: u64,
    /// Waiting for a time.
    pub scheduled: u64,
    /// Of these, those whose time has come: the next claim puts them in line.
    pub due: u64,
    /// Under a lease.
    pub running: u64,
    /// Of these, those whose lease has ended: the next claim puts them back in line.
    pub orphaned: u64,
    /// Set aside.
    pub held: u64,
    /// Of these, by reason; every reason is there. What an older version held is not counted.
    pub held_by: BTreeMap<&'static str, u64>,
    /// Jobs ever set aside because nobody could tell whether an effect happened.
    pub outcome_unknown_total: u64,
    /// Dead letters.
    pub dead: u64,
    /// Live workers that serve it.
    pub workers: u64,
    /// Jobs ever enqueued here.
    pub enqueued_total: u64,
    /// Jobs ever claimed here.
    pub dequeued_total: u64,
    /// Leases that ran out here.
    pub lease_expiries_total: u64,
    /// Terminal transitions by state.
    pub finished_total: BTreeMap<&'static str, u64>,
    /// How long the job that is next in line could have run, an approximation of the oldest.
    pub oldest_pending: Option<Duration>,
    /// Set while paused.
    pub paused: Option<SwitchedBy>,
    /// Set while intake is closed.
    pub draining: Option<SwitchedBy>,
    /// Types and workspaces that are paused.
    pub paused_parts: Vec<(Switch, SwitchedBy)>,
    /// When this was read, by Redis' time.
    pub read_at: Timestamp,
}

impl QueueSummary {
    /// Jobs that a worker could have, or that the next claim puts in line. Without a claim nothing moves, so with no
    /// worker alive the line itself does not show jobs whose time has come, nor those of a worker that died.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.depth + self.due + self.orphaned
    }
}

/// A live worker process.
#[derive(Clone, Debug)]
pub struct WorkerSummary {
    /// Its id, fresh per start.
    pub id: WorkerId,
    /// The machine's name.
    pub host: String,
    /// The process id there.
    pub pid: u32,
    /// Its version of Windlass.
    pub version: String,
    /// Queues it serves, with weights.
    pub queues: Vec<(String, u32)>,
    /// Types it offers.
    pub types: Vec<String>,
    /// Slots.
    pub slots: u32,
    /// Slots in use at its last heartbeat.
    pub busy: u32,
    /// As it says itself: `running`, `quiet`, `draining`, `deaf`.
    pub status: String,
    /// Whether it knows orders from afar; older versions ignore them.
    pub hears: bool,
    /// Whether its claim loop came round since it started, and it claims now.
    pub claims: bool,
    /// Who told it to be quiet or to stop; empty for nobody.
    pub told_by: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it was last heard.
    pub seen_at: Timestamp,
}

impl WorkerSummary {
    /// How it stands.
    #[must_use]
    pub fn state(&self) -> WorkerState {
        WorkerState::from_status(&self.status)
    }
}

/// Dead letters with one cause.
#[derive(Clone, Debug)]
pub struct DeadGroup {
    /// The queue.
    pub queue: QueueName,
    /// The type.
    pub job_type: JobType,
    /// The error fingerprint they share.
    pub fingerprint: String,
    /// The reason.
    pub reason: Option<FailureReason>,
    /// How many are dead now.
    pub count: u64,
    /// First death.
    pub first: Timestamp,
    /// Latest death.
    pub last: Timestamp,
    /// The latest of them.
    pub sample: JobId,
}

/// Limits of one workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkspaceLimits {
    /// Share in line relative to the others, 1 to 100; default 1.
    pub weight: u32,
    /// Jobs running at once in each queue; `None` is no cap.
    pub max_running: Option<u32>,
}

impl Default for WorkspaceLimits {
    fn default() -> Self {
        Self { weight: 1, max_running: None }
    }
}

/// An API key as stored: never the key itself.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    /// Short public id, also the prefix of the key.
    pub id: String,
    /// SHA-256 of the key, in hex.
    pub hash: String,
    /// The workspace it is bound to, or `*`.
    pub workspace: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// A name for people.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}
