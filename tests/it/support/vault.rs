//! A vault of fixed credentials, which renews a token at most as often as it has others.

use std::sync::{Arc, Mutex};

use secrecy::SecretString;
use windlass::domain::Workspace;
use windlass::executors::actions::{Credential, CredentialKind, Secret, SmtpSecurity, Vault, VaultError, VaultFuture};

/// One credential, and the tokens that it may be renewed with.
pub(crate) struct FixedVault {
    credential: Mutex<Arc<Credential>>,
    renewals: Mutex<Vec<String>>,
}

impl FixedVault {
    /// A bearer token of a mailbox.
    pub(crate) fn bearer(kind: CredentialKind, token: &str, scopes: &[&str], renewals: &[&str]) -> Arc<Self> {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let secret = Secret::Bearer { token: SecretString::from(token), scopes };
        Self::of(kind, Some("me@example.org"), secret, renewals)
    }

    /// A mail server of this machine.
    pub(crate) fn smtp(port: u16, security: SmtpSecurity, login: Option<(&str, &str)>) -> Arc<Self> {
        Self::smtp_at("127.0.0.1", port, security, login)
    }

    pub(crate) fn smtp_at(host: &str, port: u16, security: SmtpSecurity, login: Option<(&str, &str)>) -> Arc<Self> {
        let login = login.map(|(user, password)| (user.to_owned(), SecretString::from(password)));
        let secret = Secret::Smtp { host: host.to_owned(), port, security, login };
        Self::of(CredentialKind::Smtp, Some("me@example.org"), secret, &[])
    }

    pub(crate) fn of(kind: CredentialKind, account: Option<&str>, secret: Secret, renewals: &[&str]) -> Arc<Self> {
        let account = account.map(ToOwned::to_owned);
        let credential = Credential { name: "default".to_owned(), kind, account, secret };
        let renewals = renewals.iter().rev().map(|token| (*token).to_owned()).collect();
        Arc::new(Self { credential: Mutex::new(Arc::new(credential)), renewals: Mutex::new(renewals) })
    }
}

impl std::fmt::Debug for FixedVault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FixedVault")
    }
}

impl Vault for FixedVault {
    fn get<'a>(
        &'a self,
        _: &'a Workspace,
        kind: CredentialKind,
        name: Option<&'a str>,
    ) -> VaultFuture<'a, Arc<Credential>> {
        let credential = self.credential.lock().unwrap().clone();
        let found = credential.kind == kind && name.is_none_or(|name| name == credential.name);
        let missing = || VaultError::Missing("mail", name.map(|name| format!(" `{name}`")).unwrap_or_default());
        let answer = found.then_some(credential).ok_or_else(missing);
        Box::pin(async move { answer })
    }

    fn renew<'a>(&'a self, _: &'a Workspace, refused: &'a Credential) -> VaultFuture<'a, Arc<Credential>> {
        let answer = match self.renewals.lock().unwrap().pop() {
            Some(token) => {
                let scopes = match &refused.secret {
                    Secret::Bearer { scopes, .. } => scopes.clone(),
                    _ => Vec::new(),
                };
                let secret = Secret::Bearer { token: SecretString::from(token), scopes };
                let renewed = Arc::new(Credential { secret, ..refused.clone() });
                *self.credential.lock().unwrap() = renewed.clone();
                Ok(renewed)
            }
            None => Err(VaultError::NeedsReauth(refused.name.clone(), "it was refused".to_owned())),
        };
        Box::pin(async move { answer })
    }
}
