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
    GmailSend, MailOptions, MailSetupError, OutlookSend, SmtpSend, Vault, WebhookOptions, WebhookSend,
    WebhookSetupError,
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
    /// Where actions get credentials from; a process that runs no jobs needs none.
    pub vault: Option<Arc<dyn Vault>>,
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
}

/// Registers every executor of this build: `llm.chat` when a provider is configured, the others always.
///
/// # Errors
/// When the options do not stand or a name is taken; meant to stop the process at its start.
pub fn register_all(registry: &mut Registry, options: &ExecutorOptions) -> Result<(), ExecutorSetupError> {
    registry.register(Arc::new(Echo::new()?))?;
    registry.register(Arc::new(Sleep::new()?))?;
    registry.register(Arc::new(WebhookSend::new(&options.webhook)?))?;
    registry.register(Arc::new(GmailSend::new(&options.mail, options.vault.clone())?))?;
    registry.register(Arc::new(SmtpSend::new(&options.mail, options.vault.clone())?))?;
    registry.register(Arc::new(OutlookSend::new(&options.mail, options.vault.clone())?))?;
    #[cfg(feature = "chaos")]
    registry.register(Arc::new(chaos::Misbehave::new()?))?;
    if let Some(llm) = &options.llm {
        registry.register(Arc::new(LlmChat::new(llm)?))?;
    }
    Ok(())
}
