//! `smtp.send`: a mail through a mail server.
//!
//! SMTP has no way to ask for the fate of a mail: what breaks after the mail was sent and before its answer is for a
//! person to decide.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;
use serde_json::Value;

use crate::clock;
use crate::domain::{ActionFacts, EffectClass, FailureReason, RawJson, Workspace};
use crate::engine::{Effect, EffectFailure, ExecutionError, Executor, JobContext, JobFuture, Step, TypeInfo};
use crate::executors::actions::{Credential, CredentialKind, Lookup, Secret, SystemLookup, Vault};

use super::compose::{Stamp, compose, message_id};
use super::input::Mail;
use super::options::{MailOptions, MailSetupError, type_info, vault};
use super::receipt::{Receipt, result};
use super::refusal::needs_reauth;
use super::schema::Way;
use super::smtp_session::{Obstacle, Parcel, Server, hand_over, prepare};

/// The executor of `smtp.send`.
pub struct SmtpSend {
    info: TypeInfo,
    vault: Option<Arc<dyn Vault>>,
    lookup: Arc<dyn Lookup>,
    timeout: Duration,
}

impl SmtpSend {
    /// Does no I/O.
    ///
    /// # Errors
    /// When the options do not stand.
    pub fn new(options: &MailOptions, vault: Option<Arc<dyn Vault>>) -> Result<Self, MailSetupError> {
        let summary = "Sends a mail through a mail server; a connection that breaks at its end holds the job.";
        Ok(Self {
            info: type_info("smtp.send", summary, Way::Smtp, EffectClass::Once, options.timeout)?,
            vault,
            lookup: Arc::new(SystemLookup),
            timeout: options.timeout,
        })
    }

    async fn send(&self, context: &JobContext) -> Result<RawJson, ExecutionError> {
        let mail = Mail::of_job(context, Way::Smtp)?;
        let vault = vault(self.vault.as_ref())?;
        let credential = vault.get(&context.workspace, CredentialKind::Smtp, mail.credential.as_deref()).await?;
        let Some(from) = mail.sender(&credential) else {
            let why = format!("from: is needed, because the credential `{}` names no address", credential.name);
            return Err(ExecutionError::permanent(FailureReason::Invalid, why));
        };
        let effect = SmtpEffect {
            sender: self,
            vault,
            workspace: &context.workspace,
            credential: &credential,
            from,
            to: mail.recipients(),
            mail: &mail,
        };
        let receipt = context.effect(&effect).await?;
        Ok(result(&receipt, &mail))
    }
}

/// One mail.
struct SmtpEffect<'a> {
    sender: &'a SmtpSend,
    vault: &'a dyn Vault,
    workspace: &'a Workspace,
    credential: &'a Credential,
    from: Mailbox,
    to: Vec<Address>,
    mail: &'a Mail,
}

impl SmtpEffect<'_> {
    fn server(&self) -> Result<Server<'_>, ExecutionError> {
        let Secret::Smtp { host, port, security, login } = &self.credential.secret else {
            return Err(needs_reauth(format!(
                "the credential `{}` names no mail server; replace it",
                self.credential.name
            )));
        };
        Ok(Server { host, port: *port, security: *security, login: login.as_ref() })
    }

    /// The login was refused: the vault takes note, so that it can be seen, and says what next.
    async fn refused(&self, why: String) -> ExecutionError {
        match self.vault.renew(self.workspace, self.credential).await {
            Ok(_) => ExecutionError::retryable(FailureReason::Error, why),
            Err(error) => error.into(),
        }
    }
}

impl Effect for SmtpEffect<'_> {
    fn class(&self) -> EffectClass {
        EffectClass::Once
    }

    async fn perform(&self, step: &Step<'_>) -> Result<RawJson, EffectFailure> {
        let message_id = message_id(&step.key(), Some(&self.from));
        let stamp =
            Stamp { from: Some(&self.from), message_id: message_id.clone(), date: clock::wall(), with_bcc: false };
        let message = compose(self.mail, &stamp);
        let parcel = Parcel { from: &self.from.email, to: &self.to, message: &message };
        let server = self.server().map_err(EffectFailure::NotDone)?;
        let bound = self.sender.timeout;
        let connection = match prepare(&server, &*self.sender.lookup, &parcel, bound).await {
            Ok(connection) => connection,
            Err(Obstacle::Login(why)) => return Err(EffectFailure::NotDone(self.refused(why).await)),
            Err(Obstacle::Other(error)) => return Err(EffectFailure::NotDone(error)),
        };
        // A server may scan a mail for long before it answers: RFC 5321 §4.5.3.2.6 gives it more than any other step.
        let answer = hand_over(connection, &parcel, step, bound * 2).await?;
        let id = answer.rsplit_once("queued as ").map_or(answer.as_str(), |(_, id)| id.trim());
        let provider_id = Some(id.to_owned()).filter(|id| !id.is_empty());
        Ok(Receipt { message_id: Some(message_id), provider_id, ..Receipt::default() }.document())
    }
}

impl Executor for SmtpSend {
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn check(&self, input: &Value) -> Result<(), String> {
        Mail::of(input, Way::Smtp).map(drop)
    }

    fn facts(&self, input: &Value) -> ActionFacts {
        Mail::of(input, Way::Smtp).map(|mail| mail.facts()).unwrap_or_default()
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin(async move { self.send(&context).await })
    }
}

impl fmt::Debug for SmtpSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpSend").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
