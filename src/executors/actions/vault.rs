//! What actions know of credentials: they ask for one by kind and use it; where it is kept and how it is renewed is
//! the vault's business.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use secrecy::SecretString;

pub use crate::domain::{CredentialKind, SmtpSecurity};
use crate::domain::{FailureReason, HeldReason, Workspace};
use crate::engine::{Disposition, ExecutionError};

/// What a credential lets its holder do.
#[derive(Clone)]
pub enum Secret {
    /// A token for `Authorization: Bearer`, with the scopes it was granted, as far as known.
    Bearer {
        /// The token.
        token: SecretString,
        /// Granted scopes.
        scopes: Vec<String>,
    },
    /// A mail server.
    Smtp {
        /// Host name; may be internal only if the operator set it up.
        host: String,
        /// Port.
        port: u16,
        /// `tls` from the first byte, `starttls` (required), or `none`.
        security: SmtpSecurity,
        /// Login, if the server wants one.
        login: Option<(String, SecretString)>,
    },
    /// Keys that sign webhooks, the current one first (`whsec_…`).
    Signing(Vec<SecretString>),
    /// A header that authenticates at one host.
    Header {
        /// The host it may be sent to.
        host: String,
        /// Header name.
        name: String,
        /// Header value.
        value: SecretString,
    },
}

/// A credential, ready for use.
#[derive(Clone)]
pub struct Credential {
    /// Its name in the workspace.
    pub name: String,
    /// What it is for.
    pub kind: CredentialKind,
    /// Whose mailbox or account it is (`me@example.org`, a login); the `From` of mails when the input names none.
    pub account: Option<String>,
    /// The secret.
    pub secret: Secret,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Why there is no credential to use. Messages never contain a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// None of that kind and name.
    #[error("the workspace has no {0} credential{1}; add one: windlass credentials add")]
    Missing(&'static str, String),
    /// It is no longer accepted, and someone has to renew it.
    #[error("the credential `{0}` needs to be renewed: {1}; windlass credentials add replaces it")]
    NeedsReauth(String, String),
    /// It could not be read or renewed just now.
    #[error("the credential cannot be used now: {0}")]
    Unavailable(String),
    /// It was stored under a key that this process does not have.
    #[error("the credential cannot be decrypted: {0}")]
    Undecipherable(String),
}

impl From<VaultError> for ExecutionError {
    /// Nothing was sent. A credential that someone has to add or renew parks the job instead of burning attempts.
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Missing(..) | VaultError::NeedsReauth(..) => Self {
                reason: FailureReason::NeedsReauth,
                message: error.to_string(),
                disposition: Disposition::Hold(HeldReason::NeedsReauth),
            },
            VaultError::Unavailable(_) | VaultError::Undecipherable(_) => Self::retryable(FailureReason::Error, error),
        }
    }
}

/// The future of an answer of the vault.
pub type VaultFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, VaultError>> + Send + 'a>>;

/// Where credentials come from.
pub trait Vault: Send + Sync + std::fmt::Debug {
    /// A workspace's credential of a kind: the named one, or the only one, or the one called `default`.
    fn get<'a>(
        &'a self,
        workspace: &'a Workspace,
        kind: CredentialKind,
        name: Option<&'a str>,
    ) -> VaultFuture<'a, Arc<Credential>>;

    /// The provider refused this credential (401): it is renewed once if that is possible, and returned anew; otherwise
    /// `NeedsReauth`.
    fn renew<'a>(&'a self, workspace: &'a Workspace, refused: &'a Credential) -> VaultFuture<'a, Arc<Credential>>;
}
