//! `http.request`: calls an allowed host.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::{ActionFacts, EffectClass, FailureReason, JobType, NameError, RawJson, RetryPolicy};
use crate::engine::{ExecutionError, Executor, JobContext, JobFuture, TypeInfo};
use crate::executors::HttpClientError;
use crate::executors::outbound::client_builder;

use super::cooldowns::Scope;
use super::http_call::HttpCall;
use super::http_input::{Checked, HttpInput, schema};
use super::resolver::VettingResolver;
use super::{Destination, HostRule, Lookup, Means, SystemLookup, UrlGuard};

/// Where requests may go.
#[derive(Clone, Debug)]
pub struct HttpRequestOptions {
    /// Hosts that may be called and must have public addresses.
    pub allowed_hosts: Vec<HostRule>,
    /// Hosts that may be called and may have internal addresses.
    pub allow_internal: Vec<HostRule>,
    /// Bound on one request, from connecting to the end of the answer.
    pub timeout: Duration,
}

impl Default for HttpRequestOptions {
    /// No host allowed, 30 s.
    fn default() -> Self {
        Self { allowed_hosts: Vec::new(), allow_internal: Vec::new(), timeout: Duration::from_secs(30) }
    }
}

/// Settings of `http.request` that do not stand.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    /// The type name breaks the rule of names: a mistake in this build.
    #[error("type name: {0}")]
    Name(#[from] NameError),
    /// The HTTP client could not be built.
    #[error(transparent)]
    Client(#[from] HttpClientError),
}

/// The executor of `http.request`.
pub struct HttpRequest {
    info: TypeInfo,
    guard: UrlGuard,
    /// Resolves through the vetting resolver.
    public: reqwest::Client,
    /// For hosts that may be internal.
    internal: reqwest::Client,
    timeout: Duration,
    means: Means,
}

impl HttpRequest {
    /// Builds the clients; does no I/O.
    ///
    /// # Errors
    /// When the options do not stand.
    pub fn new(options: &HttpRequestOptions) -> Result<Self, HttpSetupError> {
        Self::with_lookup(options, Arc::new(SystemLookup))
    }

    /// Like [`Self::new`] with another source of addresses, still vetted.
    ///
    /// # Errors
    /// When the options do not stand.
    pub fn with_lookup(options: &HttpRequestOptions, lookup: Arc<dyn Lookup>) -> Result<Self, HttpSetupError> {
        let builder = || client_builder(options.timeout).timeout(options.timeout);
        let info = TypeInfo {
            input_schema: schema(),
            retry: RetryPolicy { max_attempts: 5, ..RetryPolicy::default() },
            timeout: options.timeout + Duration::from_secs(5),
            is_action: true,
            effect: EffectClass::Once,
            ..TypeInfo::new(JobType::new("http.request")?, "Calls an allowed host over HTTP.")
        };
        Ok(Self {
            info,
            guard: UrlGuard::new(options.allowed_hosts.clone(), options.allow_internal.clone()),
            public: builder().dns_resolver(VettingResolver(lookup)).build().map_err(HttpClientError::from)?,
            internal: builder().build().map_err(HttpClientError::from)?,
            timeout: options.timeout,
            means: Means::default(),
        })
    }

    /// With credentials of workspaces, and with what the fleet leaves alone.
    #[must_use]
    pub fn with_means(mut self, means: Means) -> Self {
        self.means = means;
        self
    }

    fn admit(&self, input: &HttpInput) -> Result<(Destination, Checked), String> {
        let checked = input.check()?;
        Ok((self.guard.check(&input.url).map_err(|blocked| blocked.to_string())?, checked))
    }

    async fn call(&self, context: &JobContext) -> Result<RawJson, ExecutionError> {
        let input: HttpInput = context.input()?;
        let (destination, checked) =
            self.admit(&input).map_err(|why| ExecutionError::permanent(FailureReason::NotAllowed, why))?;
        let port = destination.url.port_or_known_default().unwrap_or_default().to_string();
        let place = [destination.url.host_str().unwrap_or_default(), &port, destination.url.path()];
        let body = match (input.body, input.text) {
            (Some(json), _) => Some(Bytes::from(String::from(Box::<str>::from(json)))),
            (None, text) => text.map(Bytes::from),
        };
        let call = HttpCall {
            client: if destination.internal { &self.internal } else { &self.public },
            timeout: self.timeout,
            means: &self.means,
            context,
            scope: Scope::new("http", &context.workspace, &place),
            destination: &destination,
            checked: &checked,
            body,
            credential: input.credential.as_deref(),
            expected: &input.expect_status,
            answer: std::sync::Mutex::default(),
        };
        let receipt = context.effect(&call).await?;
        call.result(receipt)
    }
}

impl Executor for HttpRequest {
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn check(&self, input: &Value) -> Result<(), String> {
        let input = HttpInput::deserialize(input).map_err(|e| e.to_string())?;
        self.admit(&input).map(drop)
    }

    fn facts(&self, input: &Value) -> ActionFacts {
        let Ok(input) = HttpInput::deserialize(input) else { return ActionFacts::default() };
        let json = input.body.as_ref().map_or(0, |body| body.get().len());
        let bytes = json + input.text.as_ref().map_or(0, String::len);
        ActionFacts { host: super::webhook::host_of(&input.url), bytes, ..ActionFacts::default() }
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin(async move { self.call(&context).await })
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest").field("guard", &self.guard).finish_non_exhaustive()
    }
}
