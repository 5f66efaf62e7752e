//! What `llm.chat` needs to know: its providers, how calls are spread over them, and its bounds.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::{Balancing, Fleet};
use crate::domain::llm::{ModelInfo, ProviderInfo, Quota};
use crate::domain::{NameError, ProviderName};
use crate::executors::HttpClientError;

/// Something that a model may lack and a job may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Message parts that are images.
    Images,
    /// `response_format` of type `json_schema`.
    JsonSchema,
}

impl Capability {
    /// Every capability with its word in settings.
    pub const ALL: [(Self, &'static str); 2] = [(Self::Images, "images"), (Self::JsonSchema, "json_schema")];

    /// The word in settings.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(c, _)| *c == self).map_or("", |(_, word)| word)
    }
}

/// One provider with its address and credentials.
#[derive(Clone, Debug)]
pub struct ProviderOptions {
    /// What all may know of it.
    pub info: ProviderInfo,
    /// Base URL, `http` or `https`; with an empty path `/v1` is appended.
    pub base_url: String,
    /// Sent as a bearer token. Without one, no `Authorization` header is sent at all.
    pub api_key: Option<SecretString>,
    /// What its models are known to lack; anything else is taken for granted.
    pub lacks: Vec<(Arc<str>, Capability)>,
}

/// Options of `llm.chat`.
#[derive(Clone, Debug)]
pub struct LlmOptions {
    /// At least one; their order is the order of preference.
    pub providers: Vec<ProviderOptions>,
    /// The preferred one, when it is not the first.
    pub default_provider: Option<ProviderName>,
    /// Whether a call that a provider cannot carry out may go to another.
    pub fallback: bool,
    /// Which provider a job begins with.
    pub balancing: Balancing,
    /// Output limit in tokens of jobs that name none.
    pub max_output_tokens: u32,
    /// Limits of a workspace that has none of its own.
    pub workspace: Quota,
    /// Run deadline of an attempt of a job that names none.
    pub timeout: Duration,
    /// Bound on connecting, TLS included.
    pub connect_timeout: Duration,
    /// Bound on the wait for the response's head. A unary answer sends nothing before it is
    /// whole, so this is no guard against slow models; the job's own deadline is.
    pub first_byte_timeout: Duration,
    /// Bound on the wait for the first token of a stream, connecting included.
    pub first_token_timeout: Duration,
    /// Bound on silence in the middle of a response.
    pub idle_timeout: Duration,
    /// Where shares are asked for; `None` grants every call, for programs without shared limits.
    pub fleet: Option<Arc<dyn Fleet>>,
}

impl LlmOptions {
    /// One provider, named `local`, that passes every model on, with default bounds: 800 output tokens,
    /// a minute per attempt, 5 s to connect, 10 min to the first byte,
    /// 60 s to the first token of a stream, 20 s of silence.
    #[must_use]
    pub fn new(base_url: impl Into<String>, default_model: impl Into<String>) -> Self {
        let model = ModelInfo {
            name: default_model.into().into(),
            aliases: Vec::new(),
            context_window: None,
            price: None,
            quota: Quota::default(),
        };
        let info = ProviderInfo {
            name: ProviderName::local(),
            kind: "compatible",
            models: vec![model],
            open_models: true,
            quota: Quota::default(),
        };
        let provider = ProviderOptions { info, base_url: base_url.into(), api_key: None, lacks: Vec::new() };
        Self::with_providers(vec![provider])
    }

    /// The same with a key for every provider that has none: for one provider.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<SecretString>) -> Self {
        let key = key.into();
        for provider in &mut self.providers {
            provider.api_key.get_or_insert_with(|| key.clone());
        }
        self
    }

    /// These providers, with fallback and default bounds.
    #[must_use]
    pub fn with_providers(providers: Vec<ProviderOptions>) -> Self {
        Self {
            providers,
            default_provider: None,
            fallback: true,
            balancing: Balancing::Default,
            max_output_tokens: 800,
            workspace: Quota::default(),
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(600),
            first_token_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(20),
            fleet: None,
        }
    }
}

/// Provider settings that do not stand.
#[derive(Debug, thiserror::Error)]
pub enum LlmSetupError {
    /// The type name breaks the rule of names: a mistake in this build.
    #[error("type name: {0}")]
    Name(#[from] NameError),
    /// No provider, one without a model, or a model's name that is empty or has control characters.
    #[error("a provider is needed, with a model whose name is neither empty nor has control characters")]
    NoModel,
    /// Two providers with one name, or a default provider that is none of them.
    #[error("the provider `{0}` is named twice, or is the default and is none of the providers")]
    Provider(ProviderName),
    /// Not an absolute `http` or `https` URL without user, query and fragment.
    #[error("the base URL must be an absolute http or https URL without user, query or fragment")]
    BaseUrl,
    /// The key cannot be sent in a header.
    #[error("the API key must be visible ASCII characters without spaces")]
    ApiKey,
    /// The HTTP client could not be built.
    #[error(transparent)]
    Client(#[from] HttpClientError),
}
