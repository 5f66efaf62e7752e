//! Executors over real sockets, without a worker; of these only probes know Redis.

mod basic;
mod fake_llm;
mod github;
mod github_lost;
mod http_request;
pub(crate) mod llm;
mod llm_account;
mod llm_dialects;
mod llm_jobs;
mod llm_probe;
mod llm_routing;
mod llm_secrets;
mod llm_stream;
mod llm_structured;
mod llmock;
mod ssrf;
mod ssrf_hosts;
mod ssrf_proxy;
mod tasks;
mod webhook;
mod webhook_endpoint;
