//! Rules for actions, and decisions about held jobs.

use reqwest::Method;
use serde_json::value::RawValue;

use super::{Client, ClientError};
use crate::api::actions::ActionsView;
use crate::api::held::{Approve, EffectsView, Reason, Resolve};
use crate::api::job::JobView;
use crate::domain::JobId;

impl Client {
    /// The rules for the actions of a workspace, or the default rules for `*`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn actions(&self, workspace: &str) -> Result<ActionsView, ClientError> {
        self.get(&["workspaces", workspace, "actions"], &[]).await
    }

    /// Replaces the rules by a document, which is sent as it is.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_actions(&self, workspace: &str, document: &RawValue) -> Result<ActionsView, ClientError> {
        self.call(Method::PUT, &["workspaces", workspace, "actions"], Some(&document)).await
    }

    /// Switches actions on or off, and leaves the rules as they are.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn switch_actions(&self, workspace: &str, on: bool) -> Result<ActionsView, ClientError> {
        let verb = if on { "enable" } else { "disable" };
        self.call(Method::POST, &["workspaces", workspace, "actions", verb], None::<&()>).await
    }

    /// Removes the rules.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn remove_actions(&self, workspace: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &["workspaces", workspace, "actions"], None::<&()>).await
    }

    /// What is on record of a job's effects, and what an approval would be given to.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn effects(&self, id: JobId) -> Result<EffectsView, ClientError> {
        self.get(&["ai", "jobs", &id.to_string(), "effects"], &[]).await
    }

    /// Approves a job that waits for it; repeated for a moment when the failure may pass, since the same approval twice
    /// is one.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn approve(&self, id: JobId, approval: &Approve) -> Result<JobView, ClientError> {
        let url = self.url(&["ai", "jobs", &id.to_string(), "approve"], &[]);
        self.read(self.send_repeatable(&self.request(Method::POST, url)?.json(approval)).await?).await
    }

    /// Rejects a job that waits for its approval.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn reject(&self, id: JobId, reason: &Reason) -> Result<JobView, ClientError> {
        self.call(Method::POST, &["ai", "jobs", &id.to_string(), "reject"], Some(reason)).await
    }

    /// Says what became of an effect that nobody could tell of.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn resolve(&self, id: JobId, resolution: &Resolve) -> Result<JobView, ClientError> {
        self.call(Method::POST, &["ai", "jobs", &id.to_string(), "resolve"], Some(resolution)).await
    }

    /// Puts a held job back in line.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn release(&self, id: JobId) -> Result<JobView, ClientError> {
        self.call(Method::POST, &["ai", "jobs", &id.to_string(), "release"], None::<&()>).await
    }
}
