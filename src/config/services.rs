//! Settings of actions at services outside: GitHub, HTTP APIs, lists of tasks.

use std::time::Duration;

use secrecy::SecretString;

use super::catalogue as c;
use super::layers::Resolved;

/// GitHub, as the installation uses it; workspaces may have credentials of their own.
#[derive(Clone, Debug)]
pub struct GithubConfig {
    /// Whether the three below are in force.
    pub enabled: bool,
    /// The installation's token.
    pub token: Option<SecretString>,
    /// The owner of jobs that name none.
    pub owner: Option<String>,
    /// The repository of jobs that name none.
    pub repo: Option<String>,
    /// The address of its API.
    pub api_url: String,
}

/// `http.request`.
#[derive(Clone, Debug)]
pub struct HttpRequestConfig {
    /// Hosts that may be called.
    pub allowed_hosts: Vec<String>,
    /// Hosts that may be called although they are internal.
    pub allow_internal: Vec<String>,
    /// For one request.
    pub timeout: Duration,
}

/// Addresses of the services that keep tasks.
#[derive(Clone, Debug)]
pub struct TasksConfig {
    /// Google Tasks.
    pub google_url: String,
    /// Microsoft Graph.
    pub graph_url: String,
}

impl GithubConfig {
    pub(super) fn of(r: &Resolved) -> Self {
        Self {
            enabled: r.flag(&c::GITHUB_ENABLED),
            token: r.secret(&c::GITHUB_TOKEN),
            owner: r.text(&c::GITHUB_OWNER),
            repo: r.text(&c::GITHUB_REPO),
            api_url: r.text(&c::GITHUB_API_URL).unwrap_or_default(),
        }
    }
}

impl HttpRequestConfig {
    pub(super) fn of(r: &Resolved) -> Self {
        Self {
            allowed_hosts: r.list(&c::HTTP_ALLOWED_HOSTS),
            allow_internal: r.list(&c::HTTP_ALLOW_INTERNAL),
            timeout: r.seconds(&c::HTTP_TIMEOUT_SECONDS),
        }
    }
}

impl TasksConfig {
    pub(super) fn of(r: &Resolved) -> Self {
        Self {
            google_url: r.text(&c::GOOGLE_TASKS_BASE_URL).unwrap_or_default(),
            graph_url: r.text(&c::GRAPH_BASE_URL).unwrap_or_default(),
        }
    }
}
