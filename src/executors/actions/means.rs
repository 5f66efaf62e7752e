//! What every action of a process shares: credentials, and what is left alone for a while.

use std::sync::Arc;

use crate::domain::Workspace;
use crate::engine::ExecutionError;

use super::{Cooldowns, Credential, CredentialKind, Vault, VaultError};

/// What actions work with.
#[derive(Clone, Debug, Default)]
pub struct Means {
    /// Where credentials come from. Without one, no workspace has any.
    pub vault: Option<Arc<dyn Vault>>,
    /// What is left alone for a while.
    pub cooldowns: Cooldowns,
}

impl Means {
    /// A workspace's credential: the named one, or the only one of its kind.
    ///
    /// # Errors
    /// `held` as `needs_reauth` when there is none to use.
    pub(super) async fn credential(
        &self,
        workspace: &Workspace,
        kind: CredentialKind,
        name: Option<&str>,
    ) -> Result<Arc<Credential>, ExecutionError> {
        match &self.vault {
            Some(vault) => Ok(vault.get(workspace, kind, name).await?),
            None => Err(missing(kind, name).into()),
        }
    }
}

/// There is no such credential.
pub(super) fn missing(kind: CredentialKind, name: Option<&str>) -> VaultError {
    let word = kind.as_str();
    VaultError::Missing(word, name.map(|name| format!(" named `{name}`")).unwrap_or_default())
}
