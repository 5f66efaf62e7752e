//! Bulk operations: one action on every job that a filter names, in bounded steps.

use std::collections::BTreeMap;

use super::failure::words;
use super::{FailureReason, HeldReason, JobId, JobState, JobType, QueueName, Timestamp, Workspace};

words! {
    /// What an operation does to each job.
    OperationAction {
        /// End it as cancelled.
        Cancel = "cancel",
        /// Give it another life.
        Redrive = "redrive",
        /// Put it into another queue.
        Move = "move",
        /// Set it aside until someone releases it.
        Hold = "hold",
        /// Put it back in line.
        Release = "release",
        /// Remove a dead letter for good.
        Discard = "discard",
    }
}

words! {
    /// How an operation stands.
    OperationState {
        /// Steps are made.
        Running = "running",
        /// Someone stopped it; it can be resumed.
        Stopped = "stopped",
        /// It has been through all jobs.
        Finished = "finished",
    }
}

words! {
    /// Why a job that the filter named was left as it was.
    Skipped {
        /// It was in another state by then: it ran, ended, or someone else was first.
        State = "wrong_state",
        /// Another job has its `client_request_id` now.
        Superseded = "superseded",
        /// The target queue has no room.
        QueueFull = "queue_full",
        /// It waits for a decision that an operation may not make.
        Decision = "needs_decision",
    }
}

impl OperationAction {
    /// The states of jobs that the action applies to.
    #[must_use]
    pub const fn states(self) -> &'static [JobState] {
        match self {
            Self::Cancel => &[JobState::Pending, JobState::Scheduled, JobState::Running, JobState::Held],
            Self::Redrive => &[JobState::Dead, JobState::Cancelled, JobState::Expired],
            Self::Move | Self::Hold => &[JobState::Pending, JobState::Scheduled],
            Self::Release => &[JobState::Held],
            Self::Discard => &[JobState::Dead],
        }
    }

    /// The states it applies to when the filter names none. A redrive means dead letters: who wants cancelled jobs
    /// back says so.
    #[must_use]
    pub const fn default_states(self) -> &'static [JobState] {
        match self {
            Self::Redrive => &[JobState::Dead],
            other => other.states(),
        }
    }
}

/// Which jobs; all that is named has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// In one of these states; never empty in an [`Operation`].
    pub states: Vec<JobState>,
    /// In this queue; every queue without it.
    pub queue: Option<QueueName>,
    /// Of this type.
    pub job_type: Option<JobType>,
    /// Of this workspace.
    pub workspace: Option<Workspace>,
    /// Whose last failure has this fingerprint.
    pub fingerprint: Option<String>,
    /// Whose last failure has this reason.
    pub reason: Option<FailureReason>,
    /// Held for this.
    pub held_reason: Option<HeldReason>,
    /// In its state since before this moment: died, held or ended before; created before, for jobs that wait or run.
    pub before: Option<Timestamp>,
    /// In its state since this moment or later.
    pub after: Option<Timestamp>,
    /// Metadata entries that are equal, strings as they are and other values as compact JSON; at most 16.
    pub metadata: BTreeMap<String, String>,
}

/// An operation as someone wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationPlan {
    /// What to do.
    pub action: OperationAction,
    /// To which jobs.
    pub filter: JobFilter,
    /// Where to, for [`OperationAction::Move`].
    pub target: Option<QueueName>,
    /// Jobs changed per second at most, 1 to 100,000.
    pub rate: u32,
    /// Why, in the words of who wants it; possibly empty.
    pub note: String,
}

/// Jobs counted by an operation. `matched` = `done` + all of `skipped`, at every moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperationCounts {
    /// Jobs that the filter named, met so far.
    pub matched: u64,
    /// Changed.
    pub done: u64,
    /// Left as they were, by why.
    pub skipped: BTreeMap<Skipped, u64>,
    /// Shards that did not answer, and whose part in this is not known.
    pub missing_shards: Vec<u8>,
}

/// An operation as it is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its name: made like a job's id.
    pub id: JobId,
    /// What was wanted. Ages are moments here, fixed when it began.
    pub plan: OperationPlan,
    /// How it stands.
    pub state: OperationState,
    /// Who began it.
    pub by: String,
    /// When. No job that came into its state later is touched.
    pub created_at: Timestamp,
    /// Raised by everyone who stops it or begins to carry it on. A step that was wanted under a smaller one is refused.
    pub fence: u64,
    /// Who stopped or resumed it last, and when.
    pub changed: Option<(String, Timestamp)>,
    /// When it had been through all jobs.
    pub finished_at: Option<Timestamp>,
    /// Jobs that it is expected to match: the dry run's count. Jobs come and go, so it is an estimate.
    pub expected: Option<u64>,
    /// What it did so far.
    pub counts: OperationCounts,
}

/// What an operation would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// Jobs that the filter names now.
    pub matched: u64,
    /// False if the look was cut short: there are at least `matched`.
    pub complete: bool,
    /// How many of them are in which queue, type and state, most first; at most 100 rows.
    pub groups: Vec<PreviewGroup>,
    /// How many are of which workspace, as far as jobs were looked at, most first; at most 10.
    pub workspaces: Vec<(Workspace, u64)>,
    /// Workspaces behind those.
    pub other_workspaces: u64,
    /// Some of them, at most 10.
    pub sample: Vec<JobId>,
}

/// Jobs of a preview that have something in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewGroup {
    /// Their queue.
    pub queue: QueueName,
    /// Their type.
    pub job_type: JobType,
    /// Their state.
    pub state: JobState,
    /// How many.
    pub count: u64,
}
