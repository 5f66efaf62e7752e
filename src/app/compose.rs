//! From settings to the parts of a process.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;

use super::StartError;
use crate::config::Config;
use crate::engine::{AllowList, Registry, Safe};
use crate::executors::llm::{Fleet, LlmOptions};
use crate::executors::{ExecutorOptions, actions, register_all};
use crate::http::MetricsGate;
use crate::store::{Shards, StoreOptions, Strict};

/// Transitions kept for clients that resume an event stream: a few minutes of a busy fleet.
const EVENTS_KEPT: u64 = 100_000;

/// Connects to the queue's Redis without waiting for it.
pub(super) async fn store(config: &Config) -> Result<Shards, StartError> {
    let options = StoreOptions {
        url: config.redis.url.clone(),
        shards: config.redis.shards,
        pool_size: config.redis.pool_size,
        command_timeout: config.redis.command_timeout,
        idempotency_ttl: config.queue.idempotency_ttl,
        max_depth: config.queue.max_depth,
        events_kept: if config.queue.events { EVENTS_KEPT } else { 0 },
        listing_index: config.queue.listing_index,
        retention: config.queue.retention,
        dead_retention: config.queue.dead_retention,
        #[cfg(feature = "chaos")]
        planted: config.planted,
        strict: config
            .queue
            .strict
            .then_some(Strict { replicas: config.queue.durability_replicas, wait: config.queue.durability_timeout }),
        ..StoreOptions::new("")
    };
    Shards::connect(options).await.map_err(StartError::part)
}

/// Who may read the metrics of this process.
pub(super) fn metrics_gate(config: &Config, store: &Shards) -> MetricsGate {
    if config.metrics.closed {
        MetricsGate::closed(store.clone(), config.server.admin_key.as_ref(), config.metrics.token.as_ref())
    } else {
        MetricsGate::open()
    }
}

/// What executors need of the fleet; a process that runs no jobs needs nothing.
#[derive(Default)]
pub(super) struct Parts {
    /// Where calls to models ask for their share of the limits.
    pub(super) fleet: Option<Arc<dyn Fleet>>,
    /// Where actions get credentials.
    pub(super) vault: Option<Arc<dyn actions::Vault>>,
    /// What is left alone for a while.
    pub(super) cooldowns: Option<Arc<dyn actions::CooldownBook>>,
}

/// The job types of this process. Allowed actions that this build does not have are a warning: the
/// list may be meant for another version, and they stay refused.
pub(super) fn registry(config: &Config, parts: Parts) -> Result<Arc<Registry>, StartError> {
    let allow =
        AllowList { actions_enabled: config.actions.enabled, allowed: config.actions.allow.iter().cloned().collect() };
    let mut registry = Registry::new(allow);
    register_all(&mut registry, &executor_options(config, parts)?).map_err(StartError::part)?;
    for name in registry.unknown_allowed() {
        tracing::warn!(action = name, "ALLOW_ACTIONS_DEFAULT names an action that this build does not have");
    }
    Ok(Arc::new(registry))
}

/// What calls to models need to know; `None` without a provider.
pub(super) fn llm_options(config: &Config, fleet: Option<Arc<dyn Fleet>>) -> Option<LlmOptions> {
    config.llm.as_ref().map(|llm| LlmOptions {
        default_provider: llm.default_provider.clone(),
        fallback: llm.fallback,
        balancing: llm.balancing,
        max_output_tokens: llm.max_output_tokens,
        timeout: llm.timeout,
        workspace: llm.workspace,
        fleet,
        ..LlmOptions::with_providers(llm.providers.clone())
    })
}

fn executor_options(config: &Config, parts: Parts) -> Result<ExecutorOptions, StartError> {
    let webhook = actions::WebhookOptions {
        signing_secret: config.webhook.signing_secret.clone(),
        previous_secret: config.webhook.previous_secret.clone(),
        allowed_hosts: rules("WEBHOOK_ALLOWED_HOSTS", &config.webhook.allowed_hosts)?,
        allow_internal: rules("WEBHOOK_ALLOW_INTERNAL", &config.webhook.allow_internal)?,
        timeout: config.webhook.timeout,
        #[cfg(feature = "chaos")]
        planted: config.planted,
        ..actions::WebhookOptions::default()
    };
    let mail = actions::MailOptions {
        gmail_url: config.mail.gmail_url.clone(),
        graph_url: config.mail.graph_url.clone(),
        timeout: config.mail.timeout,
    };
    let http = actions::HttpRequestOptions {
        allowed_hosts: rules("HTTP_ALLOWED_HOSTS", &config.http_request.allowed_hosts)?,
        allow_internal: rules("HTTP_ALLOW_INTERNAL", &config.http_request.allow_internal)?,
        timeout: config.http_request.timeout,
    };
    let tasks = actions::TaskOptions {
        google_url: config.tasks.google_url.clone(),
        graph_url: config.tasks.graph_url.clone(),
        settles_after: config.actions.settle,
    };
    let Parts { fleet, vault, cooldowns } = parts;
    let llm = llm_options(config, fleet);
    Ok(ExecutorOptions { llm, webhook, mail, http, github: github(config), tasks, vault, cooldowns })
}

/// Where actions get credentials.
pub(super) fn vault(config: &Config, store: &Shards) -> Result<Arc<actions::StoredVault>, StartError> {
    let credentials = &config.credentials;
    let options =
        actions::VaultOptions { endpoints: credentials.endpoints.clone(), defaults: credentials.defaults.clone() };
    let safe = Safe::new(store.clone(), credentials.keyring.clone());
    actions::StoredVault::new(safe, &options).map(Arc::new).map_err(StartError::part)
}

/// Disabled, GitHub is there for workspaces with a credential of their own.
fn github(config: &Config) -> actions::GithubOptions {
    let own = |text: &Option<String>| text.clone().filter(|_| config.github.enabled);
    actions::GithubOptions {
        api_url: config.github.api_url.clone(),
        token: config.github.token.clone().filter(|_| config.github.enabled),
        owner: own(&config.github.owner),
        repo: own(&config.github.repo),
        settles_after: config.actions.settle,
    }
}

fn rules(setting: &str, hosts: &[String]) -> Result<Vec<actions::HostRule>, StartError> {
    let rule = |host: &String| host.parse().map_err(|e| StartError::Part(format!("{setting}: {e}")));
    hosts.iter().map(rule).collect()
}

/// Listens on an address of ours.
pub(super) async fn listen(host: &str, port: u16) -> Result<TcpListener, StartError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let bound = match bare.parse::<IpAddr>() {
        Ok(address) => TcpListener::bind(SocketAddr::new(address, port)).await,
        Err(_) => TcpListener::bind((bare, port)).await,
    };
    bound.map_err(|e| StartError::listen(format_args!("{host}:{port}"), &e))
}

/// The address of a listener as a URL that works on this machine.
pub(super) fn local_url(listener: &TcpListener) -> Result<String, StartError> {
    let address = listener.local_addr().map_err(StartError::part)?;
    let host = match address.ip() {
        ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V6(ip) => format!("[{ip}]"),
        ip => ip.to_string(),
    };
    Ok(format!("http://{host}:{}", address.port()))
}
