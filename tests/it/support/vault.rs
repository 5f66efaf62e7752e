//! A vault of fixed credentials, which renews one as often as it was given others.

use std::sync::{Arc, Mutex};

use secrecy::SecretString;
use windlass::domain::Workspace;
use windlass::executors::actions::{Credential, CredentialKind, Secret, SmtpSecurity, Vault, VaultError, VaultFuture};

/// One credential of each kind that a test gave it, and those that come after.
#[derive(Debug, Default)]
pub(crate) struct FixedVault {
    credentials: Mutex<Vec<Arc<Credential>>>,
    next: Mutex<Vec<Arc<Credential>>>,
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
        Self { credentials: Mutex::new(vec![Arc::new(credential)]), ..Self::default() }
    }

    pub(crate) fn and(self, credential: Credential) -> Self {
        self.credentials.lock().unwrap().push(Arc::new(credential));
        self
    }

    /// A credential that was refused is renewed to this one.
    pub(crate) fn renewing_to(self, credential: Credential) -> Self {
        self.next.lock().unwrap().insert(0, Arc::new(credential));
        self
    }

    /// A bearer token of a mailbox, and the tokens that it may be renewed with.
    pub(crate) fn bearer(kind: CredentialKind, token: &str, scopes: &[&str], renewals: &[&str]) -> Arc<Self> {
        let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let of = |token: &str| Credential {
            account: Some("me@example.org".to_owned()),
            ..credential(kind, "default", Secret::Bearer { token: SecretString::from(token), scopes: scopes.clone() })
        };
        let vault = renewals.iter().fold(Self::with(of(token)), |vault, token| vault.renewing_to(of(token)));
        Arc::new(vault)
    }

    /// A mail server of this machine.
    pub(crate) fn smtp(port: u16, security: SmtpSecurity, login: Option<(&str, &str)>) -> Arc<Self> {
        Self::smtp_at("127.0.0.1", port, security, login)
    }

    pub(crate) fn smtp_at(host: &str, port: u16, security: SmtpSecurity, login: Option<(&str, &str)>) -> Arc<Self> {
        let login = login.map(|(user, password)| (user.to_owned(), SecretString::from(password)));
        let secret = Secret::Smtp { host: host.to_owned(), port, security, login };
        Self::of(CredentialKind::Smtp, Some("me@example.org"), secret)
    }

    pub(crate) fn of(kind: CredentialKind, account: Option<&str>, secret: Secret) -> Arc<Self> {
        let account = account.map(ToOwned::to_owned);
        Arc::new(Self::with(Credential { account, ..credential(kind, "default", secret) }))
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
        let found = self.credentials.lock().unwrap().iter().find(fits).cloned();
        let missing = move || VaultError::Missing("fixed", name.map(|name| format!(" `{name}`")).unwrap_or_default());
        Box::pin(async move { found.ok_or_else(missing) })
    }

    fn renew<'a>(&'a self, _: &'a Workspace, refused: &'a Credential) -> VaultFuture<'a, Arc<Credential>> {
        *self.renewals.lock().unwrap() += 1;
        let renewed = self.next.lock().unwrap().pop();
        if let Some(renewed) = &renewed {
            let mut all = self.credentials.lock().unwrap();
            all.retain(|c| c.kind != refused.kind);
            all.push(renewed.clone());
        }
        let why = || VaultError::NeedsReauth(refused.name.clone(), "it was refused".to_owned());
        Box::pin(async move { renewed.ok_or_else(why) })
    }
}
