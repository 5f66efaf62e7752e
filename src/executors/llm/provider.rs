//! One provider: its client, and what came in the head of an answer besides the answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_openai::Client;
use async_openai::config::Config;
use async_openai::traits::RequestOptionsBuilder;
use serde_json::Value;

use super::capture::{CallError, Capture};
use super::endpoint::Endpoint;
use super::options::{Capability, ProviderOptions};
use super::stream::{self, Broken, Call, Patience};
use super::{LlmOptions, LlmSetupError};
use crate::domain::llm::{ModelInfo, ProviderInfo};
use crate::executors::HttpClientError;
use crate::executors::outbound::client_builder;

/// What a provider says is left of its own limits in this minute: requests and tokens.
pub(super) type Remaining = (Option<u64>, Option<u64>);

/// Where the head of an answer is noted while the answer is read.
pub(super) type Noted = Arc<Mutex<Remaining>>;

/// A configured provider, ready to be called.
pub(super) struct Provider {
    pub(super) info: ProviderInfo,
    lacks: Vec<(Arc<str>, Capability)>,
    endpoint: Endpoint,
    http: reqwest::Client,
    first_byte: Duration,
    patience: Patience,
}

impl Provider {
    /// Builds the client; does no I/O. Each provider has connections of its own.
    pub(super) fn new(options: &ProviderOptions, bounds: &LlmOptions) -> Result<Self, LlmSetupError> {
        let is_name = |name: &str| !name.is_empty() && !name.chars().any(char::is_control);
        if options.info.models.is_empty() || !options.info.models.iter().all(|model| is_name(&model.name)) {
            return Err(LlmSetupError::NoModel);
        }
        let http = client_builder(bounds.connect_timeout).pool_max_idle_per_host(64).build();
        Ok(Self {
            info: options.info.clone(),
            lacks: options.lacks.clone(),
            endpoint: Endpoint::new(&options.base_url, options.api_key.as_ref())?,
            http: http.map_err(HttpClientError::from)?,
            first_byte: bounds.first_byte_timeout,
            patience: Patience { first_token: bounds.first_token_timeout, idle: bounds.idle_timeout },
        })
    }

    /// The model of this name or alias, if it is listed.
    pub(super) fn model(&self, name: &str) -> Option<&ModelInfo> {
        self.info.models.iter().find(|m| &*m.name == name || m.aliases.iter().any(|alias| alias == name))
    }

    /// Whether a model is known to lack something.
    pub(super) fn lacks(&self, model: &str, capability: Capability) -> bool {
        self.lacks.iter().any(|(name, lack)| &**name == model && *lack == capability)
    }

    /// `text` without this provider's key.
    pub(super) fn redact(&self, text: &str) -> String {
        self.endpoint.redact(text)
    }

    /// The transport of one call, which bears where this call's head is noted.
    fn door(&self, first_byte: Duration, noted: &Noted) -> Capture {
        Capture { http: self.http.clone(), first_byte, idle: self.patience.idle, noted: Arc::clone(noted), aside: None }
    }

    /// A client for one call.
    pub(super) fn client(&self, noted: &Noted) -> Client<Endpoint> {
        // `Client::with_config` would build a default HTTP client first, with proxies and redirects.
        Client::build(self.http.clone(), self.endpoint.clone()).with_http_service(self.door(self.first_byte, noted))
    }

    /// The head of the answer to a question for its models, which costs nothing.
    pub(super) async fn list_models(&self) -> Result<reqwest::Response, reqwest::Error> {
        self.http.get(self.endpoint.url("/models")).headers(self.endpoint.headers()).send().await
    }

    /// One unary chat completion.
    pub(super) async fn complete(&self, request: Value, trace: &str, noted: &Noted) -> Result<Value, CallError> {
        let client = self.client(noted);
        let chat = client.chat().header("x-client-request-id", trace).map_err(|_| CallError::Request)?;
        chat.create_byot(request).await.map_err(CallError::from)
    }

    /// One chat completion that is read while it is written; each piece of text goes to `on_text`.
    pub(super) async fn stream(
        &self,
        request: Value,
        trace: &str,
        noted: &Noted,
        on_text: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Value, Broken> {
        let door = self.door(self.patience.first_token, noted);
        let call = Call { endpoint: &self.endpoint, door, trace, patience: self.patience };
        stream::complete(&call, request, on_text).await
    }
}

/// What was noted of an answer's head.
pub(super) fn remaining(noted: &Noted) -> Remaining {
    *noted.lock().unwrap_or_else(PoisonError::into_inner)
}
