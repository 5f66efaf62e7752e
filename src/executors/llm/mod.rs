//! Calls to language models.
//!
//! `llm.chat` speaks the OpenAI chat dialect to one endpoint: OpenAI itself, or anything compatible
//! (Ollama, vLLM, xAI, a LiteLLM proxy, the built-in [`fake`]). The HTTP client is async-openai with
//! its own retry switched off, because the queue is the only owner of retries: the library's 4
//! attempts inside 3 of ours would make 12 calls.

mod assemble;
mod capture;
mod chat;
mod chunk;
mod endpoint;
mod failure;
pub mod fake;
mod input;
mod reply;
mod schema_door;
mod sse;
mod stream;
mod structured;

use std::time::Duration;

use secrecy::SecretString;

use super::HttpClientError;
pub use chat::LlmChat;

/// One OpenAI-compatible provider.
#[derive(Debug)]
pub struct LlmOptions {
    /// Base URL, `http` or `https`; with an empty path `/v1` is appended.
    pub base_url: String,
    /// Sent as a bearer token. Without one, no `Authorization` header is sent at all.
    pub api_key: Option<SecretString>,
    /// The model of jobs that name none.
    pub default_model: String,
    /// Output limit in tokens of jobs that name none.
    pub max_output_tokens: u32,
    /// Bound on connecting, TLS included.
    pub connect_timeout: Duration,
    /// Bound on the wait for the response's head. A unary answer sends nothing before it is
    /// whole, so this is no guard against slow models; the job's own deadline is.
    pub first_byte_timeout: Duration,
    /// Bound on the wait for the first token of a stream, connecting included.
    pub first_token_timeout: Duration,
    /// Bound on silence in the middle of a response.
    pub idle_timeout: Duration,
}

impl LlmOptions {
    /// A provider with default limits: 800 output tokens, 5 s to connect, 10 min to the first
    /// byte, 60 s to the first token of a stream, 20 s of silence.
    #[must_use]
    pub fn new(base_url: impl Into<String>, default_model: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            api_key: None,
            default_model: default_model.into(),
            max_output_tokens: 800,
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(600),
            first_token_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(20),
        }
    }
}

/// Provider settings that do not stand.
#[derive(Debug, thiserror::Error)]
pub enum LlmSetupError {
    /// The type name breaks the rule of names: a mistake in this build.
    #[error("type name: {0}")]
    Name(#[from] crate::domain::NameError),
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
