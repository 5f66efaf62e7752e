//! What carries operations on, in every API process. Which of them does is a matter of turns; nothing rests on those but
//! work that would be done for nothing. Whoever has the turn raises the operation's fence, as a stop does, and tells it to
//! every shard: steps of all before are refused there, however long a process slept between its look and its step.

use std::collections::HashMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Operations;
use super::pace::Pace;
use super::walk::Walk;
use crate::clock::{self, Instant};
use crate::domain::{JobId, Operation, OperationCounts, OperationState};
use crate::engine::tasks;
use crate::metrics::OPERATION_JOBS;
use crate::store::StoreError;

/// Between two looks for operations that nobody carries on.
const LOOK: Duration = Duration::from_secs(2);

/// How long a turn lasts that is not kept: after a death another process goes on that much later.
const TURN: Duration = Duration::from_secs(3);

/// How often it is kept.
const KEEP: Duration = Duration::from_secs(1);

/// Between two tries while Redis does not answer or refuses.
const AGAIN: Duration = Duration::from_secs(1);

/// Looks for operations that run, and carries those on that nobody else does.
pub(super) async fn run(operations: Operations, shutdown: CancellationToken) {
    let mut carried: HashMap<JobId, tokio::task::JoinHandle<()>> = HashMap::new();
    while !shutdown.is_cancelled() {
        carried.retain(|_, task| !task.is_finished());
        match operations.store.first().running_operations().await {
            Ok(ids) => {
                for id in ids {
                    let (operations, shutdown) = (operations.clone(), shutdown.clone());
                    let carry = || tasks::spawn("operation", Turn::carry(operations, id, shutdown));
                    carried.entry(id).or_insert_with(carry);
                }
            }
            Err(error) => tracing::debug!(%error, "running operations could not be read"),
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = operations.begun.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    for (_, task) in carried {
        // Each ends behind its step, and gives its turn up.
        let _ = task.await;
    }
}

/// One operation, while this process has the turn.
struct Turn {
    operations: Operations,
    id: JobId,
    holder: String,
    /// Under which steps are wanted; none before the first round.
    fence: Option<u64>,
    kept: Instant,
    pace: Pace,
    /// The way through each shard, once it answered.
    walks: Vec<Option<Walk>>,
    shutdown: CancellationToken,
}

/// Whether a turn goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// With another round.
    Round,
    /// No: it is another's turn, the operation does not run, or it is finished.
    Leave,
}

impl Turn {
    async fn carry(operations: Operations, id: JobId, shutdown: CancellationToken) {
        let holder = uuid::Uuid::new_v4().simple().to_string();
        let first = operations.store.first().clone();
        if !first.operation_turn(id, &holder, TURN).await.unwrap_or(false) {
            return;
        }
        let (kept, pace) = (clock::now(), Pace::new(1, clock::now()));
        let mut turn = Self { operations, id, holder, fence: None, kept, pace, walks: Vec::new(), shutdown };
        let mut warned = false;
        while !turn.shutdown.is_cancelled() {
            match turn.round().await {
                Ok(Next::Round) => warned = false,
                Ok(Next::Leave) => break,
                // Of a newer version, which has to get the turn.
                Err(error @ StoreError::Corrupt(_)) => {
                    tracing::warn!(operation_id = %id, %error, "an operation cannot be read or made here");
                    break;
                }
                Err(error) => {
                    if !std::mem::replace(&mut warned, true) {
                        tracing::warn!(operation_id = %id, %error, "an operation waits for a shard");
                    }
                    turn.pause(clock::now() + AGAIN).await;
                }
            }
        }
        if let Err(error) = first.end_operation_turn(id, &turn.holder).await {
            tracing::debug!(operation_id = %id, %error, "a turn was not given up; it ends by itself");
        }
    }

    /// A step on each shard, and the end behind the last. A shard that is away holds up no other.
    async fn round(&mut self) -> Result<Next, StoreError> {
        let mut failed = None;
        for at in 0..self.operations.store.count() {
            if self.walks.get(at).and_then(Option::as_ref).is_some_and(Walk::is_over) {
                continue;
            }
            let Some(operation) = self.running().await? else { return Ok(Next::Leave) };
            if let Err(error) = self.step(at, &operation).await {
                failed = Some(error);
            }
            if self.shutdown.is_cancelled() {
                return Ok(Next::Leave);
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if !self.walks.iter().all(|walk| walk.as_ref().is_some_and(Walk::is_over)) {
            return Ok(Next::Round);
        }
        self.operations.finish(self.id, self.walks.iter().flatten().map(Walk::counts)).await?;
        Ok(Next::Leave)
    }

    /// The operation, if it runs and it is still this process' turn.
    async fn running(&mut self) -> Result<Option<Operation>, StoreError> {
        let first = self.operations.store.first();
        if clock::now().duration_since(self.kept) >= KEEP {
            if !first.operation_turn(self.id, &self.holder, TURN).await? {
                return Ok(None);
            }
            self.kept = clock::now();
        }
        let found = first.operation(self.id).await?.map(|record| record.operation);
        let Some(found) = found.filter(|operation| operation.state == OperationState::Running) else { return Ok(None) };
        let seen = self.walks.iter().flatten().map(Walk::fence).max();
        if Some(found.fence) == self.fence && seen <= self.fence {
            return Ok(Some(found));
        }
        self.take_over().await
    }

    /// At the beginning, and when it was stopped and resumed since. Only who has the turn does.
    async fn take_over(&mut self) -> Result<Option<Operation>, StoreError> {
        if !self.operations.store.first().operation_turn(self.id, &self.holder, TURN).await? {
            return Ok(None);
        }
        self.kept = clock::now();
        let operation = self.operations.take_over(self.id).await?;
        self.fence = operation.as_ref().map(|operation| operation.fence);
        self.walks = (0..self.operations.store.count()).map(|_| None).collect();
        Ok(operation)
    }

    async fn step(&mut self, at: usize, operation: &Operation) -> Result<(), StoreError> {
        self.pace.set_rate(operation.plan.rate);
        let store = &self.operations.store.all()[at];
        let walk = match &mut self.walks[at] {
            Some(walk) => walk,
            none => none.insert(Walk::open(store, operation).await?),
        };
        let before = walk.counts().clone();
        let outcome = walk.step(operation, self.pace.step()).await;
        let slowest = walk.slowest();
        let done = count(operation, &before, walk.counts());
        let until = self.pace.made(done, slowest, clock::now());
        self.pause(until).await;
        outcome
    }

    async fn pause(&mut self, until: Instant) {
        // A turn is kept meanwhile: a step of an operation at one job a second is as long as a third of it.
        let longest = clock::now() + KEEP;
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = tokio::time::sleep_until(until.min(longest)) => {}
        }
    }
}

/// Adds what a step did to the metrics; returns how many jobs it changed.
fn count(operation: &Operation, before: &OperationCounts, after: &OperationCounts) -> u64 {
    let action = operation.plan.action.as_str();
    let add = |outcome: &'static str, n: u64| {
        if n > 0 {
            ::metrics::counter!(OPERATION_JOBS.name, "action" => action, "outcome" => outcome).increment(n);
        }
    };
    let done = after.done.saturating_sub(before.done);
    add("done", done);
    for (why, n) in &after.skipped {
        add(why.as_str(), n.saturating_sub(before.skipped.get(why).copied().unwrap_or_default()));
    }
    done
}
