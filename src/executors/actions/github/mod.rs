//! Issues and pull requests at GitHub, after its REST API
//! (<https://docs.github.com/en/rest/issues/issues>, <https://docs.github.com/en/rest/pulls/pulls>).
//!
//! GitHub has no idempotency key. What is created carries a hidden mark in its body, and after a lost answer recent
//! entries are listed and looked through for it. They are listed and not searched for, since the search lags behind.

mod account;
mod action;
mod documents;
mod failure;
mod input;
mod lookup;
mod repository;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use secrecy::SecretString;

use crate::domain::NameError;
use crate::engine::{ExecutionError, JobContext};

use super::rest::{Access, RestSetupError, Service};
use super::{Credential, CredentialKind, Means, Secret};

pub use account::GithubAccount;
pub use action::GithubAction;
pub(super) use documents::issue_receipt;
pub(super) use lookup::{Newest, begun, find};
pub(super) use repository::Repository;

/// GitHub, as the installation uses it.
#[derive(Clone, Debug)]
pub struct GithubOptions {
    /// The address of its API.
    pub api_url: String,
    /// The installation's own token: for workspaces without a credential, and for the repository below only.
    pub token: Option<SecretString>,
    /// The owner of jobs that name none.
    pub owner: Option<String>,
    /// The repository of jobs that name none.
    pub repo: Option<String>,
    /// How long after an intent GitHub may still be at it, or may not list it yet: a call is given up on after 20 s,
    /// and what was made is in the lists some seconds later.
    pub settles_after: Duration,
}

impl Default for GithubOptions {
    /// github.com without a token and a repository; 30 s.
    fn default() -> Self {
        Self {
            api_url: "https://api.github.com".to_owned(),
            token: None,
            owner: None,
            repo: None,
            settles_after: Duration::from_secs(30),
        }
    }
}

/// GitHub settings that do not stand.
#[derive(Debug, thiserror::Error)]
pub enum GithubSetupError {
    /// A type name breaks the rule of names: a mistake in this build.
    #[error("type name: {0}")]
    Name(#[from] NameError),
    /// The address or the client.
    #[error(transparent)]
    Rest(#[from] RestSetupError),
    /// The default repository.
    #[error("GITHUB_OWNER, GITHUB_REPO: {0}")]
    Repository(String),
}

/// GitHub for all its actions.
#[derive(Debug)]
pub struct Github {
    service: Service,
    means: Means,
    owner: Option<String>,
    repo: Option<String>,
    /// The credential of the settings.
    own: Option<Arc<Credential>>,
    settles_after: Duration,
}

impl Github {
    /// Builds the client; does no I/O.
    ///
    /// # Errors
    /// When the options do not stand.
    pub fn new(options: &GithubOptions, means: Means) -> Result<Self, GithubSetupError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
        headers.insert("x-github-api-version", HeaderValue::from_static("2022-11-28"));
        let name = ("GitHub", CredentialKind::Github);
        let service = Service::new(name, ("GITHUB_API_URL", &options.api_url), headers, failure::trouble)?;
        let (owner, repo) = (options.owner.clone(), options.repo.clone());
        Repository::new(owner.as_deref().unwrap_or("x"), repo.as_deref().unwrap_or("x"))
            .map_err(GithubSetupError::Repository)?;
        let own = options.token.clone().map(|token| {
            let secret = Secret::Bearer { token, scopes: Vec::new() };
            let name = "GITHUB_TOKEN".to_owned();
            Arc::new(Credential { name, kind: CredentialKind::Github, account: None, secret })
        });
        Ok(Self { service, means, owner, repo, own, settles_after: options.settles_after })
    }

    /// The repository of a job.
    pub(super) fn repository(&self, owner: Option<&str>, repo: Option<&str>) -> Result<Repository, String> {
        let owner = owner.or(self.owner.as_deref()).ok_or("owner: missing, and GITHUB_OWNER is not set")?;
        let repo = repo.or(self.repo.as_deref()).ok_or("repo: missing, and GITHUB_REPO is not set")?;
        Repository::new(owner, repo)
    }

    pub(super) fn settles_after(&self) -> Duration {
        self.settles_after
    }

    /// GitHub as a job may use it for a repository.
    pub(super) async fn access<'a>(
        &'a self,
        context: &'a JobContext,
        repository: &Repository,
        credential: Option<&str>,
    ) -> Result<Access<'a>, ExecutionError> {
        let own = self.own.clone().filter(|_| self.is_own(repository));
        Access::open(&self.service, &self.means, context, credential, own).await
    }

    /// GitHub as a job may use it for its whole account: with a credential of its workspace only.
    async fn account<'a>(
        &'a self,
        context: &'a JobContext,
        credential: Option<&str>,
    ) -> Result<Access<'a>, ExecutionError> {
        Access::open(&self.service, &self.means, context, credential, None).await
    }

    /// Whether the settings' token is meant for it: it is the installation's, and any workspace may use it.
    fn is_own(&self, repository: &Repository) -> bool {
        let is = |own: &Option<String>, name: &str| own.as_ref().map(|own| own.eq_ignore_ascii_case(name));
        is(&self.owner, &repository.owner) == Some(true) && is(&self.repo, &repository.name) != Some(false)
    }
}
