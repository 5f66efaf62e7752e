//! What the senders of mail need to know, and what they share.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::domain::{EffectClass, FailureReason, JobType, NameError, RetryPolicy};
use crate::engine::{ExecutionError, TypeInfo};
use crate::executors::HttpClientError;
use crate::executors::actions::Vault;

use super::schema::{Way, schema};

/// How mail is sent.
#[derive(Clone, Debug)]
pub struct MailOptions {
    /// The Gmail API, without `/gmail/v1`.
    pub gmail_url: String,
    /// Microsoft Graph, with its version.
    pub graph_url: String,
    /// Bound on one call to an API; of a mail server, on everything before the mail itself.
    pub timeout: Duration,
}

impl Default for MailOptions {
    /// The vendors' addresses, 30 s.
    fn default() -> Self {
        Self {
            gmail_url: "https://gmail.googleapis.com".to_owned(),
            graph_url: "https://graph.microsoft.com/v1.0".to_owned(),
            timeout: Duration::from_secs(30),
        }
    }
}

/// Mail settings that do not stand.
#[derive(Debug, thiserror::Error)]
pub enum MailSetupError {
    /// The type name breaks the rule of names: a mistake in this build.
    #[error("type name: {0}")]
    Name(#[from] NameError),
    /// An address that no API can have.
    #[error("{0}: must be an http or https URL without user, query and fragment")]
    Url(&'static str),
    /// The HTTP client could not be built.
    #[error(transparent)]
    Client(#[from] HttpClientError),
}

/// The address of an API.
///
/// # Errors
/// When it is none; `setting` names it.
pub(super) fn base_url(setting: &'static str, text: &str) -> Result<Url, MailSetupError> {
    let url = Url::parse(text).map_err(|_| MailSetupError::Url(setting))?;
    let decorated = !url.username().is_empty() || url.password().is_some() || url.query().is_some();
    let http = matches!(url.scheme(), "http" | "https") && url.has_host();
    if decorated || url.fragment().is_some() || !http { Err(MailSetupError::Url(setting)) } else { Ok(url) }
}

/// What the queue knows of a type that sends mail.
///
/// # Errors
/// When the name breaks the rule of names.
pub(super) fn type_info(
    name: &str,
    summary: &str,
    way: Way,
    effect: EffectClass,
    timeout: Duration,
) -> Result<TypeInfo, NameError> {
    Ok(TypeInfo {
        name: JobType::new(name)?,
        summary: summary.to_owned(),
        input_schema: schema(way),
        retry: RetryPolicy { max_attempts: 5, ..RetryPolicy::default() },
        // Two calls, each perhaps made again with a new token.
        timeout: timeout * 4 + Duration::from_secs(10),
        is_action: true,
        effect,
    })
}

/// The vault of a process that runs jobs.
///
/// # Errors
/// In a process that has none.
pub(super) fn vault(vault: Option<&Arc<dyn Vault>>) -> Result<&dyn Vault, ExecutionError> {
    let none = || ExecutionError::retryable(FailureReason::Error, "this process has no credentials to send mail with");
    vault.map(AsRef::as_ref).ok_or_else(none)
}
