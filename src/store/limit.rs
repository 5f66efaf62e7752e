//! Verb `limit`: a workspace's weight in line and its cap on running jobs; and its limits of calls to language models.

use crate::domain::Workspace;
use crate::domain::llm::Quota;

use super::reply::text;
use super::reserve::quota;
use super::views::WorkspaceLimits;
use super::{Shards, Store, StoreError};

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

    /// A workspace's own limits of calls to language models; `None` when those of the settings hold.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn llm_limits(&self, workspace: &Workspace) -> Result<Option<Quota>, StoreError> {
        let args = vec![self.inner.keys.llm_limits().into(), workspace.as_str().into()];
        let stored = text(self.inner.link.command("HGET", args).await?)?;
        Ok((!stored.is_empty()).then(|| read_quota(&stored)))
    }

    /// Sets a workspace's own limits of calls to language models, or gives it those of the settings again. Verb
    /// `reserve` reads them: they hold from its next call on, for all that the last minute has counted.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn set_llm_limits(&self, workspace: &Workspace, limits: Option<Quota>) -> Result<(), StoreError> {
        let mut args = vec![self.inner.keys.llm_limits().into(), workspace.as_str().into()];
        let command = match limits {
            Some(limits) => {
                args.push(quota(&limits).join("\t").into());
                "HSET"
            }
            None => "HDEL",
        };
        self.inner.link.command(command, args).await.map(drop)
    }
}

impl Shards {
    /// See [`Store::llm_limits`]; they hold over all shards, so the first has them.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn llm_limits(&self, workspace: &Workspace) -> Result<Option<Quota>, StoreError> {
        self.first().llm_limits(workspace).await
    }

    /// See [`Store::set_llm_limits`].
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn set_llm_limits(&self, workspace: &Workspace, limits: Option<Quota>) -> Result<(), StoreError> {
        self.first().set_llm_limits(workspace, limits).await
    }
}

/// As stored: requests \t tokens \t calls at once \t nano-USD a day, each empty for no limit.
fn read_quota(stored: &str) -> Quota {
    let mut parts = stored.split('\t').map(|part| part.parse().ok());
    let mut next = || parts.next().flatten();
    Quota { requests_per_minute: next(), tokens_per_minute: next(), concurrency: next(), nano_usd_per_day: next() }
}
