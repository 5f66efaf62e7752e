//! What can be asked of the queue, in the terms of the model: jobs, attempts and workers are numbers in the order in
//! which they came up.

/// When something happens relative to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum When {
    Now,
    /// A moment later: past before the next command.
    Soon,
    /// Not within the test.
    Far,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    Succeed,
    Retry(When),
    GiveBack(When),
    Release,
    Die,
    Hold,
}

/// What a pause covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Block {
    Queue,
    Intake,
    Kind(usize),
    Workspace(usize),
}

/// What a client wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Item {
    pub(super) ws: usize,
    pub(super) request: usize,
    pub(super) kind: usize,
    pub(super) other_body: bool,
    pub(super) run: When,
    /// Its time in line is over a moment later.
    pub(super) ends_soon: bool,
}

/// A claim, and what it brought: which jobs is the store's choice, and the model judges it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Claim {
    pub(super) worker: usize,
    pub(super) attempt: usize,
    pub(super) want: usize,
    pub(super) kinds: Vec<usize>,
    pub(super) may_suspect: bool,
    pub(super) may_reap: bool,
    /// The leases are over a moment later.
    pub(super) brief: bool,
    pub(super) taken: Vec<usize>,
}

/// Whatever changes the state of a queue, or lets time pass for something in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Command {
    Enqueue(Vec<Item>),
    /// `cycle`; `claim` without reports; `release` without a claim.
    Exchange {
        /// Job, attempt, and how it ended.
        reports: Vec<(usize, usize, End)>,
        claim: Option<Claim>,
    },
    Heartbeat {
        worker: usize,
        leases: Vec<(usize, usize)>,
    },
    Progress {
        job: usize,
        attempt: usize,
    },
    /// An effect that nobody can look up is put on record.
    Intent {
        job: usize,
        attempt: usize,
    },
    Cancel(usize),
    Redrive(usize),
    /// A decision; whether it says that no effect happened.
    Unhold {
        job: usize,
        nothing_happened: bool,
    },
    Pause(Block),
    Resume(Block),
    Limit {
        ws: usize,
        cap: Option<usize>,
    },
    /// The janitor's step. Nothing may change by it.
    Tend,
    /// The lease of a job runs out.
    LeaseEnds(usize),
    /// The registration of a worker runs out.
    WorkerGone(usize),
    /// A job's time in line is over, and the janitor looks.
    InLineOver(usize),
    /// The idempotency key of a request runs out.
    KeyEnds {
        ws: usize,
        request: usize,
    },
}

/// What a command is answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reply {
    Nothing,
    Enqueued(Vec<Answer>),
    Reported(Vec<Verdict>),
    /// Whether each lease is still held.
    Held(Vec<bool>),
    /// Whether the progress, or the intent, was stored.
    Stored(bool),
    /// Whether it was held.
    Unheld(bool),
    /// Now, dead already, or not live.
    Cancelled(Cancel),
    Redriven(Redrive),
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    /// Under this number; whether it waits for its time.
    New(usize, bool),
    Replay(usize),
    OtherBody(usize),
    Full,
    Draining,
}

/// What a report is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Verdict {
    Done,
    DoneBefore,
    Stale,
}

/// What a cancel found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Cancel {
    Now,
    Dead,
    NotLive,
}

/// What a redrive found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Redrive {
    Now,
    Superseded(usize),
    NotRedrivable,
}
