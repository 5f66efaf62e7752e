//! What a job waits for, and a queue with it: one word each, with the section of the runbook that says what to do.

use super::failure::words;

words! {
    /// The one thing that a job, or most of a queue's jobs, wait for. The order is that of their precedence for a job in
    /// line: what comes first is named, because mending anything behind it would change nothing yet.
    WaitReason {
        /// Redis may lose what it acknowledged, or refuses writes.
        RedisUnsafe = "redis_unsafe",
        /// The queue is paused.
        QueuePaused = "queue_paused",
        /// No worker process serves the queue.
        NoWorker = "no_worker",
        /// Worker processes live, and all that could claim were told to be quiet.
        WorkersQuiet = "workers_quiet",
        /// Worker processes live, and the claim loop of none comes round.
        WorkersDeaf = "workers_deaf",
        /// Worker processes live, and all of them are about to end.
        WorkersStopping = "workers_stopping",
        /// Its type is paused in the queue.
        TypePaused = "type_paused",
        /// Its workspace is paused in the queue.
        WorkspacePaused = "workspace_paused",
        /// No worker process that claims offers the type.
        TypeNotOffered = "type_not_offered",
        /// Its workspace runs as many jobs as it may.
        WorkspaceCap = "workspace_cap",
        /// It crashed its worker twice, and runs when a process has no other suspect.
        Suspect = "suspect",
        /// Redis answers, and takes more than a second for it.
        RedisSlow = "redis_slow",
        /// Every slot runs something.
        SlotsBusy = "slots_busy",
        /// Its turn.
        InLine = "in_line",
        /// Its `run_at`.
        RunAt = "run_at",
        /// The time after a failed attempt.
        Backoff = "backoff",
        /// Room in a limit of a provider, a model or the workspace.
        Limit = "limit",
        /// The money of the day is spent.
        Budget = "budget",
        /// A provider is left alone: its breaker is open, or it asked for patience.
        Breaker = "breaker",
        /// A decision.
        Held = "held",
        /// Nothing: it runs, or it has ended.
        None = "none",
        /// Of a queue only: nothing waits, and the intake is closed.
        IntakeClosed = "intake_closed",
        /// Of a queue only: nothing waits.
        Empty = "empty",
    }
}

impl WaitReason {
    /// The heading in `runbook.md` that says what to do, as an anchor.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::RedisUnsafe | Self::RedisSlow => "redis-is-unsafe-or-slow",
            Self::QueuePaused | Self::TypePaused | Self::WorkspacePaused => "something-is-paused",
            Self::NoWorker => "no-live-worker",
            Self::WorkersQuiet | Self::WorkersDeaf | Self::WorkersStopping => "workers-that-do-not-claim",
            Self::TypeNotOffered => "nobody-offers-the-type",
            Self::WorkspaceCap => "a-workspace-at-its-cap",
            Self::Suspect => "a-worker-that-crashes-again-and-again",
            Self::SlotsBusy | Self::InLine => "a-long-line",
            Self::RunAt | Self::Backoff => "waiting-for-a-time",
            Self::Limit | Self::Budget | Self::Breaker => "limits-budgets-and-breakers",
            Self::Held => "a-held-job",
            Self::IntakeClosed => "stop-the-intake-or-the-work",
            Self::None | Self::Empty => "nothing-waits",
        }
    }
}
