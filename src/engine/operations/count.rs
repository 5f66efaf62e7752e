//! What operations did so far, which each shard knows for itself until they are finished; and who may go on.

use futures_util::future::join_all;

use super::{OperationError, Operations};
use crate::domain::{JobId, Operation, OperationCounts, OperationState, Timestamp};
use crate::store::{OperationPart, PutOperation, Store, StoreError};

/// The fence of whoever stops an operation or carries it on from now: above all before it. A moment of the first shard,
/// since an older version that rewrites the record forgets the number.
pub(super) fn next_fence(operation: &Operation, now: Timestamp) -> u64 {
    u64::try_from(now.unix_ms()).unwrap_or_default().max(operation.fence + 1)
}

/// Counts of two parts.
pub(super) fn add(mut sum: OperationCounts, part: &OperationCounts) -> OperationCounts {
    sum.matched += part.matched;
    sum.done += part.done;
    part.skipped.iter().for_each(|(why, n)| *sum.skipped.entry(*why).or_default() += n);
    sum
}

/// Whether the shard did not answer, and others may know enough.
fn away(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_) | StoreError::Unknown(_) | StoreError::ReadOnly(_))
}

/// What each shard said, its number first.
type Said = Vec<(u8, Result<OperationPart, StoreError>)>;

/// The sum of what shards said, and who said nothing.
fn sum(said: Said) -> Result<OperationCounts, StoreError> {
    let mut counts = OperationCounts::default();
    for (shard, part) in said {
        match part {
            Ok(part) => counts = add(counts, &part.counts),
            Err(error) if away(&error) => counts.missing_shards.push(shard),
            Err(error) => return Err(error),
        }
    }
    Ok(counts)
}

impl Operations {
    /// Operations with what they did so far. A shard that does not answer is asked for one of them only.
    pub(super) async fn counted(&self, mut all: Vec<Operation>) -> Result<Vec<Operation>, StoreError> {
        let open: Vec<usize> = (0..all.len()).filter(|at| all[*at].state != OperationState::Finished).collect();
        let ids: Vec<_> = open.iter().map(|at| all[*at].id).collect();
        let mut by_shard = join_all(self.store.all().iter().map(async |store| parts(store, &ids).await)).await;
        for at in open.into_iter().rev() {
            let said = by_shard.iter_mut().zip(self.store.all()).filter_map(|(parts, store)| {
                let part = parts.pop()?;
                Some((store.shard(), part))
            });
            all[at].counts = sum(said.collect())?;
        }
        Ok(all)
    }

    pub(super) async fn counted_one(&self, operation: Operation) -> Result<Operation, OperationError> {
        let counted = self.counted(vec![operation]).await?;
        counted.into_iter().next().ok_or(OperationError::NotFound)
    }

    /// An operation after its state was changed. Every shard is told of a stop, and what it says then is final.
    pub(super) async fn turned(&self, mut operation: Operation) -> Result<Operation, OperationError> {
        if operation.state != OperationState::Stopped {
            return self.counted_one(operation).await;
        }
        let (id, fence) = (operation.id, operation.fence);
        let tell = self.store.all().iter().map(async |store| (store.shard(), store.fence_operation(id, fence).await));
        operation.counts = sum(join_all(tell).await).map_err(StoreError::after_change)?;
        let missing = &operation.counts.missing_shards;
        if !missing.is_empty() {
            tracing::warn!(operation_id = %id, ?missing, "shards were not told that an operation is stopped");
        }
        Ok(operation)
    }

    /// Raises the fence over all who carried the operation on before; `None` if it does not run.
    pub(super) async fn take_over(&self, id: JobId) -> Result<Option<Operation>, StoreError> {
        let first = self.store.first();
        let mut record = first.operation(id).await?;
        while let Some(before) = record {
            let mut operation = before.operation.clone();
            if operation.state != OperationState::Running {
                break;
            }
            operation.fence = next_fence(&operation, first.now().await?);
            record = match first.put_operation(Some(&before), &operation).await? {
                PutOperation::Done => return Ok(Some(operation)),
                PutOperation::Changed(there) => there.map(|there| *there),
                PutOperation::TooMany => None,
            };
        }
        Ok(None)
    }
}

/// A shard's part in each operation. Behind a failure it is not asked again.
async fn parts(store: &Store, ids: &[JobId]) -> Vec<Result<OperationPart, StoreError>> {
    let mut parts: Vec<Result<OperationPart, StoreError>> = Vec::with_capacity(ids.len());
    for id in ids {
        let failed = parts.last().and_then(|last| last.as_ref().err()).filter(|error| away(error)).cloned();
        parts.push(match failed {
            Some(error) => Err(error),
            None => store.operation_part(*id).await,
        });
    }
    parts
}
