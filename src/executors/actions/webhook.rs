//! `webhook.send`: posts JSON to an allowed host, signed.
//!
//! Every attempt carries the job's id as `webhook-id`, so a receiver that keeps the ids it has seen
//! (as Standard Webhooks asks) acts once even when an answer was lost and the job was tried again. That id is the key
//! of its effect class, `keyed`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::{ActionFacts, EffectClass, FailureReason, JobType, NameError, RetryPolicy};
use crate::engine::{ExecutionError, Executor, JobContext, JobFuture, TypeInfo};
use crate::executors::HttpClientError;
use crate::executors::outbound::client_builder;

use super::cooldowns::Scope;
use super::delivery::{Channel, Delivery};
use super::resolver::VettingResolver;
use super::webhook_input::{WebhookInput, schema};
use super::{
    CredentialKind, Destination, HostRule, Lookup, Means, Secret, SecretError, SigningSecret, SystemLookup, UrlGuard,
    request_headers,
};

/// How webhooks are sent and where to.
#[derive(Debug)]
pub struct WebhookOptions {
    /// Signs every request. Without one, requests go out unsigned and the result says
    /// `"signed": false`.
    pub signing_secret: Option<SecretString>,
    /// The secret before that one, while receivers change over: requests carry a signature of each.
    pub previous_secret: Option<SecretString>,
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
            previous_secret: None,
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
    /// The current key first.
    keys: Vec<SigningSecret>,
    channel: Channel,
    means: Means,
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
        let keys = [&options.signing_secret, &options.previous_secret].into_iter().flatten();
        Ok(Self {
            info,
            guard: UrlGuard::new(options.allowed_hosts.clone(), options.allow_internal.clone()),
            keys: keys.map(SigningSecret::parse).collect::<Result<_, _>>()?,
            channel: Channel {
                public,
                internal,
                timeout: options.timeout,
                max_response_bytes: options.max_response_bytes,
                #[cfg(feature = "chaos")]
                planted: options.planted,
            },
            means: Means::default(),
        })
    }

    /// With credentials of workspaces, and with what the fleet leaves alone.
    #[must_use]
    pub fn with_means(mut self, means: Means) -> Self {
        self.means = means;
        self
    }

    fn admit(&self, input: &WebhookInput) -> Result<(Destination, HeaderMap), String> {
        let destination = self.guard.check(&input.url).map_err(|blocked| blocked.to_string())?;
        Ok((destination, request_headers::checked(&input.headers)?))
    }

    /// The keys that sign: those of the credential that the input names, or those of the settings.
    async fn keys(&self, context: &JobContext, name: Option<&str>) -> Result<Vec<SigningSecret>, ExecutionError> {
        let Some(name) = name else { return Ok(self.keys.clone()) };
        let credential = self.means.credential(&context.workspace, CredentialKind::Webhook, Some(name)).await?;
        let unfit = |why: &dyn fmt::Display| {
            let why = format!("the credential `{}` cannot sign: {why}", credential.name);
            ExecutionError::permanent(FailureReason::Invalid, why)
        };
        match &credential.secret {
            Secret::Signing(keys) if !keys.is_empty() => {
                keys.iter().map(|key| SigningSecret::parse(key).map_err(|error| unfit(&error))).collect()
            }
            _ => Err(unfit(&"it holds no keys")),
        }
    }

    async fn send(&self, context: &JobContext) -> Result<crate::domain::RawJson, ExecutionError> {
        let input: WebhookInput = context.input()?;
        // Again, although the door has checked: the lists of this process may be other ones.
        let (destination, mut headers) =
            self.admit(&input).map_err(|why| ExecutionError::permanent(FailureReason::NotAllowed, why))?;
        let scope = endpoint(context, &destination);
        self.means.cooldowns.check(&scope, context.id, "the endpoint").await?;
        let keys = self.keys(context, input.credential.as_deref()).await?;
        let text: Box<str> = input.payload.into();
        let body = Bytes::from(String::from(text));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // To an endpoint that the operator allows and that learns the job's id anyhow; nobody else gets one.
        if let Some(parent) = context.traceparent().and_then(|parent| HeaderValue::from_str(&parent).ok()) {
            headers.entry("traceparent").or_insert(parent);
        }
        let delivery = Delivery {
            channel: &self.channel,
            cooldowns: &self.means.cooldowns,
            scope,
            id: context.id.to_string(),
            destination,
            headers,
            body,
            keys,
        };
        context.effect(&delivery).await
    }
}

/// Host, port and path of one workspace: what asks to be left alone is left alone whatever the query.
fn endpoint(context: &JobContext, to: &Destination) -> Scope {
    let port = to.url.port_or_known_default().unwrap_or_default().to_string();
    Scope::new("webhook", &context.workspace, &[to.url.host_str().unwrap_or_default(), &port, to.url.path()])
}

impl Executor for WebhookSend {
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn check(&self, input: &Value) -> Result<(), String> {
        let input = WebhookInput::deserialize(input).map_err(|e| e.to_string())?;
        self.admit(&input).map(drop)
    }

    fn facts(&self, input: &Value) -> ActionFacts {
        let Ok(input) = WebhookInput::deserialize(input) else { return ActionFacts::default() };
        ActionFacts { host: host_of(&input.url), bytes: input.payload.get().len(), ..ActionFacts::default() }
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin(async move { self.send(&context).await })
    }
}

/// The host of a URL as rules see it.
pub(super) fn host_of(url: &str) -> Option<String> {
    url::Url::parse(url).ok()?.host_str().map(str::to_owned)
}

impl fmt::Debug for WebhookSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSend").field("guard", &self.guard).finish_non_exhaustive()
    }
}
