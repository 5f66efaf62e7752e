//! Credentials of the settings, for workspaces that have none of their own. Every workspace that may use the action acts
//! as that identity.

use crate::domain::{CredentialKind, SmtpLogin};
use crate::executors::actions::{Credential, Secret};

/// What a credential of the settings is called.
pub(super) const NAME: &str = "settings";

/// Credentials of the settings.
#[derive(Clone, Default)]
pub struct VaultDefaults {
    /// A mail server, and the sender of mails that name none.
    pub smtp: Option<(SmtpLogin, Option<String>)>,
}

impl VaultDefaults {
    pub(super) fn of(&self, kind: CredentialKind) -> Option<Credential> {
        let (account, secret) = match kind {
            CredentialKind::Smtp => {
                let (server, from) = self.smtp.clone()?;
                (from, smtp(server))
            }
            _ => return None,
        };
        Some(Credential { name: NAME.to_owned(), kind, account, secret })
    }
}

impl std::fmt::Debug for VaultDefaults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VaultDefaults").field("smtp", &self.smtp.is_some()).finish()
    }
}

pub(super) fn smtp(server: SmtpLogin) -> Secret {
    Secret::Smtp { host: server.host, port: server.port, security: server.security, login: server.login }
}
