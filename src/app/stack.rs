//! Everything on one machine: a private Redis, a fake model, the API, and worker processes.
//!
//! `dev` and `demo` are this stack plus what they do with it. It stops from the front to the back:
//! the API first, then the workers, Redis last.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::child::{Child, Launcher};
use super::instruments::Instruments;
use super::redis_child::RedisChild;
use super::worker_child::WorkerChildren;
use super::{StartError, compose, fake_llm, serve};
use crate::client::Client;
use crate::clock;
use crate::config::{Config, Environment, Overrides};
use crate::domain::Timestamp;
use crate::engine::tasks;
use crate::http::mint_key;
use crate::telemetry::{Levels, Traces};

/// How long the parts may take to find each other.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// What to build.
#[derive(Debug)]
pub(super) struct StackPlan<'a> {
    /// `windlass dev` or `windlass demo`: named as the source of the settings made here.
    pub(super) role: &'static str,
    /// Data and logs.
    pub(super) data: &'a Path,
    /// The Redis binary, if one was named.
    pub(super) redis_bin: Option<&'a Path>,
    /// The settings file, if one was named.
    pub(super) config_file: Option<&'a Path>,
    /// The port of the API; `None` prefers the configured one and takes any if that is in use.
    pub(super) port: Option<u16>,
    /// Whether to use the configured LLM provider instead of the fake one.
    pub(super) real_llm: bool,
    /// Settings of the API and the workers on top.
    pub(super) settings: Vec<(&'static str, String)>,
    /// What this process logs.
    pub(super) levels: Levels,
}

/// The running parts.
#[derive(Debug)]
pub(super) struct Stack {
    /// The API's address.
    pub(super) url: String,
    /// A system key.
    pub(super) admin_key: SecretString,
    /// Starts workers.
    pub(super) workers: WorkerChildren,
    /// The private Redis.
    pub(super) redis: RedisChild,
    api: JoinHandle<Result<(), StartError>>,
    front: CancellationToken,
    back: CancellationToken,
}

impl Stack {
    /// Starts Redis, the fake model and the API, and waits until the API is ready. Workers are
    /// started by the caller. Must be called on the main thread.
    pub(super) async fn start(plan: StackPlan<'_>, environment: &Environment) -> Result<Self, StartError> {
        let launcher = Launcher::detect().await;
        let search_path = environment.get("PATH").unwrap_or_default();
        let redis = RedisChild::start(&launcher, plan.redis_bin, plan.data, search_path).await?;
        let back = CancellationToken::new();
        let mut settings = plan.settings;
        settings.push(("REDIS_URL", redis.url()));
        if !plan.real_llm {
            settings.extend(fake_model(&back).await?);
        }
        let overrides = |settings: &[(&'static str, String)]| {
            let local = Overrides::default().with("HOST", plan.role, "127.0.0.1").with("ENVIRONMENT", plan.role, "dev");
            settings.iter().fold(local, |all, (name, value)| all.with(name, plan.role, value))
        };
        let config = Config::load(plan.config_file, environment, &overrides(&settings)).map_err(StartError::part)?;
        let admin_key = match &config.server.admin_key {
            Some(key) => key.clone(),
            None => kept_key(&plan.data.join("admin.key"))?,
        };
        if config.credentials.keyring.is_none() {
            let key = kept_credentials_key(&plan.data.join("credentials.key"))?;
            settings.push(("CREDENTIALS_KEY", key.expose_secret().to_owned()));
            settings.push(("CREDENTIALS_KEY_FILE", String::new()));
        }
        let own = overrides(&settings).with("WINDLASS_ADMIN_KEY", plan.role, admin_key.expose_secret());
        let config = Config::load(plan.config_file, environment, &own).map_err(StartError::part)?;
        let listener = listen(&config, plan.port).await?;
        let url = compose::local_url(&listener)?;
        let front = CancellationToken::new();
        let api = start_api(listener, config.clone(), (plan.levels, front.clone())).await?;
        // Files win over nothing, so each secret of the children that may come from one is unset.
        settings.extend([("REDIS_URL_FILE", String::new())]);
        settings.push(("WORKER_PORT", "0".to_owned()));
        let grace = config.worker.drain_grace;
        let workers = WorkerChildren::new(launcher, plan.config_file, settings, plan.data, grace)?;
        let mut stack = Self { url, admin_key, workers, redis, api, front, back };
        stack.wait_until_ready().await?;
        Ok(stack)
    }

    /// A client with the system key.
    pub(super) fn client(&self) -> Result<Client, StartError> {
        Client::new(&self.url, Some(self.admin_key.clone())).map_err(StartError::part)
    }

    /// Waits until `count` workers are live; ends early when one of them ends.
    pub(super) async fn wait_for_workers(&self, children: &mut [Child]) -> Result<(), StartError> {
        let client = self.client()?;
        let deadline = clock::now() + READY_LIMIT;
        loop {
            let live = client.workers().await.map(|list| list.workers).unwrap_or_default();
            let seen = |child: &Child| live.iter().any(|w| Some(w.pid) == child.pid());
            if children.iter().all(seen) {
                return Ok(());
            }
            for child in &mut *children {
                if let Some(status) = child.try_ended() {
                    let text = format!("{} ended at once ({status}):\n{}", child.name(), child.last_words());
                    return Err(StartError::Child(text));
                }
            }
            if clock::now() > deadline {
                return Err(StartError::Child("the workers do not show up; their logs may say why".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops everything in order.
    pub(super) async fn stop(self, children: Vec<Child>) {
        self.front.cancel();
        match self.api.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the API ended with an error"),
            Err(error) => tracing::error!(%error, "the API ended"),
        }
        let limit = self.workers.stop_limit();
        let mut stopping = tokio::task::JoinSet::new();
        for mut child in children {
            stopping.spawn(async move { child.stop(limit).await });
        }
        stopping.join_all().await;
        self.back.cancel();
        self.redis.stop().await;
    }

    async fn wait_until_ready(&mut self) -> Result<(), StartError> {
        let client = self.client()?;
        let deadline = clock::now() + READY_LIMIT;
        loop {
            let why = match client.ready().await {
                Ok(report) if report.ready => return Ok(()),
                Ok(report) => {
                    let red = report.checks.into_iter().filter(|(_, check)| check.status == "failed");
                    red.map(|(name, check)| format!("{name}: {}", check.detail)).collect::<Vec<_>>().join("; ")
                }
                Err(error) => error.to_string(),
            };
            if self.api.is_finished() || clock::now() > deadline {
                return Err(StartError::Part(format!("the API is not ready: {why}")));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Starts the fake model and returns the settings that lead to it.
async fn fake_model(back: &CancellationToken) -> Result<Vec<(&'static str, String)>, StartError> {
    /// Long enough to see jobs run, short enough not to bore.
    const DELAY: Duration = Duration::from_millis(150);
    let listener = compose::listen("127.0.0.1", 0).await?;
    let url = compose::local_url(&listener)?;
    tasks::spawn("fake-llm", fake_llm::serve(listener, DELAY, back.clone()));
    // Nothing may leave the machine: a job goes to the fake model, whatever else is configured.
    let off = ["OPENAI_ENABLED", "GROK_ENABLED", "OLLAMA_ENABLED", "LLM_ENABLE_FALLBACK"];
    let mut settings: Vec<_> = off.map(|name| (name, "false".to_owned())).into();
    settings.extend([
        ("LLM_URL", format!("{url}/v1")),
        ("LLM_MODEL", "fake-model".to_owned()),
        ("LLM_DEFAULT_PROVIDER", "local".to_owned()),
        ("LLM_LOAD_BALANCING", "default".to_owned()),
    ]);
    Ok(settings)
}

async fn listen(config: &Config, port: Option<u16>) -> Result<TcpListener, StartError> {
    let host = &config.server.host;
    match port {
        Some(port) => compose::listen(host, port).await,
        None => match compose::listen(host, config.server.port).await {
            Ok(listener) => Ok(listener),
            Err(_) => compose::listen(host, 0).await,
        },
    }
}

async fn start_api(
    listener: TcpListener,
    config: Config,
    (levels, shutdown): (Levels, CancellationToken),
) -> Result<JoinHandle<Result<(), StartError>>, StartError> {
    let prometheus = crate::telemetry::start_metrics().map_err(StartError::part)?;
    tasks::spawn("metrics-upkeep", crate::telemetry::keep_folded(prometheus.clone()));
    let store = compose::store(&config).await?;
    let traces = Traces::start(&config.traces, "windlass-dev").map_err(StartError::part)?;
    Ok(tasks::spawn("api", async move {
        let instruments = Instruments { prometheus, levels, tracer: traces.tracer() };
        serve::serve_on(listener, &config, store, instruments, shutdown).await
    }))
}

/// The system key of a data folder: the same on every start, readable by this user only.
fn kept_key(path: &Path) -> Result<SecretString, StartError> {
    kept(path, || mint_key("*", &["system:admin"], "dev", Timestamp::from_unix_ms(0)).0)
}

/// The key that seals the credentials of a data folder; made once, kept like the system key.
fn kept_credentials_key(path: &Path) -> Result<SecretString, StartError> {
    kept(path, || base64::engine::general_purpose::STANDARD.encode(rand::random::<[u8; 32]>()).into())
}

fn kept(path: &Path, make: impl FnOnce() -> SecretString) -> Result<SecretString, StartError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    if let Ok(text) = std::fs::read_to_string(path)
        && text.trim().len() >= 32
    {
        return Ok(text.trim().to_owned().into());
    }
    let key = make();
    let file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| writeln!(file, "{}", key.expose_secret())).map_err(|e| StartError::folder(path, &e))?;
    Ok(key)
}
