//! What a job does: the executors of this build, and how they are registered.
//!
//! The queue core never names a concrete job. Everything here implements [`Executor`] and takes its
//! settings as plain options; reading the environment is the configuration's business.
//!
//! [`Executor`]: crate::engine::Executor

pub mod actions;
#[cfg(feature = "chaos")]
mod chaos;
mod echo;
pub mod llm;
mod outbound;
mod retry_after;
mod sleep;

use std::sync::Arc;

use crate::domain::NameError;
use crate::engine::{Registry, RegistryError};

use actions::{
    CooldownBook, Cooldowns, Github, GithubAccount, GithubAction, GithubOptions, GithubSetupError, GmailSend,
    HttpRequest, HttpRequestOptions, HttpSetupError, MailOptions, MailSetupError, Means, OutlookSend, SmtpSend,
    TaskCreate, TaskOptions, TaskSetupError, Vault, WebhookOptions, WebhookSend, WebhookSetupError,
};
pub use echo::Echo;
use llm::{LlmChat, LlmOptions, LlmSetupError};
pub use outbound::HttpClientError;
pub use sleep::Sleep;

/// What the executors of this build need to know.
#[derive(Debug, Default)]
pub struct ExecutorOptions {
    /// The provider of `llm.chat`; without one the type is not registered, so it is unknown.
    pub llm: Option<LlmOptions>,
    /// `webhook.send`. The type is always registered; the allow-list of actions decides whether it runs.
    pub webhook: WebhookOptions,
    /// `gmail.send`, `smtp.send` and `outlook.send`, which are always registered likewise.
    pub mail: MailOptions,
    /// `http.request`; always registered too.
    pub http: HttpRequestOptions,
    /// `github.*`; always registered too.
    pub github: GithubOptions,
    /// `task.create`; always registered too.
    pub tasks: TaskOptions,
    /// Where actions get credentials from; a process that runs no jobs needs none.
    pub vault: Option<Arc<dyn Vault>>,
    /// What the fleet leaves alone for a while; without it a process goes by what it saw itself.
    pub cooldowns: Option<Arc<dyn CooldownBook>>,
}

/// Options that no executor can be built from. Messages name the setting and never its secret value.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorSetupError {
    /// A type could not be registered.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A type name that breaks the rule of names: a mistake in this build.
    #[error("type name: {0}")]
    Name(#[from] NameError),
    /// The settings of the LLM provider do not stand.
    #[error("llm.chat: {0}")]
    Llm(#[from] LlmSetupError),
    /// The settings of the webhook sender do not stand.
    #[error("webhook.send: {0}")]
    Webhook(#[from] WebhookSetupError),
    /// The settings of the mail senders do not stand.
    #[error("mail: {0}")]
    Mail(#[from] MailSetupError),
    /// The settings of HTTP requests do not stand.
    #[error("http.request: {0}")]
    Http(#[from] HttpSetupError),
    /// The settings of GitHub do not stand.
    #[error("github: {0}")]
    Github(#[from] GithubSetupError),
    /// The settings of tasks do not stand.
    #[error("task.create: {0}")]
    Tasks(#[from] TaskSetupError),
}

/// Registers every executor of this build: all of them always, but `llm.chat` when a provider is configured. Which
/// actions may run is the allow-list's business.
///
/// # Errors
/// When the options do not stand or a name is taken; meant to stop the process at its start.
pub fn register_all(registry: &mut Registry, options: &ExecutorOptions) -> Result<(), ExecutorSetupError> {
    registry.register(Arc::new(Echo::new()?))?;
    registry.register(Arc::new(Sleep::new()?))?;
    register_actions(registry, options)?;
    #[cfg(feature = "chaos")]
    registry.register(Arc::new(chaos::Misbehave::new()?))?;
    if let Some(llm) = &options.llm {
        registry.register(Arc::new(LlmChat::new(llm)?))?;
    }
    Ok(())
}

fn register_actions(registry: &mut Registry, options: &ExecutorOptions) -> Result<(), ExecutorSetupError> {
    registry.register(Arc::new(GmailSend::new(&options.mail, options.vault.clone())?))?;
    registry.register(Arc::new(SmtpSend::new(&options.mail, options.vault.clone())?))?;
    registry.register(Arc::new(OutlookSend::new(&options.mail, options.vault.clone())?))?;
    let means = Means { vault: options.vault.clone(), cooldowns: Cooldowns::new(options.cooldowns.clone()) };
    registry.register(Arc::new(WebhookSend::new(&options.webhook)?.with_means(means.clone())))?;
    registry.register(Arc::new(HttpRequest::new(&options.http)?.with_means(means.clone())))?;
    let github = Arc::new(Github::new(&options.github, means.clone())?);
    for account in GithubAccount::all(&github)? {
        registry.register(Arc::new(account))?;
    }
    for action in GithubAction::all(&github)? {
        registry.register(Arc::new(action))?;
    }
    registry.register(Arc::new(TaskCreate::new(&options.tasks, github, means)?))?;
    Ok(())
}
