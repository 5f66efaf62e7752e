//! The API as typed calls: what the operator commands and the demo use.
//!
//! Reads and enqueues are repeated (by `backon`) three times within two seconds when the server is
//! away or says that its trouble may pass; an enqueue may be, since its id makes it one job. Nothing
//! else is repeated: whoever calls knows whether that is wanted.

mod actions;
mod error;
mod fleet;
mod follow;
mod jobs;
mod operations;
mod operators;
mod sse;
mod transport;
mod watch;

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::domain::Workspace;

pub use error::ClientError;
pub use follow::{Follow, JobEvent};
pub use jobs::{JobFilter, Receipt};
pub use watch::{WatchEvent, WatchFilter, WatchJobs};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take beyond what it was asked to wait.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to one API; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    key: Option<SecretString>,
    workspace: Option<Workspace>,
}

impl Client {
    /// A client of the API at `url`. Nothing is sent yet.
    ///
    /// # Errors
    /// When `url` is not an http(s) address.
    pub fn new(url: &str, key: Option<SecretString>) -> Result<Self, ClientError> {
        let base = Url::parse(url).map_err(|e| ClientError::Setup(format!("`{url}` is not a URL: {e}")))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(ClientError::Setup(format!("`{url}` is not an http:// or https:// address")));
        }
        // reqwest panics without a TLS provider; the binary installs one first thing, a program that
        // embeds this client may not have. Losing the race to another installer is fine.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| ClientError::Setup(e.to_string()))?;
        Ok(Self { http, base, key, workspace: None })
    }

    /// The same client, speaking for one workspace. Only keys for all workspaces need this.
    #[must_use]
    pub fn in_workspace(&self, workspace: Option<Workspace>) -> Self {
        Self { workspace, ..self.clone() }
    }

    /// The address that is spoken to.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }
}
