//! What is known of each job, from every source, in a few hundred bytes.

use std::collections::HashMap;

use super::rules::State;
use super::symbols::{Id, Names};

/// What clients were told, and what the final dump says. Times of clients are unix microseconds, those of Redis
/// unix milliseconds; 0 is never.
#[derive(Clone, Debug, Default)]
pub(super) struct Job {
    pub(super) workspace: u16,
    pub(super) queue: u16,
    pub(super) kind: u16,
    /// 0 when not known.
    pub(super) max_attempts: u16,
    pub(super) run_at_ms: u64,
    /// Only where the client asked for it, or the dump says so.
    pub(super) expires_at_ms: u64,
    /// Workspace and client_request_id.
    pub(super) key: u64,
    pub(super) body: u64,
    pub(super) ack_invoked: u64,
    pub(super) acked: u64,
    pub(super) cancel_acked: u64,
    /// Cancels that were sent and not refused.
    pub(super) cancels: u16,
    pub(super) redrives: u16,
    pub(super) dump: Dumped,
    /// Milliseconds the idempotency key had left in the dump, -1 for ever; `None` without one.
    pub(super) key_ttl_ms: Option<i64>,
    /// When `GET` answered 404 for it after its acknowledgement.
    pub(super) missed_at: u64,
    /// A loss took back something of it.
    pub(super) touched_by_loss: bool,
    /// The loss that took it back whole, plus one.
    pub(super) lost_by: u16,
    /// States that clients were told, and those that the log has, also where a loss took them back: a bit each.
    pub(super) told: u16,
    pub(super) reached: u16,
    /// What its handler does, when nobody cancels it and no process dies too often.
    pub(super) expect: Expect,
    /// The log contradicted itself once; what follows of this job proves nothing more.
    pub(super) tainted: bool,
}

/// How a job ends by its own doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Expect {
    #[default]
    Either,
    Succeed,
    Die,
}

/// What the final dump says of a job.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dumped {
    pub(super) state: State,
    pub(super) attempt: u16,
    pub(super) crashes: u16,
    /// Attempt id in the record.
    pub(super) token: u64,
    pub(super) poisoned: bool,
}

/// One attempt, from claim to end.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) job: u32,
    pub(super) token: u64,
    pub(super) began_ms: u64,
    /// 0 while it runs.
    pub(super) ended_ms: u64,
    /// The letter that ended it.
    pub(super) end: u8,
    /// Whether the end charged it.
    pub(super) charged: bool,
}

/// All jobs and attempts.
pub(super) struct Jobs {
    numbers: HashMap<Id, u32>,
    ids: Vec<Id>,
    pub(super) list: Vec<Job>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) workspaces: Names,
    pub(super) queues: Names,
    pub(super) kinds: Names,
}

impl Jobs {
    pub(super) fn new() -> Self {
        Self {
            numbers: HashMap::new(),
            ids: Vec::new(),
            list: Vec::new(),
            attempts: Vec::new(),
            workspaces: Names::new(),
            queues: Names::new(),
            kinds: Names::new(),
        }
    }

    /// The job of this id, a new one if need be; `None` for what is no id.
    pub(super) fn number(&mut self, id: &str) -> Option<u32> {
        let id = Id::parse(id)?;
        let next = u32::try_from(self.ids.len()).ok()?;
        let number = *self.numbers.entry(id).or_insert(next);
        if number == next {
            self.ids.push(id);
            self.list.push(Job::default());
        }
        Some(number)
    }

    pub(super) fn find(&self, id: &str) -> Option<u32> {
        self.numbers.get(&Id::parse(id)?).copied()
    }

    pub(super) fn id(&self, number: u32) -> String {
        self.ids.get(number as usize).map(Id::text).unwrap_or_default()
    }

    pub(super) fn job(&self, number: u32) -> &Job {
        &self.list[number as usize]
    }

    pub(super) fn job_mut(&mut self, number: u32) -> &mut Job {
        &mut self.list[number as usize]
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        0..u32::try_from(self.list.len()).unwrap_or(u32::MAX)
    }

    /// Keeps what jobs are, and forgets what became of them.
    pub(super) fn forget_dump(&mut self) {
        for job in &mut self.list {
            (job.dump, job.key_ttl_ms) = (Dumped::default(), None);
        }
    }

    pub(super) fn name_job(&mut self, number: u32, workspace: &str, queue: &str, kind: &str) {
        let (workspace, queue) = (self.workspaces.number(workspace), self.queues.number(queue));
        let kind = self.kinds.number(kind);
        let job = &mut self.list[number as usize];
        for (slot, value) in [(&mut job.workspace, workspace), (&mut job.queue, queue), (&mut job.kind, kind)] {
            if value != 0 {
                *slot = value;
            }
        }
    }
}
