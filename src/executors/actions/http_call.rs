//! One call of `http.request`, as an effect.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::clock;
use crate::domain::{EffectClass, FailureReason, RawJson, clip_text};
use crate::engine::{Effect, EffectFailure, ExecutionError, JobContext, Step};
use crate::executors::outbound::{BodyEnd, read_at_most};
use crate::executors::retry_after::retry_after;

use super::cooldowns::Scope;
use super::http_input::Checked;
use super::transport::unanswered;
use super::{CredentialKind, Destination, Means, Secret};

/// This much of an answer goes into the result.
const BODY_LIMIT: usize = 64 * 1024;

/// One call.
pub(super) struct HttpCall<'a> {
    pub(super) client: &'a reqwest::Client,
    pub(super) timeout: Duration,
    pub(super) means: &'a Means,
    pub(super) context: &'a JobContext,
    pub(super) scope: Scope,
    pub(super) destination: &'a Destination,
    pub(super) checked: &'a Checked,
    pub(super) body: Option<Bytes>,
    pub(super) credential: Option<&'a str>,
    /// Statuses that are a success; none: any 2xx.
    pub(super) expected: &'a [u16],
    /// What was answered: too long for a receipt.
    pub(super) answer: Mutex<Option<Value>>,
}

impl HttpCall<'_> {
    /// The job's result, or its failure when the call was done and its status is not the expected one.
    pub(super) fn result(&self, receipt: RawJson) -> Result<RawJson, ExecutionError> {
        let status = receipt.to_value()["status"].as_u64().and_then(|status| u16::try_from(status).ok());
        if let Some(status) = status.filter(|status| !self.is_expected(*status)) {
            let why = format!("the host answered {status}, which the job does not expect; it was called all the same");
            return Err(ExecutionError::permanent(FailureReason::Permanent, why));
        }
        // Where an earlier attempt made the call, its receipt is all that is left.
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(answer.map_or(receipt, |answer| RawJson::from_value(&answer)))
    }

    fn is_expected(&self, status: u16) -> bool {
        if self.expected.is_empty() { (200..300).contains(&status) } else { self.expected.contains(&status) }
    }

    /// The credential's header, if the job names one: to its own host, and never in the open.
    async fn secret_header(&self) -> Result<Option<(HeaderName, SecretString)>, ExecutionError> {
        let Some(name) = self.credential else { return Ok(None) };
        let workspace = &self.context.workspace;
        let credential = self.means.credential(workspace, CredentialKind::HttpHeader, Some(name)).await?;
        let Secret::Header { host, name: header, value } = &credential.secret else {
            let why = format!("the credential `{name}` holds no header");
            return Err(ExecutionError::permanent(FailureReason::Invalid, why));
        };
        if !self.is_host(host) {
            let why = format!("the credential `{name}` is for another host");
            return Err(ExecutionError::permanent(FailureReason::NotAllowed, why));
        }
        if self.destination.url.scheme() != "https" && !self.destination.internal {
            let why = format!("the credential `{name}` is not sent over plain http");
            return Err(ExecutionError::permanent(FailureReason::NotAllowed, why));
        }
        let unfit = |_| {
            let why = format!("the credential `{name}` has no valid header name");
            ExecutionError::permanent(FailureReason::Invalid, why)
        };
        Ok(Some((HeaderName::try_from(header.as_str()).map_err(unfit)?, value.clone())))
    }

    /// `own` is a host, or a host and port; without a port it stands for all of the host's.
    fn is_host(&self, own: &str) -> bool {
        let url = &self.destination.url;
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        own.eq_ignore_ascii_case(host) || own.eq_ignore_ascii_case(&format!("{host}:{port}"))
    }

    fn headers(&self, key: &str, secret: Option<&(HeaderName, SecretString)>) -> Result<HeaderMap, ExecutionError> {
        let mut headers = self.checked.headers.clone();
        let unfit = |_| ExecutionError::permanent(FailureReason::Invalid, "a credential or a key is no header value");
        if let Some(name) = &self.checked.key_header {
            headers.insert(name.clone(), HeaderValue::try_from(key).map_err(unfit)?);
        }
        if let Some((name, value)) = secret {
            let mut value = HeaderValue::try_from(value.expose_secret()).map_err(unfit)?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        Ok(headers)
    }

    /// Keeps what was answered and returns the receipt.
    async fn keep(&self, response: reqwest::Response, secret: Option<&SecretString>, took: Duration) -> RawJson {
        let status = response.status().as_u16();
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.map(|kind| clip_text(kind, 128));
        let (bytes, end) = read_at_most(response, BODY_LIMIT, self.timeout).await;
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        // Some hosts send back what they were sent, and results are shown.
        if let Some(secret) = secret.map(ExposeSecret::expose_secret).filter(|secret| !secret.is_empty()) {
            text = text.replace(secret, "[redacted]");
        }
        let is_json = kind.as_deref().is_some_and(|kind| kind.to_ascii_lowercase().contains("json"));
        let json = (is_json && end == BodyEnd::Complete).then(|| serde_json::from_str::<Value>(&text).ok()).flatten();
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let receipt = json!({"status": status, "content_type": kind, "duration_ms": took});
        let mut answer = receipt.clone();
        answer["truncated"] = json!(end != BodyEnd::Complete);
        match json {
            Some(json) => answer["json"] = json,
            None => answer["text"] = json!(clip_text(&text, BODY_LIMIT)),
        }
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        RawJson::from_value(&receipt)
    }
}

impl Effect for HttpCall<'_> {
    fn class(&self) -> EffectClass {
        self.checked.class
    }

    async fn perform(&self, step: &Step<'_>) -> Result<RawJson, EffectFailure> {
        let before = EffectFailure::NotDone;
        self.means.cooldowns.check(&self.scope, self.context.id, "the host").await.map_err(before)?;
        let secret = self.secret_header().await.map_err(before)?;
        let headers = self.headers(&step.key(), secret.as_ref()).map_err(before)?;
        let mut request =
            self.client.request(self.checked.method.clone(), self.destination.url.clone()).headers(headers);
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        step.may_go()?;
        let started = clock::now();
        let response = request.send().await.map_err(|error| unanswered(&error, "the host"))?;
        let status = response.status().as_u16();
        if self.is_expected(status) || (200..300).contains(&status) {
            return Ok(self.keep(response, secret.as_ref().map(|(_, value)| value), started.elapsed()).await);
        }
        let wait = retry_after(response.headers(), clock::wall());
        if let (429, Some(wait)) = (status, wait) {
            self.means.cooldowns.cool(&self.scope, wait).await;
        }
        Err(refused(status, wait))
    }
}

/// What an unexpected status says. Below 500 the host certainly did not act; from 500 on it may have.
fn refused(status: u16, wait: Option<Duration>) -> EffectFailure {
    let said = format!("the host answered {status}");
    let permanent = |why: String| EffectFailure::NotDone(ExecutionError::permanent(FailureReason::Permanent, why));
    let retry = |reason, said| ExecutionError::retryable(reason, said).with_retry_after(wait);
    match (status, wait) {
        (429, Some(after)) => EffectFailure::NotDone(ExecutionError::postpone(said, after)),
        (429, None) => EffectFailure::NotDone(retry(FailureReason::RateLimited, said)),
        (408 | 425, _) => EffectFailure::NotDone(retry(FailureReason::Error, said)),
        (500.., _) => EffectFailure::Unknown(retry(FailureReason::Error, said)),
        (300..=399, _) => permanent(format!("{said}; redirects are not followed")),
        _ => permanent(said),
    }
}
