//! Calls to language models.
//!
//! `llm.chat` speaks the OpenAI chat dialect to any number of providers: OpenAI itself, or anything
//! compatible (xAI, Ollama, vLLM, a LiteLLM proxy, the built-in [`fake`]). The HTTP client is
//! async-openai with its own retry switched off, because the queue is the only owner of retries: the
//! library's 4 attempts inside 3 of ours would make 12 calls.
//!
//! One attempt of a job is one call to one provider. `route` lists where it may go, the fleet's book
//! ([`Fleet`]) says where it may go now, and what is learnt of the call is settled there.

mod assemble;
mod capture;
mod chat;
mod chunk;
mod endpoint;
mod estimate;
mod failure;
pub mod fake;
mod fleet;
mod input;
mod options;
mod probe;
mod provider;
mod redact;
mod reply;
mod reserve;
mod route;
mod schema_door;
mod settle;
mod sse;
mod stream;
mod structured;
mod usage;

pub use chat::LlmChat;
pub use fleet::{Fleet, FleetFuture};
pub use options::{Capability, LlmOptions, LlmSetupError, ProviderOptions};
pub use probe::Prober;
pub use route::Balancing;
