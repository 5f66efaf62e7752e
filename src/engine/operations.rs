//! Bulk operations: begun by anyone, carried on by whichever API process has the turn.

mod count;
mod pace;
mod preview;
mod runner;
mod walk;

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::tasks;
use crate::domain::{
    AUDIT, DrainThen, HeldReason, JobFilter, JobId, JobState, Operation, OperationAction, OperationCounts,
    OperationPlan, OperationState, Preview, QueueName, Timestamp, Workspace,
};
use crate::store::{PutOperation, Shards, StoreError};

/// Who begins the engine's own.
const OWN_NAME: &str = "windlass";

/// Jobs changed per second, at most.
const MOST_RATE: u32 = 100_000;

/// Why an operation was not begun or changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OperationError {
    /// No such operation.
    #[error("no such operation")]
    NotFound,
    /// Its state forbids it: a finished one cannot be stopped or resumed.
    #[error("the operation is {0}")]
    State(OperationState),
    /// As many operations run as may, 10.
    #[error("10 operations are running")]
    TooMany,
    /// Redis did not do it, or (`Unknown`) may have; repeating is safe.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Commands to operations; cheap to clone. `by` is the name of the caller's key and goes into the record.
#[derive(Clone, Debug)]
pub struct Operations {
    store: Shards,
    /// Told when one begins or is resumed here, so that it starts at once.
    begun: Arc<Notify>,
}

impl Operations {
    /// Commands on a store.
    #[must_use]
    pub fn new(store: impl Into<Shards>) -> Self {
        Self { store: store.into(), begun: Arc::default() }
    }

    /// Starts what carries operations on, in an API process; it ends with `shutdown`. While none runs it asks Redis
    /// once in two seconds. If the process dies, another goes on within five.
    pub fn start(&self, shutdown: CancellationToken) {
        tasks::spawn("operations", runner::run(self.clone(), shutdown));
    }

    /// What the plan would do now. Changes nothing; takes 10 s at most.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn preview(&self, plan: &OperationPlan) -> Result<Preview, OperationError> {
        Ok(preview::preview(&self.store, plan).await?)
    }

    /// Begins an operation. `id` is the caller's choice ([`JobId::new`]), so that repeating is safe: the one that is
    /// there is returned.
    ///
    /// # Errors
    /// `TooMany`; `Store`.
    pub async fn begin(
        &self,
        id: JobId,
        plan: &OperationPlan,
        by: &str,
        expected: Option<u64>,
    ) -> Result<Operation, OperationError> {
        let first = self.store.first();
        let mut plan = plan.clone();
        if plan.filter.states.is_empty() {
            plan.filter.states = plan.action.default_states().to_vec();
        }
        plan.rate = plan.rate.clamp(1, MOST_RATE);
        let operation = Operation {
            id,
            plan,
            state: OperationState::Running,
            by: by.to_owned(),
            created_at: first.now().await?,
            fence: 0,
            changed: None,
            finished_at: None,
            expected,
            counts: OperationCounts::default(),
        };
        match first.put_operation(None, &operation).await? {
            PutOperation::Done => {
                tell("begin", &operation, by);
                self.begun.notify_one();
                Ok(operation)
            }
            PutOperation::Changed(Some(there)) => self.counted_one(there.operation).await,
            PutOperation::Changed(None) => Err(OperationError::NotFound),
            PutOperation::TooMany => Err(OperationError::TooMany),
        }
    }

    /// Operations of the last 30 days that are wanted, newest first. Shards that do not answer are named in the counts.
    ///
    /// # Errors
    /// When the first shard did not answer, or none.
    pub async fn list(
        &self,
        wanted: impl Fn(&Operation) -> bool,
        limit: usize,
    ) -> Result<Vec<Operation>, OperationError> {
        let mut all = self.store.first().operations().await?;
        all.retain(wanted);
        all.truncate(limit);
        Ok(self.counted(all).await?)
    }

    /// One operation. Shards that do not answer are named in its counts.
    ///
    /// # Errors
    /// `NotFound`; `Store`.
    pub async fn get(&self, id: JobId) -> Result<Operation, OperationError> {
        let record = self.store.first().operation(id).await?.ok_or(OperationError::NotFound)?;
        self.counted_one(record.operation).await
    }

    /// Stops an operation. No step of it is made after the answer, whoever wanted it before, except on shards that the
    /// counts name as missing: those have to be told again. Stopping a stopped one does that, and returns it.
    ///
    /// # Errors
    /// See [`OperationError`].
    pub async fn stop(&self, id: JobId, by: &str) -> Result<Operation, OperationError> {
        self.turn(id, by, OperationState::Stopped, None).await
    }

    /// Goes on with a stopped operation where it was, if wanted at another rate. Resuming a running one returns it,
    /// at that rate.
    ///
    /// # Errors
    /// See [`OperationError`].
    pub async fn resume(&self, id: JobId, by: &str, rate: Option<u32>) -> Result<Operation, OperationError> {
        self.turn(id, by, OperationState::Running, rate).await
    }

    async fn turn(
        &self,
        id: JobId,
        by: &str,
        state: OperationState,
        rate: Option<u32>,
    ) -> Result<Operation, OperationError> {
        let first = self.store.first();
        let mut record = first.operation(id).await?.ok_or(OperationError::NotFound)?;
        loop {
            let mut operation = record.operation.clone();
            let rate = rate.unwrap_or(operation.plan.rate).clamp(1, MOST_RATE);
            if operation.state == OperationState::Finished {
                return Err(OperationError::State(operation.state));
            }
            if operation.state == state && operation.plan.rate == rate {
                return self.turned(operation).await;
            }
            let now = first.now().await?;
            (operation.state, operation.plan.rate) = (state, rate);
            operation.changed = Some((by.to_owned(), now));
            if state == OperationState::Stopped {
                operation.fence = count::next_fence(&operation, now);
            }
            match first.put_operation(Some(&record), &operation).await? {
                PutOperation::Done => {
                    tell(if state == OperationState::Stopped { "stop" } else { "resume" }, &operation, by);
                    self.begun.notify_one();
                    return self.turned(operation).await;
                }
                PutOperation::Changed(Some(there)) => record = *there,
                PutOperation::Changed(None) => return Err(OperationError::NotFound),
                PutOperation::TooMany => return Err(OperationError::TooMany),
            }
        }
    }

    /// Every shard is through.
    async fn finish(&self, id: JobId, parts: impl Iterator<Item = &OperationCounts>) -> Result<(), StoreError> {
        let counts = parts.fold(OperationCounts::default(), count::add);
        let first = self.store.first();
        while let Some(record) = first.operation(id).await? {
            let mut operation = record.operation.clone();
            if operation.state != OperationState::Running {
                return Ok(());
            }
            operation.state = OperationState::Finished;
            operation.finished_at = Some(first.now().await?);
            operation.counts = counts.clone();
            if matches!(first.put_operation(Some(&record), &operation).await?, PutOperation::Done) {
                tell("finish", &operation, &operation.by);
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Jobs a second that the engine changes by itself.
const OWN_RATE: u32 = 1_000;

/// Does with what is left in a queue what its drain said about the time after the deadline. Whoever comes second, or
/// again, gets the operation that is there. Nothing if all is to stay.
pub(super) async fn follow_drain(
    store: &Shards,
    drain: &super::control::OverdueDrain,
) -> Result<Option<Operation>, OperationError> {
    let (action, target) = match &drain.then {
        DrainThen::Keep => return Ok(None),
        DrainThen::Hold => (OperationAction::Hold, None),
        DrainThen::Move(queue) => (OperationAction::Move, Some(queue.clone())),
    };
    let filter = JobFilter { queue: Some(drain.queue.clone()), ..JobFilter::default() };
    let note = format!("the deadline of the drain by {} has passed", drain.by);
    let plan = OperationPlan { action, filter, target, rate: OWN_RATE, note };
    let moment = u64::try_from(drain.deadline.unix_ms()).unwrap_or_default();
    let id = JobId::derived(moment, &format!("drain {}", drain.queue));
    Operations::new(store.clone()).begin(id, &plan, OWN_NAME, Some(drain.left)).await.map(Some)
}

/// Begins an operation of the engine's own that puts jobs back in line which are held for this, of one workspace or of
/// all, and since before a moment, if one is given. Nothing if there are none.
pub(super) async fn release_held(
    store: &Shards,
    reason: HeldReason,
    workspace: Option<&Workspace>,
    before: Option<Timestamp>,
    note: &str,
) -> Result<Option<Operation>, OperationError> {
    let filter = JobFilter {
        states: vec![JobState::Held],
        held_reason: Some(reason),
        workspace: workspace.cloned(),
        before,
        ..JobFilter::default()
    };
    let action = OperationAction::Release;
    let plan = OperationPlan { action, filter, target: None, rate: OWN_RATE, note: note.to_owned() };
    let operations = Operations::new(store.clone());
    let found = operations.preview(&plan).await?.matched;
    if found == 0 {
        return Ok(None);
    }
    let id = JobId::new(u64::try_from(store.now_estimate().unix_ms()).unwrap_or_default(), 0);
    operations.begin(id, &plan, OWN_NAME, Some(found)).await.map(Some)
}

/// A line of the audit log.
fn tell(what: &'static str, operation: &Operation, by: &str) {
    let (plan, counts) = (&operation.plan, &operation.counts);
    tracing::info!(
        target: AUDIT,
        by, operation_id = %operation.id, operation_action = %plan.action,
        filter = ?plan.filter, to = plan.target.as_ref().map(QueueName::as_str), rate = plan.rate, note = plan.note,
        matched = counts.matched, done = counts.done, skipped = ?counts.skipped,
        "operation {what}"
    );
}
