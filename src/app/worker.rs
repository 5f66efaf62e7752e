//! `windlass worker`: claims jobs and runs them.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::instruments::Instruments;
use super::{StartError, compose, log_levels, worker_http};
use crate::config::Config;
use crate::domain::ProviderName;
use crate::engine::{Guard, Janitor, Policies, Worker, WorkerOptions, tasks};
use crate::executors::llm::Prober;
use crate::store::Shards;

/// Runs a worker until `shutdown` fires and its jobs are finished or handed back.
pub(super) async fn run(
    config: &Config,
    instruments: Instruments,
    shutdown: CancellationToken,
) -> Result<(), StartError> {
    let Instruments { prometheus, levels, tracer } = instruments;
    let listener = match config.worker.port {
        Some(port) => Some(compose::listen(&config.server.host, port).await?),
        None => None,
    };
    let store = compose::store(config).await?;
    let worker_store = store.clone();
    let vault = compose::vault(config, &store)?;
    let parts = compose::Parts {
        fleet: Some(Arc::new(store.clone())),
        vault: Some(vault.clone()),
        cooldowns: Some(Arc::new(store.clone())),
    };
    let registry = compose::registry(config, parts)?;
    // Not our token: while running jobs finish, the store must keep working.
    let background = CancellationToken::new();
    let _stop_background = background.clone().drop_guard();
    let guard = Guard::start(store.clone(), background.clone());
    let probes = start_prober(config, &store, background.clone())?;
    let (checks, demands) = mpsc::channel(64);
    vault.checker(&config.github.api_url).start(demands, background.clone());
    let policies = Policies::start(store.clone(), registry.allow_list().clone(), background.clone());
    log_levels::start(&policies, store.clone(), levels);
    let options = WorkerOptions { probes, checks: Some(checks), policies: Some(policies), tracer, ..options(config) };
    let (watch, swept) = (guard.clone(), store.clone());
    let worker = Worker::new(store, registry, options);
    let gate = compose::metrics_gate(config, &worker_store);
    if let Some(listener) = listener {
        let url = compose::local_url(&listener)?;
        tracing::info!(url, "worker health is served");
        let health = worker_http::serve(listener, worker.handle(), guard, (prometheus, gate), background.clone());
        tasks::spawn("worker-http", health);
    }
    let queues: Vec<String> = config.worker.queues.iter().map(|(name, weight)| format!("{name}={weight}")).collect();
    tracing::info!(slots = config.worker.slots, queues = queues.join(","), "worker starts");
    tokio::select! {
        () = watch.known_layout() => {}
        () = shutdown.cancelled() => return Ok(()),
    }
    Janitor::start(swept, background);
    worker.run(shutdown).await.map_err(StartError::part)?;
    tracing::info!("worker stopped");
    Ok(())
}

/// Probes the providers of models, if there are any; demands for a probe go into the channel. Ones that find it full
/// are dropped, so it has room for one of each provider that anybody would have.
fn start_prober(
    config: &Config,
    store: &Shards,
    background: CancellationToken,
) -> Result<Option<mpsc::Sender<ProviderName>>, StartError> {
    let Some(llm) = compose::llm_options(config, None) else { return Ok(None) };
    let (sender, asked) = mpsc::channel(64);
    Prober::new(&llm, store.clone()).map_err(StartError::part)?.start(asked, background);
    Ok(Some(sender))
}

fn options(config: &Config) -> WorkerOptions {
    WorkerOptions {
        queues: config.worker.queues.clone(),
        slots: config.worker.slots,
        timing: config.worker.timing,
        drain_grace: config.worker.drain_grace,
        host: nix::unistd::gethostname().ok().and_then(|n| n.into_string().ok()).unwrap_or_default(),
        version: crate::VERSION,
        ..WorkerOptions::default()
    }
}
