//! Providers, dead letters, keys, limits, credentials and readiness.

use reqwest::Method;

use super::{Client, ClientError};
use crate::api::control::{LogLevel, SetLogLevel};
use crate::api::credential::{
    CredentialCheck, CredentialList, CredentialRotation, PutCredential, RotateCredentials, StoredCredential,
};
use crate::api::dead::DeadList;
use crate::api::health::Ready;
use crate::api::key::{CreateKey, KeyList, NewKey};
use crate::api::provider::{HealthView, ProviderList, ProviderModels};
use crate::api::usage::{GroupBy, UsageReport};
use crate::api::workspace::Limits;
use crate::domain::{CredentialName, Workspace};

impl Client {
    /// The configured providers of language models.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn providers(&self) -> Result<ProviderList, ClientError> {
        self.get(&["providers"], &[]).await
    }

    /// What a provider offers, and what of it is configured.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn provider_models(&self, provider: &str) -> Result<ProviderModels, ClientError> {
        self.get(&["providers", provider, "models"], &[]).await
    }

    /// Has a worker probe a provider now; takes some 12 s at most.
    ///
    /// # Errors
    /// See [`ClientError`]. A provider that is not well is an answer, not an error.
    pub async fn test_provider(&self, provider: &str) -> Result<HealthView, ClientError> {
        self.call(Method::POST, &["providers", provider, "test"], None::<&()>).await
    }

    /// What calls to language models used, from one day to another; absent ones are today.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn usage(
        &self,
        from: Option<&str>,
        to: Option<&str>,
        group_by: GroupBy,
    ) -> Result<UsageReport, ClientError> {
        let mut query = vec![("group_by", group_by.word().to_owned())];
        let days = [("from", from), ("to", to)];
        query.extend(days.into_iter().filter_map(|(name, day)| Some((name, day?.to_owned()))));
        self.get(&["usage"], &query).await
    }

    /// Dead letters by cause; `query` narrows them by `queue`, `type`, `reason` and `fingerprint`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn dead(&self, query: &[(&str, String)]) -> Result<DeadList, ClientError> {
        self.get(&["dead-letters"], query).await
    }

    /// Makes a key; the answer is the only time it is shown.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn create_key(&self, key: &CreateKey) -> Result<NewKey, ClientError> {
        self.call(Method::POST, &["keys"], Some(key)).await
    }

    /// All keys.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn keys(&self) -> Result<KeyList, ClientError> {
        self.get(&["keys"], &[]).await
    }

    /// Revokes a key by its public id.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn revoke_key(&self, id: &str) -> Result<(), ClientError> {
        self.act(Method::DELETE, &["keys", id], None::<&()>).await
    }

    /// The limits of a workspace.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn limits(&self, workspace: &Workspace) -> Result<Limits, ClientError> {
        self.get(&["workspaces", workspace.as_str(), "limits"], &[]).await
    }

    /// Sets the limits of a workspace.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_limits(&self, workspace: &Workspace, limits: Limits) -> Result<(), ClientError> {
        self.act(Method::PUT, &["workspaces", workspace.as_str(), "limits"], Some(&limits)).await
    }

    /// The credentials of a workspace, without what is secret in them.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn credentials(&self, workspace: &Workspace) -> Result<CredentialList, ClientError> {
        self.get(&["workspaces", workspace.as_str(), "credentials"], &[]).await
    }

    /// Stores a credential.
    ///
    /// # Errors
    /// See [`ClientError`]; repeating is safe.
    pub async fn put_credential(
        &self,
        workspace: &Workspace,
        name: &CredentialName,
        credential: &PutCredential,
    ) -> Result<StoredCredential, ClientError> {
        let path = ["workspaces", workspace.as_str(), "credentials", name.as_str()];
        self.call(Method::PUT, &path, Some(credential)).await
    }

    /// Removes a credential.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn remove_credential(&self, workspace: &Workspace, name: &CredentialName) -> Result<(), ClientError> {
        let path = ["workspaces", workspace.as_str(), "credentials", name.as_str()];
        self.act(Method::DELETE, &path, None::<&()>).await
    }

    /// Has a worker check a credential now; takes some 20 s at most.
    ///
    /// # Errors
    /// See [`ClientError`]. A credential that is not accepted is an answer, not an error.
    pub async fn test_credential(
        &self,
        workspace: &Workspace,
        name: &CredentialName,
    ) -> Result<CredentialCheck, ClientError> {
        let path = ["workspaces", workspace.as_str(), "credentials", name.as_str(), "test"];
        self.call(Method::POST, &path, None::<&()>).await
    }

    /// What the fleet logs.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn log_level(&self) -> Result<LogLevel, ClientError> {
        self.get(&["controls", "log-level"], &[]).await
    }

    /// Has the whole fleet log by another level for a while.
    ///
    /// # Errors
    /// See [`ClientError`]; repeating is safe.
    pub async fn set_log_level(&self, wanted: &SetLogLevel) -> Result<LogLevel, ClientError> {
        self.call(Method::PUT, &["controls", "log-level"], Some(wanted)).await
    }

    /// Has every process log by its own settings again.
    ///
    /// # Errors
    /// See [`ClientError`]; repeating is safe.
    pub async fn reset_log_level(&self) -> Result<(), ClientError> {
        self.act(Method::DELETE, &["controls", "log-level"], None::<&()>).await
    }

    /// One step of sealing all credentials anew.
    ///
    /// # Errors
    /// See [`ClientError`]; repeating is safe.
    pub async fn rotate_credentials(&self, step: &RotateCredentials) -> Result<CredentialRotation, ClientError> {
        self.call(Method::POST, &["credentials", "rotate"], Some(step)).await
    }

    /// Whether the server may accept jobs; a red answer is an answer, not an error.
    ///
    /// # Errors
    /// When no answer came, or one that is not a readiness report.
    pub async fn ready(&self) -> Result<Ready, ClientError> {
        let response = self.send(self.request(Method::GET, self.url(&["ready"], &[]))?).await?;
        if response.status().as_u16() == 503 {
            let body = self.body(response).await?;
            return serde_json::from_slice(&body).map_err(|e| ClientError::Unexpected {
                url: self.base().to_string(),
                status: 503,
                text: format!("not a readiness report: {e}"),
            });
        }
        self.read(response).await
    }
}
