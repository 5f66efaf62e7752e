//! Calls to an API with a bearer token, which is renewed once when it is refused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use crate::domain::{FailureReason, Workspace};
use crate::engine::{EffectFailure, ExecutionError};
use crate::executors::actions::{Credential, Secret, Vault};
use crate::executors::outbound::{read_at_most, root_cause};

use super::refusal::needs_reauth;

/// An answer is read up to this many bytes; those of a draft have a few hundred.
const ANSWER_LIMIT: usize = 256 * 1024;

/// What one job's calls have in common.
pub(super) struct Bearer<'a> {
    pub(super) http: &'a reqwest::Client,
    pub(super) vault: &'a dyn Vault,
    pub(super) workspace: &'a Workspace,
    /// The API's name in messages.
    pub(super) service: &'static str,
    pub(super) timeout: Duration,
    credential: Mutex<Arc<Credential>>,
}

/// An API's answer, whatever its status but 401.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// Whether the API did what it was asked for.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON; `null` when it is none or broke off.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Why there is no answer.
pub(super) enum CallError {
    /// The request was not made, or was refused for its token.
    NotDone(ExecutionError),
    /// It may have arrived.
    Broken(ExecutionError),
}

impl CallError {
    /// Of a call that does no harm when it is made twice.
    pub(super) fn error(self) -> ExecutionError {
        match self {
            Self::NotDone(error) | Self::Broken(error) => error,
        }
    }

    /// Of a call whose effect cannot be taken back.
    pub(super) fn of_send(self) -> EffectFailure {
        match self {
            Self::NotDone(error) => EffectFailure::NotDone(error),
            Self::Broken(error) => EffectFailure::Unknown(error),
        }
    }
}

impl<'a> Bearer<'a> {
    /// Calls of one job.
    pub(super) fn new(
        http: &'a reqwest::Client,
        vault: &'a dyn Vault,
        workspace: &'a Workspace,
        service: &'static str,
        timeout: Duration,
        credential: Arc<Credential>,
    ) -> Self {
        Self { http, vault, workspace, service, timeout, credential: Mutex::new(credential) }
    }

    /// The credential in use.
    pub(super) fn credential(&self) -> Arc<Credential> {
        Arc::clone(&self.credential.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a call. A 401 did nothing: the token is renewed once, and the call made again.
    ///
    /// # Errors
    /// See [`CallError`].
    pub(super) async fn call(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Answer, CallError> {
        let answer = self.attempt(method.clone(), url.clone(), body).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let refused = self.credential();
        let renewed = self.vault.renew(self.workspace, &refused).await;
        let renewed = renewed.map_err(|error| CallError::NotDone(error.into()))?;
        *self.credential.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
        let answer = self.attempt(method, url, body).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let why = format!("{} refuses the credential `{}`, renewed just now (401)", self.service, refused.name);
        Err(CallError::NotDone(needs_reauth(why)))
    }

    async fn attempt(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Answer, CallError> {
        let mut request = self.http.request(method, url).timeout(self.timeout);
        request = request.header(header::AUTHORIZATION, self.authorization().map_err(CallError::NotDone)?);
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let response = request.send().await.map_err(|error| self.broken(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        // The status is the answer. What the body would add is not worth a failure.
        let (body, _) = read_at_most(response, ANSWER_LIMIT, self.timeout).await;
        Ok(Answer { status, headers, body })
    }

    fn authorization(&self) -> Result<HeaderValue, ExecutionError> {
        let credential = self.credential();
        let no_token = || {
            let why = format!("the credential `{}` has no token to send; replace it", credential.name);
            needs_reauth(why)
        };
        let Secret::Bearer { token, .. } = &credential.secret else { return Err(no_token()) };
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).map_err(|_| no_token())?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn broken(&self, error: &reqwest::Error) -> CallError {
        let service = self.service;
        if error.is_connect() || error.is_builder() {
            let why = format!("cannot connect to {service}: {}", root_cause(error));
            return CallError::NotDone(ExecutionError::retryable(FailureReason::Error, why));
        }
        if error.is_timeout() {
            let why = format!("{service} did not answer in time");
            return CallError::Broken(ExecutionError::retryable(FailureReason::Timeout, why));
        }
        let why = format!("the request to {service} broke off: {}", root_cause(error));
        CallError::Broken(ExecutionError::retryable(FailureReason::Error, why))
    }
}

/// `base` with path segments behind it, each encoded.
pub(super) fn endpoint(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}
