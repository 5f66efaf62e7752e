//! Credentials that are fixed.

use std::sync::{Arc, Mutex};

use windlass::domain::Workspace;
use windlass::executors::actions::{Credential, CredentialKind, Secret, Vault, VaultError, VaultFuture};

/// Has one credential of each kind that a test gave it; what it renews them to is fixed too.
#[derive(Debug, Default)]
pub(crate) struct FixedVault {
    credentials: Vec<Arc<Credential>>,
    renewed: Option<Arc<Credential>>,
    renewals: Mutex<usize>,
}

/// A credential of a workspace.
pub(crate) fn credential(kind: CredentialKind, name: &str, secret: Secret) -> Credential {
    Credential { name: name.to_owned(), kind, account: None, secret }
}

/// A bearer token.
pub(crate) fn bearer(kind: CredentialKind, token: &str) -> Credential {
    credential(kind, "default", Secret::Bearer { token: token.into(), scopes: Vec::new() })
}

impl FixedVault {
    pub(crate) fn with(credential: Credential) -> Self {
        Self { credentials: vec![Arc::new(credential)], ..Self::default() }
    }

    pub(crate) fn and(mut self, credential: Credential) -> Self {
        self.credentials.push(Arc::new(credential));
        self
    }

    /// A credential that was refused is renewed to this one.
    pub(crate) fn renewing_to(mut self, credential: Credential) -> Self {
        self.renewed = Some(Arc::new(credential));
        self
    }

    pub(crate) fn renewals(&self) -> usize {
        *self.renewals.lock().unwrap()
    }
}

impl Vault for FixedVault {
    fn get<'a>(
        &'a self,
        _: &'a Workspace,
        kind: CredentialKind,
        name: Option<&'a str>,
    ) -> VaultFuture<'a, Arc<Credential>> {
        let fits = |c: &&Arc<Credential>| c.kind == kind && name.is_none_or(|name| c.name == name);
        let found = self.credentials.iter().find(fits).cloned();
        Box::pin(async move { found.ok_or_else(|| VaultError::Missing("fixed", String::new())) })
    }

    fn renew<'a>(&'a self, _: &'a Workspace, refused: &'a Credential) -> VaultFuture<'a, Arc<Credential>> {
        *self.renewals.lock().unwrap() += 1;
        let renewed = self.renewed.clone();
        let why = || VaultError::NeedsReauth(refused.name.clone(), "it was refused".to_owned());
        Box::pin(async move { renewed.ok_or_else(why) })
    }
}
