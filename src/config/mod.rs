//! Settings: compiled-in defaults, then a file, then the environment, then flags.
//!
//! The only module that reads the environment. Every setting is one row of [`SETTINGS`]; its meaning
//! and default are in `config/default.toml`. Loading reports every problem at once, and
//! combinations that would lose work refuse to start.

mod catalogue;
mod checks;
mod credentials;
mod env;
mod layers;
mod llm;
mod log;
mod mail;
mod prices;
mod providers;
mod services;
mod topics;
mod traces;
mod value;

use std::fmt;
use std::path::{Path, PathBuf};

pub use crate::engine::log_filter;
pub use catalogue::{Kind, SETTINGS, Setting};
pub use credentials::CredentialsConfig;
pub use env::{Environment, read_secret};
pub use layers::Origin;
pub use llm::LlmConfig;
pub use log::{LogConfig, MetricsConfig};
pub use mail::MailConfig;
pub use services::{GithubConfig, HttpRequestConfig, TasksConfig};
pub use topics::{ActionsConfig, ClientConfig, QueueConfig, RedisConfig, ServerConfig, WebhookConfig, WorkerConfig};
pub use traces::TracesConfig;

use layers::Resolved;

/// The defaults file.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// The settings file that is read when none is named.
const FILE: &str = "windlass.toml";

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// The API server.
    pub server: ServerConfig,
    /// Redis.
    pub redis: RedisConfig,
    /// Rules of all queues.
    pub queue: QueueConfig,
    /// A worker process.
    pub worker: WorkerConfig,
    /// Actions.
    pub actions: ActionsConfig,
    /// Providers of language models, if any is configured.
    pub llm: Option<LlmConfig>,
    /// `webhook.send`.
    pub webhook: WebhookConfig,
    /// Credentials of workspaces.
    pub credentials: CredentialsConfig,
    /// The senders of mail.
    pub mail: MailConfig,
    /// `http.request`.
    pub http_request: HttpRequestConfig,
    /// GitHub.
    pub github: GithubConfig,
    /// Services that keep tasks.
    pub tasks: TasksConfig,
    /// What is logged, and where.
    pub log: LogConfig,
    /// Who may read metrics.
    pub metrics: MetricsConfig,
    /// Where traces go.
    pub traces: TracesConfig,
    /// The operator commands.
    pub client: ClientConfig,
    /// The bug that this process has on purpose, if any.
    #[cfg(feature = "chaos")]
    pub planted: Option<&'static crate::store::planted::PlantedBug>,
    resolved: Resolved,
}

/// Values that win over everything else, from flags.
#[derive(Clone, Default)]
pub struct Overrides(Vec<(&'static Setting, &'static str, String)>);

impl Overrides {
    /// Sets the value of an environment variable's setting on behalf of `flag`; a name that is no
    /// setting is ignored.
    #[must_use]
    pub fn with(mut self, env: &str, flag: &'static str, value: impl fmt::Display) -> Self {
        if let Some(setting) = SETTINGS.iter().find(|s| s.env == env) {
            self.0.push((setting, flag, value.to_string()));
        }
        self
    }

    /// Like [`Self::with`], for a flag that may be absent.
    #[must_use]
    pub fn with_option(self, env: &str, flag: &'static str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.with(env, flag, value),
            None => self,
        }
    }
}

impl fmt::Debug for Overrides {
    /// Values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(setting, ..)| setting.key)).finish()
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(String);

impl Problem {
    fn of(setting: &Setting, origin: &Origin, message: impl fmt::Display) -> Self {
        let place = match origin {
            Origin::Variable(name) => name.clone(),
            other => format!("{} ({}, from {other})", setting.env, setting.key),
        };
        Self(format!("{place}: {message}"))
    }

    fn plain(message: String) -> Self {
        Self(message)
    }
}

/// Settings that cannot be used; names all problems. Never contains a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// What is wrong, in the order of the layers.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings cannot be used:")?;
        for problem in &self.problems {
            write!(f, "\n  {}", problem.0)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Loads all layers: `file` must exist when named; otherwise `windlass.toml` in the current
    /// directory is read if there is one.
    ///
    /// # Errors
    /// Every problem found.
    pub fn load(file: Option<&Path>, environment: &Environment, overrides: &Overrides) -> Result<Self, ConfigError> {
        let path = file.map_or_else(|| PathBuf::from(FILE), Path::to_owned);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && file.is_none() => None,
            Err(error) => {
                let problem = Problem::plain(format!("cannot read {}: {error}", path.display()));
                return Err(ConfigError { problems: vec![problem] });
            }
        };
        Self::from_layers(text.as_deref().map(|t| (path.as_path(), t)), environment, overrides)
    }

    /// Merges layers that are already read.
    ///
    /// # Errors
    /// Every problem found.
    pub fn from_layers(
        file: Option<(&Path, &str)>,
        environment: &Environment,
        overrides: &Overrides,
    ) -> Result<Self, ConfigError> {
        let resolved = Resolved::merge(file, environment, overrides)?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let worker = WorkerConfig::of(&resolved, cores).map_err(|p| ConfigError { problems: vec![p] })?;
        let config = Self {
            server: ServerConfig::of(&resolved),
            redis: RedisConfig::of(&resolved),
            queue: QueueConfig::of(&resolved),
            worker,
            actions: ActionsConfig::of(&resolved),
            llm: LlmConfig::of(&resolved).map_err(|problems| ConfigError { problems })?,
            webhook: WebhookConfig::of(&resolved),
            credentials: CredentialsConfig::of(&resolved).map_err(|problems| ConfigError { problems })?,
            mail: MailConfig::of(&resolved),
            http_request: HttpRequestConfig::of(&resolved),
            github: GithubConfig::of(&resolved),
            tasks: TasksConfig::of(&resolved),
            log: LogConfig::of(&resolved),
            metrics: MetricsConfig::of(&resolved),
            traces: TracesConfig::of(&resolved).map_err(|problems| ConfigError { problems })?,
            client: ClientConfig::of(&resolved),
            #[cfg(feature = "chaos")]
            planted: planted(environment)?,
            resolved,
        };
        let problems = checks::run(&config, &config.resolved);
        if problems.is_empty() { Ok(config) } else { Err(ConfigError { problems }) }
    }

    /// What `windlass dev` logs: warnings, unless someone asked for more. Its terminal is for people.
    #[must_use]
    pub fn quiet_log_level(&self) -> &str {
        match self.resolved.origin(&catalogue::LOG_LEVEL) {
            Origin::Default => "warn",
            _ => &self.log.level,
        }
    }

    /// Every setting with its value for people, secrets redacted, and where it came from.
    pub fn rows(&self) -> impl Iterator<Item = (&'static Setting, String, &Origin)> {
        self.resolved.rows()
    }

    /// The providers of the settings file, each as a key, a value for people without its key, and the file.
    pub fn provider_rows(&self) -> Vec<(String, String, Origin)> {
        let Some((_, origin)) = &self.resolved.providers else { return Vec::new() };
        let providers = self.llm.iter().flat_map(|llm| &llm.providers).filter(|p| self.resolved.names(&p.info.name));
        let row = |provider: &crate::executors::llm::ProviderOptions| {
            let info = &provider.info;
            let key = if provider.api_key.is_some() { "key set" } else { "no key" };
            let model = info.models.first().map_or("-", |model| &*model.name);
            let shown = value::redacted_url(&provider.base_url);
            let value = format!("{} {shown}, {key}, default model {model}, {} models", info.kind, info.models.len());
            (format!("providers.{}", info.name), value, origin.clone())
        };
        providers.map(row).collect()
    }
}

#[cfg(feature = "chaos")]
fn planted(environment: &Environment) -> Result<Option<&'static crate::store::planted::PlantedBug>, ConfigError> {
    use crate::store::planted;
    let Some(name) = environment.get(planted::VARIABLE) else { return Ok(None) };
    let unknown = || Problem::plain(format!("{}: no planted bug is called `{name}`", planted::VARIABLE));
    planted::named(name).map(Some).ok_or_else(|| ConfigError { problems: vec![unknown()] })
}

#[cfg(test)]
mod tests;
