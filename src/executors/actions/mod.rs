//! Actions: executors with effects outside, governed by the allow-list of actions.

mod address;
mod credentials;
mod host_rule;
mod mail;
mod resolver;
mod signature;
mod ssrf;
mod vault;
mod webhook;
mod webhook_input;

pub use address::forbidden;
pub use credentials::{CredentialChecker, StoredVault, TokenEndpoints, VaultDefaults, VaultOptions};
pub use host_rule::{HostRule, HostRuleError};
pub use mail::{GmailSend, MailOptions, MailSetupError, OutlookSend, SmtpSend};
pub use resolver::{Lookup, SystemLookup};
pub use signature::{SecretError, SigningSecret};
pub use ssrf::{Destination, SsrfBlocked, UrlGuard};
pub use vault::{Credential, CredentialKind, Secret, SmtpSecurity, Vault, VaultError, VaultFuture};
pub use webhook::{WebhookOptions, WebhookSend, WebhookSetupError};
