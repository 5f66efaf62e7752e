//! Actions: executors with effects outside, governed by the allow-list of actions.

mod address;
mod cooldowns;
mod delivery;
mod github;
mod host_rule;
mod http_call;
mod http_input;
mod http_request;
mod marker;
mod means;
mod request_headers;
mod resolver;
mod rest;
mod signature;
mod ssrf;
mod tasks;
mod transport;
mod vault;
mod webhook;
mod webhook_input;

pub use address::forbidden;
pub use cooldowns::{CooldownBook, Cooldowns, CoolingFuture};
pub use github::{Github, GithubAction, GithubOptions, GithubSetupError};
pub use host_rule::{HostRule, HostRuleError};
pub use http_request::{HttpRequest, HttpRequestOptions, HttpSetupError};
pub use means::Means;
pub use resolver::{Lookup, SystemLookup};
pub use rest::RestSetupError;
pub use signature::{SecretError, SigningSecret};
pub use ssrf::{Destination, SsrfBlocked, UrlGuard};
pub use tasks::{TaskCreate, TaskOptions, TaskSetupError};
pub use vault::{Credential, CredentialKind, Secret, SmtpSecurity, Vault, VaultError, VaultFuture};
pub use webhook::{WebhookOptions, WebhookSend, WebhookSetupError};
