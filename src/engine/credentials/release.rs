//! Jobs that waited for a credential, back in line.

use futures_util::future::try_join_all;

use crate::domain::{HeldReason, Workspace};
use crate::engine::operations::{OperationError, release_held};
use crate::store::{Shards, StoreError, Unheld, Unhold};

/// Most jobs that one call puts back in line.
const MOST: usize = 1_000;

/// Jobs at once.
const AT_ONCE: usize = 50;

/// What became of the jobs that waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// In line again.
    pub jobs: u64,
    /// Whether others wait still: an operation goes on with them.
    pub more: bool,
}

/// Puts the jobs of a workspace that are held because a credential had to be renewed back in line: a thousand at once,
/// others by an operation. Those that need another credential find that out again, uncharged.
///
/// # Errors
/// When Redis did not answer; repeating is safe, and goes on where this ended.
pub async fn release_needing_reauth(store: &Shards, workspace: &Workspace) -> Result<Released, StoreError> {
    let reason = HeldReason::NeedsReauth;
    let now = store.now().await?;
    let held = store.held(reason, Some(workspace), MOST).await?;
    let mut released = Released::default();
    for page in held.chunks(AT_ONCE) {
        let each = page.iter().map(|(queue, id)| store.of(*id).unhold(queue, *id, Some(reason), Unhold::Release));
        let found = try_join_all(each).await?;
        released.jobs += found.iter().filter(|found| **found == Unheld::Now).count() as u64;
    }
    // Beyond those that are looked at first.
    match release_held(store, reason, Some(workspace), Some(now), "a credential is there").await {
        Ok(begun) => released.more = begun.is_some(),
        Err(OperationError::Store(error)) => return Err(error),
        Err(error) => {
            tracing::warn!(%error, %workspace, "jobs stay held for a credential; storing it again tries again");
            released.more = true;
        }
    }
    Ok(released)
}
