//! Actions: executors with effects outside, governed by the allow-list of actions.

mod address;
mod cooldowns;
mod delivery;
mod host_rule;
mod means;
mod request_headers;
mod resolver;
mod signature;
mod ssrf;
mod transport;
mod vault;
mod webhook;
mod webhook_input;

pub use address::forbidden;
pub use cooldowns::{CooldownBook, Cooldowns, CoolingFuture};
pub use host_rule::{HostRule, HostRuleError};
pub use means::Means;
pub use resolver::{Lookup, SystemLookup};
pub use signature::{SecretError, SigningSecret};
pub use ssrf::{Destination, SsrfBlocked, UrlGuard};
pub use vault::{Credential, CredentialKind, Secret, SmtpSecurity, Vault, VaultError, VaultFuture};
pub use webhook::{WebhookOptions, WebhookSend, WebhookSetupError};
