//! `windlass serve`: the API.

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::instruments::Instruments;
use super::{StartError, bootstrap, compose, log_levels};
use crate::config::{Config, LlmConfig};
use crate::engine::{Control, EventHub, Guard, Janitor, Operations, Policies, Submitter, start_noting, tasks};
use crate::http::{HttpOptions, HttpState, ServerOptions, ServiceState, Services, router, serve};
use crate::store::Shards;

/// Listens on the configured address and serves until `shutdown` fires and requests are answered.
pub(super) async fn run(
    config: &Config,
    instruments: Instruments,
    shutdown: CancellationToken,
) -> Result<(), StartError> {
    let listener = compose::listen(&config.server.host, config.server.port).await?;
    tracing::info!(url = compose::local_url(&listener)?, "the API is served");
    let store = compose::store(config).await?;
    serve_on(listener, config, store, instruments, shutdown).await?;
    tracing::info!("the API stopped");
    Ok(())
}

/// Serves the API on a listener.
pub(super) async fn serve_on(
    listener: TcpListener,
    config: &Config,
    store: Shards,
    instruments: Instruments,
    shutdown: CancellationToken,
) -> Result<(), StartError> {
    // Not the token of the listener: requests in work still need the parts below.
    let background = CancellationToken::new();
    let _stop_background = background.clone().drop_guard();
    let Instruments { prometheus, levels, tracer } = instruments;
    let mut services = services(config, store.clone(), &background)?;
    services.submitter = services.submitter.with_tracer(tracer.clone());
    let (watch, swept, token) = (services.guard.clone(), store.clone(), background.clone());
    tasks::spawn("janitor-start", async move {
        watch.known_layout().await;
        Janitor::start(swept, token);
    });
    start_noting(store.clone(), background.clone());
    Control::watch_drains(store.clone(), background.clone());
    if config.server.admin_key.is_none() {
        let token = background.clone();
        tasks::spawn("first-key", async move {
            if let Some(key) = bootstrap::first_key(&store, &token).await
                && let Err(error) = bootstrap::announce(&key)
            {
                tracing::error!(%error, "the first key could not be shown; set WINDLASS_ADMIN_KEY");
            }
        });
    }
    let options = ServerOptions {
        max_connections: config.server.max_connections,
        grace: config.worker.drain_grace,
        ..ServerOptions::default()
    };
    log_levels::start(&services.policies, services.store.clone(), levels);
    let metrics = compose::metrics_gate(config, &services.store);
    let options_of_api = HttpOptions { metrics, tracer, ..http_options(config, prometheus, &shutdown) };
    let state = HttpState::new(services, options_of_api);
    serve(listener, router(state), options, shutdown).await;
    Ok(())
}

fn services(config: &Config, store: Shards, background: &CancellationToken) -> Result<Services, StartError> {
    let registry = compose::registry(config, compose::Parts::default())?;
    let guard = Guard::start(store.clone(), background.clone());
    let hub = EventHub::start(store.clone(), background.clone()).map_err(StartError::part)?;
    let submitter = Submitter::start(store.clone(), guard.clone(), background.clone());
    let control = Control::new(store.clone());
    let operations = Operations::new(store.clone());
    operations.start(background.clone());
    let policies = Policies::start(store.clone(), registry.allow_list().clone(), background.clone());
    Ok(Services { store, submitter, control, operations, hub, guard, registry, policies })
}

fn http_options(config: &Config, prometheus: PrometheusHandle, shutdown: &CancellationToken) -> HttpOptions {
    HttpOptions {
        admin_key: config.server.admin_key.clone(),
        cursor_secret: config.server.cursor_secret.clone(),
        environment: config.server.environment.clone(),
        llm: if config.llm.is_some() { ServiceState::Ok } else { ServiceState::Disabled },
        github: match (config.github.enabled, &config.github.token) {
            (false, _) => ServiceState::Disabled,
            (true, Some(_)) => ServiceState::Ok,
            (true, None) => ServiceState::Error,
        },
        prometheus: Some(prometheus),
        log_level: config.log.level.clone(),
        keyring: config.credentials.keyring.clone(),
        providers: config.llm.as_ref().map(LlmConfig::infos).unwrap_or_default().into(),
        request_timeout: config.server.request_timeout,
        shutdown: shutdown.clone(),
        ..HttpOptions::default()
    }
}
