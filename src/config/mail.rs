//! The senders of mail.

use std::time::Duration;

use super::catalogue as c;
use super::layers::Resolved;

/// `gmail.send`, `smtp.send` and `outlook.send`.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// The Gmail API.
    pub gmail_url: String,
    /// Microsoft Graph.
    pub graph_url: String,
    /// For one call.
    pub timeout: Duration,
}

impl MailConfig {
    pub(super) fn of(r: &Resolved) -> Self {
        Self {
            gmail_url: r.text(&c::GMAIL_BASE_URL).unwrap_or_default(),
            graph_url: r.text(&c::GRAPH_BASE_URL).unwrap_or_default(),
            timeout: r.seconds(&c::MAIL_TIMEOUT_SECONDS),
        }
    }
}
