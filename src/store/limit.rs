//! Verb `limit`: a workspace's weight in line and its cap on running jobs.

use crate::domain::Workspace;

use super::views::WorkspaceLimits;
use super::{Store, StoreError};

impl Store {
    /// The limits of a workspace, the defaults if none were set.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn workspace_limits(&self, workspace: &Workspace) -> Result<WorkspaceLimits, StoreError> {
        self.limit_field(workspace.as_str()).await.map(|stored| WorkspaceLimits::read(&stored))
    }

    /// Sets the limits in every queue. Slots are counted anew from the live leases.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn set_workspace_limits(&self, ws: &Workspace, limits: WorkspaceLimits) -> Result<(), StoreError> {
        for (n, queue) in self.queue_names().await?.into_iter().enumerate() {
            let args = vec![
                queue.as_str().into(),
                ws.as_str().into(),
                limits.weight.clamp(1, 100).to_string().into(),
                limits.max_running.map(|cap| cap.to_string()).unwrap_or_default().into(),
            ];
            let ran = self.run(&self.inner.scripts.limit, args).await;
            ran.map_err(|error| if n > 0 { error.after_change() } else { error })?;
        }
        Ok(())
    }
}
