//! `webhook.send`: posts JSON to an allowed host, signed.
//!
//! Every attempt carries the job's id as `webhook-id`, so a receiver that keeps the ids it has seen
//! (as Standard Webhooks asks) acts once even when an answer was lost and the job was tried again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock;
use crate::domain::{EffectClass, FailureReason, JobType, NameError, RawJson, RetryPolicy, clip_text};
use crate::engine::{ExecutionError, Executor, JobContext, JobFuture, TypeInfo};
use crate::executors::HttpClientError;
use crate::executors::outbound::{client_builder, read_at_most, root_cause};
use crate::executors::retry_after::retry_after;

use super::resolver::{VettingResolver, refusal};
use super::webhook_input::{WebhookInput, schema};
use super::{Destination, HostRule, Lookup, SecretError, SigningSecret, SystemLookup, UrlGuard};

/// This much of a receiver's answer goes into the result.
const EXCERPT_LIMIT: usize = 1024;

/// How webhooks are sent and where to.
#[derive(Debug)]
pub struct WebhookOptions {
    /// Signs every request. Without one, requests go out unsigned and the result says
    /// `"signed": false`.
    pub signing_secret: Option<SecretString>,
    /// Hosts that may be called and must have public addresses.
    pub allowed_hosts: Vec<HostRule>,
    /// Hosts that may be called and may have internal addresses.
    pub allow_internal: Vec<HostRule>,
    /// Bound on one request, from connecting to the end of the answer.
    pub timeout: Duration,
    /// An answer is read up to this many bytes.
    pub max_response_bytes: usize,
    /// The bug that this process has on purpose, if any.
    #[cfg(feature = "chaos")]
    pub planted: Option<&'static crate::store::planted::PlantedBug>,
}

impl Default for WebhookOptions {
    /// No host allowed, 10 s, 64 KiB.
    fn default() -> Self {
        Self {
            signing_secret: None,
            allowed_hosts: Vec::new(),
            allow_internal: Vec::new(),
            timeout: Duration::from_secs(10),
            max_response_bytes: 64 * 1024,
            #[cfg(feature = "chaos")]
            planted: None,
        }
    }
}

/// Webhook settings that do not stand.
#[derive(Debug, thiserror::Error)]
pub enum WebhookSetupError {
    /// The type name breaks the rule of names: a mistake in this build.
    #[error("type name: {0}")]
    Name(#[from] NameError),
    /// The signing secret cannot sign.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The HTTP client could not be built.
    #[error(transparent)]
    Client(#[from] HttpClientError),
}

/// The executor of `webhook.send`.
pub struct WebhookSend {
    info: TypeInfo,
    guard: UrlGuard,
    secret: Option<SigningSecret>,
    /// Resolves through the vetting resolver.
    public: reqwest::Client,
    /// For hosts that the operator allows to be internal; a client of its own, so that the vetting
    /// one needs no exceptions by name.
    internal: reqwest::Client,
    timeout: Duration,
    max_response_bytes: usize,
    #[cfg(feature = "chaos")]
    planted: Option<&'static crate::store::planted::PlantedBug>,
}

impl WebhookSend {
    /// Builds the clients; does no I/O.
    ///
    /// # Errors
    /// When the options do not stand.
    pub fn new(options: &WebhookOptions) -> Result<Self, WebhookSetupError> {
        Self::with_lookup(options, Arc::new(SystemLookup))
    }

    /// Like [`Self::new`] with another source of addresses, still vetted.
    ///
    /// # Errors
    /// When the options do not stand.
    pub fn with_lookup(options: &WebhookOptions, lookup: Arc<dyn Lookup>) -> Result<Self, WebhookSetupError> {
        let builder = || client_builder(options.timeout).timeout(options.timeout);
        let public = builder().dns_resolver(VettingResolver(lookup)).build().map_err(HttpClientError::from)?;
        let internal = builder().build().map_err(HttpClientError::from)?;
        let info = TypeInfo {
            name: JobType::new("webhook.send")?,
            summary: "Posts JSON to an allowed host, signed after Standard Webhooks.".into(),
            input_schema: schema(),
            retry: RetryPolicy { max_attempts: 5, ..RetryPolicy::default() },
            timeout: options.timeout + Duration::from_secs(5),
            is_action: true,
            effect: EffectClass::Keyed,
        };
        Ok(Self {
            info,
            guard: UrlGuard::new(options.allowed_hosts.clone(), options.allow_internal.clone()),
            secret: options.signing_secret.as_ref().map(SigningSecret::parse).transpose()?,
            public,
            internal,
            timeout: options.timeout,
            max_response_bytes: options.max_response_bytes,
            #[cfg(feature = "chaos")]
            planted: options.planted,
        })
    }

    fn admit(&self, input: &WebhookInput) -> Result<(Destination, HeaderMap), String> {
        let destination = self.guard.check(&input.url).map_err(|blocked| blocked.to_string())?;
        Ok((destination, input.headers()?))
    }

    async fn send(&self, context: &JobContext) -> Result<RawJson, ExecutionError> {
        let input: WebhookInput = context.input()?;
        // Again, although the door has checked: the lists of this process may be other ones.
        let (destination, mut headers) =
            self.admit(&input).map_err(|why| ExecutionError::permanent(FailureReason::NotAllowed, why))?;
        let body = input.payload.get().as_bytes().to_vec();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.sign(&mut headers, &context.id.to_string(), &body)?;
        let client = if destination.internal { &self.internal } else { &self.public };
        let request = client.post(destination.url).headers(headers).body(body);

        context.before_effect()?;
        let started = clock::now();
        #[cfg(feature = "chaos")]
        let again = request.try_clone().filter(|_| crate::store::planted::resends_blindly(self.planted));
        let answered = request.send().await;
        #[cfg(feature = "chaos")]
        let answered = match (answered, again) {
            (Err(_), Some(again)) => again.send().await,
            (answered, _) => answered,
        };
        let response = answered.map_err(|error| transport_failure(&error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(refused(status, response.headers()));
        }
        // The receiver has accepted: whatever happens to the rest of its answer is no failure.
        let (answer, _) = read_at_most(response, self.max_response_bytes, self.timeout).await;
        let text = String::from_utf8_lossy(&answer);
        let excerpt = Some(clip_text(&text, EXCERPT_LIMIT)).filter(|text| !text.is_empty());
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(RawJson::from_value(&json!({
            "status": status.as_u16(),
            "body_excerpt": excerpt,
            "duration_ms": duration_ms,
            "signed": self.secret.is_some(),
        })))
    }

    fn sign(&self, headers: &mut HeaderMap, id: &str, body: &[u8]) -> Result<(), ExecutionError> {
        let timestamp = clock::wall().unix_ms() / 1000;
        let value =
            |text: String| HeaderValue::try_from(text).map_err(|e| ExecutionError::permanent(FailureReason::Error, e));
        headers.insert("webhook-id", value(id.to_owned())?);
        headers.insert("webhook-timestamp", timestamp.into());
        if let Some(secret) = &self.secret {
            headers.insert("webhook-signature", value(secret.sign(id, timestamp, body))?);
        }
        Ok(())
    }
}

fn transport_failure(error: &reqwest::Error) -> ExecutionError {
    if let Some(blocked) = refusal(error) {
        return ExecutionError::permanent(FailureReason::NotAllowed, blocked);
    }
    if error.is_timeout() {
        return ExecutionError::retryable(FailureReason::Timeout, "the webhook receiver did not answer in time");
    }
    let step =
        if error.is_connect() { "cannot connect to the webhook receiver" } else { "the webhook request broke off" };
    ExecutionError::retryable(FailureReason::Error, format_args!("{step}: {}", root_cause(error)))
}

fn refused(status: StatusCode, headers: &HeaderMap) -> ExecutionError {
    let wait = retry_after(headers, clock::wall());
    let said = format!("the webhook receiver answered {}", status.as_u16());
    match (status.as_u16(), wait) {
        (429, Some(after)) => ExecutionError::postpone(said, after),
        (429, None) => ExecutionError::retryable(FailureReason::RateLimited, said),
        (408 | 425 | 500.., _) => ExecutionError::retryable(FailureReason::Error, said).with_retry_after(wait),
        (300..=399, _) => {
            ExecutionError::permanent(FailureReason::Permanent, format_args!("{said}; redirects are not followed"))
        }
        (410, _) => ExecutionError::permanent(FailureReason::Permanent, format_args!("{said}: it is gone for good")),
        _ => ExecutionError::permanent(FailureReason::Permanent, said),
    }
}

impl Executor for WebhookSend {
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn check(&self, input: &Value) -> Result<(), String> {
        let input = WebhookInput::deserialize(input).map_err(|e| e.to_string())?;
        self.admit(&input).map(drop)
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin(async move { self.send(&context).await })
    }
}

impl fmt::Debug for WebhookSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSend").field("guard", &self.guard).finish_non_exhaustive()
    }
}
