//! The vault over Redis: a workspace's own credentials, opened and renewed as needed, then those of the settings.

mod checker;
mod defaults;
mod oauth;
mod remembered;
mod renewal;

use std::sync::Arc;

use crate::domain::{CredentialKind, CredentialName, CredentialState, Material, Workspace};
use crate::engine::Safe;
use crate::executors::HttpClientError;
use crate::executors::outbound::client_builder;
use crate::store::CredentialRecord;

use super::{Credential, Secret, Vault, VaultError, VaultFuture};
pub use checker::CredentialChecker;
pub use defaults::VaultDefaults;
pub use oauth::TokenEndpoints;
use remembered::Remembered;
use renewal::{Opened, Renewer, Wanted, away, needs_reauth, same};

/// The name that an action means when it names none.
const DEFAULT: &str = "default";

/// How a vault reaches providers, and what it falls back on.
#[derive(Clone, Debug, Default)]
pub struct VaultOptions {
    /// Where access tokens are asked for.
    pub endpoints: TokenEndpoints,
    /// Credentials of the settings.
    pub defaults: VaultDefaults,
}

/// Credentials of workspaces, kept in Redis.
#[derive(Debug)]
pub struct StoredVault {
    renewer: Arc<Renewer>,
    defaults: VaultDefaults,
    remembered: Remembered,
}

impl StoredVault {
    /// A vault over this safe; does no I/O.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(safe: Safe, options: &VaultOptions) -> Result<Self, HttpClientError> {
        let http = client_builder(oauth::PATIENCE).build()?;
        let renewer = Renewer { safe, http, endpoints: options.endpoints.clone() };
        Ok(Self { renewer: Arc::new(renewer), defaults: options.defaults.clone(), remembered: Remembered::default() })
    }

    /// What checks credentials on demand, over the same safe. `github` is the address of GitHub's API.
    #[must_use]
    pub fn checker(&self, github: &str) -> CredentialChecker {
        CredentialChecker::new(Arc::clone(&self.renewer), github)
    }

    async fn look_up(
        &self,
        workspace: &Workspace,
        kind: CredentialKind,
        name: Option<&str>,
    ) -> Result<Arc<Credential>, VaultError> {
        let Some(record) = self.record(workspace, kind, name).await? else {
            let found = self.defaults.of(kind).filter(|_| name.is_none());
            return found.map(Arc::new).ok_or_else(|| missing(kind, name));
        };
        if record.state == CredentialState::NeedsReauth {
            return Err(needs_reauth(&record));
        }
        let opened = self.renewer.usable(workspace, &record.name, Wanted::default()).await?;
        credential(opened).map(Arc::new)
    }

    /// The record that an action means; `None` when the workspace has none of the kind.
    async fn record(
        &self,
        workspace: &Workspace,
        kind: CredentialKind,
        name: Option<&str>,
    ) -> Result<Option<CredentialRecord>, VaultError> {
        let store = self.renewer.safe.store().credentials();
        if let Some(name) = name {
            let Ok(name) = CredentialName::new(name) else { return Ok(None) };
            let found = store.credential(workspace, &name).await.map_err(away)?;
            return Ok(found.filter(|record| record.kind == kind));
        }
        let mut all = store.workspace_credentials(workspace).await.map_err(away)?;
        all.retain(|record| record.kind == kind);
        if let Some(at) = all.iter().position(|record| record.name.as_str() == DEFAULT) {
            return Ok(Some(all.swap_remove(at)));
        }
        if all.len() > 1 {
            let text = format!(" called `{DEFAULT}`, and {} others: the job has to name one", all.len());
            return Err(VaultError::Missing(kind.as_str(), text));
        }
        Ok(all.pop())
    }

    async fn replace(&self, workspace: &Workspace, refused: &Credential) -> Result<Arc<Credential>, VaultError> {
        let name = CredentialName::new(&refused.name).map_err(|_| missing(refused.kind, Some(&refused.name)))?;
        let found = self.renewer.safe.store().credentials().credential(workspace, &name).await.map_err(away)?;
        if found.filter(|record| record.kind == refused.kind).is_none() {
            let why = if refused.name == defaults::NAME {
                "its provider refuses it; it stands in the settings"
            } else {
                "it was removed"
            };
            return Err(VaultError::NeedsReauth(refused.name.clone(), why.to_owned()));
        }
        let token = match &refused.secret {
            Secret::Bearer { token, .. } => Some(token.clone()),
            _ => None,
        };
        let opened = self.renewer.usable(workspace, &name, Wanted { refused: token, despite_state: false }).await?;
        let record = opened.0.clone();
        let renewed = credential(opened)?;
        if is_same(&renewed.secret, &refused.secret) {
            return Err(self.renewer.doubt(record, "its provider refuses it, and nothing renews it").await);
        }
        Ok(Arc::new(renewed))
    }
}

impl Vault for StoredVault {
    fn get<'a>(
        &'a self,
        workspace: &'a Workspace,
        kind: CredentialKind,
        name: Option<&'a str>,
    ) -> VaultFuture<'a, Arc<Credential>> {
        Box::pin(async move {
            let looked_up = self.look_up(workspace, kind, name);
            self.remembered.get_or((workspace.clone(), kind, name.map(str::to_owned)), looked_up).await
        })
    }

    fn renew<'a>(&'a self, workspace: &'a Workspace, refused: &'a Credential) -> VaultFuture<'a, Arc<Credential>> {
        Box::pin(async move {
            self.remembered.forget(workspace, refused.kind);
            let replaced = self.replace(workspace, refused).await;
            // Whoever asked meanwhile may have met the refused one still.
            self.remembered.forget(workspace, refused.kind);
            replaced
        })
    }
}

fn missing(kind: CredentialKind, name: Option<&str>) -> VaultError {
    let named = name.map(|name| format!(" called `{}`", crate::domain::clip_text(name, 64))).unwrap_or_default();
    VaultError::Missing(kind.as_str(), named)
}

/// An opened record as an action uses it.
fn credential((record, material): Opened) -> Result<Credential, VaultError> {
    let secret = match material {
        Material::OAuth(oauth) => {
            let token = oauth.access_token.ok_or_else(|| VaultError::Undecipherable("it holds no token".to_owned()))?;
            Secret::Bearer { token, scopes: record.scopes }
        }
        Material::Token(token) => Secret::Bearer { token, scopes: record.scopes },
        Material::Smtp(server) => defaults::smtp(server),
        Material::Signing(keys) => Secret::Signing(keys),
        Material::Header(header) => Secret::Header { host: header.host, name: header.name, value: header.value },
    };
    Ok(Credential { name: record.name.to_string(), kind: record.kind, account: record.account, secret })
}

/// Whether the provider would see the same.
fn is_same(one: &Secret, other: &Secret) -> bool {
    match (one, other) {
        (Secret::Bearer { token: one, .. }, Secret::Bearer { token: other, .. }) => same(one, other),
        (
            Secret::Smtp { host, port, login, .. },
            Secret::Smtp { host: other_host, port: other_port, login: other_login, .. },
        ) => {
            let same_login = match (login, other_login) {
                (Some((user, password)), Some((other, secret))) => user == other && same(password, secret),
                (None, None) => true,
                _ => false,
            };
            host == other_host && port == other_port && same_login
        }
        (Secret::Signing(one), Secret::Signing(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (
            Secret::Header { host, name, value },
            Secret::Header { host: other_host, name: other_name, value: other_value },
        ) => host == other_host && name == other_name && same(value, other_value),
        _ => false,
    }
}
