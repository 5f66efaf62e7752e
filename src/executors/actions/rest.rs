//! Calls to a service that speaks JSON and takes a bearer token, for one job.
//!
//! A 401 has the credential renewed once and the call made again, which is safe: it was refused. A limit leaves the
//! identity alone, in all jobs that use it, and postpones the job.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use crate::clock;
use crate::domain::{FailureReason, Timestamp};
use crate::engine::{EffectFailure, ExecutionError, JobContext, Step};
use crate::executors::HttpClientError;
use crate::executors::outbound::{BodyEnd, client_builder, read_at_most};

use super::cooldowns::Scope;
use super::transport::unanswered;
use super::{Credential, CredentialKind, Means, Secret, VaultError};

/// For one call, its answer included.
const TIMEOUT: Duration = Duration::from_secs(20);

/// An answer is read up to this: fifty issues of the longest body that GitHub takes, in four bytes a character.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// An address or a token that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RestSetupError {
    /// Not an http or https address without user, query and fragment.
    #[error("{0} is not a usable http or https address")]
    Address(&'static str),
    /// The HTTP client could not be built.
    #[error(transparent)]
    Client(#[from] HttpClientError),
}

/// What an answer that is no success means.
pub(super) enum Trouble {
    /// Over a limit, certainly not done; the identity is to be left alone this long.
    Limited(Duration, String),
    /// Certainly not done.
    Refused(ExecutionError),
    /// Perhaps done.
    Broken(ExecutionError),
}

/// A service.
#[derive(Debug)]
pub(super) struct Service {
    client: reqwest::Client,
    base: Url,
    /// Its name for people.
    who: &'static str,
    kind: CredentialKind,
    headers: HeaderMap,
    trouble: fn(&Answer, Timestamp) -> Trouble,
}

/// What a service answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// `None` when it was no JSON, too long, or broke off.
    pub(super) body: Option<Value>,
}

/// One call.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Behind the base address; each is encoded.
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, String)],
    pub(super) body: Option<&'a Value>,
}

impl<'a> Call<'a> {
    pub(super) fn get(path: &'a [&'a str], query: &'a [(&'a str, String)]) -> Self {
        Self { method: Method::GET, path, query, body: None }
    }

    pub(super) fn post(path: &'a [&'a str], body: &'a Value) -> Self {
        Self { method: Method::POST, path, query: &[], body: Some(body) }
    }

    pub(super) fn patch(path: &'a [&'a str], body: &'a Value) -> Self {
        Self { method: Method::PATCH, path, query: &[], body: Some(body) }
    }
}

impl Service {
    /// `setting` names the address for people.
    pub(super) fn new(
        (who, kind): (&'static str, CredentialKind),
        (setting, base): (&'static str, &str),
        headers: HeaderMap,
        trouble: fn(&Answer, Timestamp) -> Trouble,
    ) -> Result<Self, RestSetupError> {
        let base = Url::parse(base.trim_end_matches('/')).map_err(|_| RestSetupError::Address(setting))?;
        let plain = base.username().is_empty() && base.password().is_none() && base.query().is_none();
        if !matches!(base.scheme(), "http" | "https") || !plain || base.fragment().is_some() {
            return Err(RestSetupError::Address(setting));
        }
        let client = client_builder(TIMEOUT).timeout(TIMEOUT).build().map_err(HttpClientError::from)?;
        Ok(Self { client, base, who, kind, headers, trouble })
    }

    fn url(&self, call: &Call<'_>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        url
    }

    async fn send(&self, call: &Call<'_>, token: &SecretString) -> Result<Answer, EffectFailure> {
        let unfit = |_| {
            let why = format!("the token for {} is no header value", self.who);
            EffectFailure::NotDone(ExecutionError::permanent(FailureReason::Invalid, why))
        };
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).map_err(unfit)?;
        bearer.set_sensitive(true);
        let mut headers = self.headers.clone();
        headers.insert(header::AUTHORIZATION, bearer);
        let mut request = self.client.request(call.method.clone(), self.url(call)).headers(headers);
        if let Some(body) = call.body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| unanswered(&error, self.who))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let (bytes, end) = read_at_most(response, ANSWER_LIMIT, TIMEOUT).await;
        let body = if end == BodyEnd::Complete { serde_json::from_slice(&bytes).ok() } else { None };
        Ok(Answer { status, headers, body })
    }
}

/// A service as one job may use it.
pub(super) struct Access<'a> {
    service: &'a Service,
    means: &'a Means,
    context: &'a JobContext,
    credential: Mutex<Arc<Credential>>,
    /// Whether the vault knows it.
    renewable: bool,
    scope: Scope,
}

impl<'a> Access<'a> {
    /// With the workspace's credential, or with `own`, that of the settings, when it has none and names none. Refused
    /// while the identity is left alone.
    pub(super) async fn open(
        service: &'a Service,
        means: &'a Means,
        context: &'a JobContext,
        name: Option<&str>,
        own: Option<Arc<Credential>>,
    ) -> Result<Access<'a>, ExecutionError> {
        let found = match &means.vault {
            Some(vault) => vault.get(&context.workspace, service.kind, name).await,
            None => Err(super::means::missing(service.kind, name)),
        };
        let (credential, renewable) = match (found, own) {
            (Ok(credential), _) => (credential, true),
            (Err(VaultError::Missing(..)), Some(own)) if name.is_none() => (own, false),
            (Err(error), _) => return Err(error.into()),
        };
        let kind = service.who.to_ascii_lowercase().replace(' ', "-");
        let scope = if renewable {
            Scope::new(&kind, &context.workspace, &[&credential.name])
        } else {
            Scope::of_settings(&kind)
        };
        means.cooldowns.check(&scope, context.id, service.who).await?;
        Ok(Self { service, means, context, credential: Mutex::new(credential), renewable, scope })
    }

    /// Makes a call and returns its success.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Value, EffectFailure> {
        let answer = self.ask(call).await?;
        self.success(answer).await
    }

    /// Makes a call that changes something, and returns its success.
    pub(super) async fn change(&self, step: &Step<'_>, call: &Call<'_>) -> Result<Value, EffectFailure> {
        step.may_go()?;
        self.call(call).await
    }

    /// Makes a call and returns its answer, whatever it is but a refusal of the credential.
    pub(super) async fn ask(&self, call: &Call<'_>) -> Result<Answer, EffectFailure> {
        let credential = self.credential();
        let answer = self.service.send(call, bearer(&credential)?).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let renewed = self.renew(&credential).await.map_err(|error| EffectFailure::NotDone(error.into()))?;
        let answer = self.service.send(call, bearer(&renewed)?).await?;
        if answer.status == 401 {
            return Err(EffectFailure::NotDone(self.refused(&renewed).into()));
        }
        *self.credential.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(answer)
    }

    /// The document of a success; what the rest means is the service's business.
    pub(super) async fn success(&self, answer: Answer) -> Result<Value, EffectFailure> {
        let who = self.service.who;
        if (200..300).contains(&answer.status) {
            // It was done. Without its name there is no receipt, so it is looked up.
            let why = format!("the answer of {who} could not be read");
            let unread = || EffectFailure::Unknown(ExecutionError::retryable(FailureReason::Error, why));
            return answer.body.ok_or_else(unread);
        }
        match (self.service.trouble)(&answer, clock::wall()) {
            Trouble::Limited(wait, why) => {
                self.means.cooldowns.cool(&self.scope, wait).await;
                Err(EffectFailure::NotDone(ExecutionError::postpone(why, wait)))
            }
            Trouble::Refused(error) => Err(EffectFailure::NotDone(error)),
            Trouble::Broken(error) => Err(EffectFailure::Unknown(error)),
        }
    }

    async fn renew(&self, refused: &Arc<Credential>) -> Result<Arc<Credential>, VaultError> {
        match &self.means.vault {
            Some(vault) if self.renewable => vault.renew(&self.context.workspace, refused).await,
            _ => Err(self.refused(refused)),
        }
    }

    fn refused(&self, credential: &Credential) -> VaultError {
        VaultError::NeedsReauth(credential.name.clone(), format!("{} refused it (401)", self.service.who))
    }

    fn credential(&self) -> Arc<Credential> {
        Arc::clone(&self.credential.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn bearer(credential: &Credential) -> Result<&SecretString, EffectFailure> {
    match &credential.secret {
        Secret::Bearer { token, .. } => Ok(token),
        _ => {
            let why = format!("the credential `{}` holds no token", credential.name);
            Err(EffectFailure::NotDone(ExecutionError::permanent(FailureReason::Invalid, why)))
        }
    }
}

impl fmt::Debug for Access<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("service", &self.service.who).finish_non_exhaustive()
    }
}

/// Server errors and what else is much the same everywhere. `said` is the service's own message.
pub(super) fn usual_trouble(who: &str, status: u16, said: &str, wait: Option<Duration>) -> Trouble {
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let why = format!("{who} answered {status}{said}");
    match status {
        500.. => Trouble::Broken(ExecutionError::retryable(FailureReason::Error, why).with_retry_after(wait)),
        408 | 409 | 425 => Trouble::Refused(ExecutionError::retryable(FailureReason::Error, why)),
        300..=399 => {
            let why = format!("{why}; it may have moved, and redirects are not followed");
            Trouble::Refused(ExecutionError::permanent(FailureReason::Permanent, why))
        }
        _ => Trouble::Refused(ExecutionError::permanent(FailureReason::Permanent, why)),
    }
}
