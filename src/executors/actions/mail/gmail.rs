//! `gmail.send`: a mail through the Gmail API.
//!
//! The API has no idempotency key, but a draft can be sent once: "When the draft is sent, the draft is automatically
//! deleted" (<https://developers.google.com/workspace/gmail/api/guides/drafts>). So the mail becomes a draft, the draft
//! goes on record, then it is sent; a later attempt sends that same draft, or finds it gone. That takes `gmail.compose`;
//! with no more than `gmail.send` a lost answer is for a person to decide.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Value, json};
use url::Url;

use crate::clock;
use crate::domain::{ActionFacts, EffectClass, EffectRecord, FailureReason, RawJson};
use crate::engine::{Effect, EffectFailure, ExecutionError, Executor, JobContext, JobFuture, Lookup, Step, TypeInfo};
use crate::executors::HttpClientError;
use crate::executors::actions::{CredentialKind, Secret, Vault};
use crate::executors::outbound::client_builder;

use super::bearer::{Answer, Bearer, CallError, endpoint};
use super::compose::{Stamp, compose, message_id};
use super::draft::{Draft, text};
use super::gmail_failure::refusal;
use super::input::Mail;
use super::options::{MailOptions, MailSetupError, base_url, type_info, vault};
use super::receipt::{Receipt, result};
use super::schema::Way;

/// The scopes with which the API lets drafts be made (reference of `users.drafts.create`).
const DRAFT_SCOPES: &[&str] = &["https://mail.google.com/", "gmail.modify", "gmail.compose"];

/// Those with which it lets threads be read (reference of `users.threads.get`).
const READ_SCOPES: &[&str] = &["https://mail.google.com/", "gmail.modify", "gmail.readonly", "gmail.metadata"];

/// The executor of `gmail.send`.
pub struct GmailSend {
    info: TypeInfo,
    http: reqwest::Client,
    base: Url,
    vault: Option<Arc<dyn Vault>>,
    timeout: Duration,
}

impl GmailSend {
    /// Builds the client; does no I/O.
    ///
    /// # Errors
    /// When the options do not stand.
    pub fn new(options: &MailOptions, vault: Option<Arc<dyn Vault>>) -> Result<Self, MailSetupError> {
        let summary = "Sends a mail through Gmail: as a draft first, so that a lost answer does not send it twice.";
        Ok(Self {
            info: type_info("gmail.send", summary, Way::Gmail, EffectClass::Once, options.timeout)?,
            http: client_builder(options.timeout).build().map_err(HttpClientError::from)?,
            base: endpoint(&base_url("GMAIL_BASE_URL", &options.gmail_url)?, &["gmail", "v1", "users", "me"]),
            vault,
            timeout: options.timeout,
        })
    }

    async fn send(&self, context: &JobContext) -> Result<RawJson, ExecutionError> {
        let mail = Mail::of_job(context, Way::Gmail)?;
        let vault = vault(self.vault.as_ref())?;
        let credential = vault.get(&context.workspace, CredentialKind::Google, mail.credential.as_deref()).await?;
        let scopes = match &credential.secret {
            Secret::Bearer { scopes, .. } => scopes.clone(),
            _ => Vec::new(),
        };
        let drafts = scopes.is_empty() || has_any(&scopes, DRAFT_SCOPES);
        let reads = has_any(&scopes, READ_SCOPES);
        let calls = Bearer::new(&self.http, vault, &context.workspace, "Gmail", self.timeout, credential);
        let receipt = context.effect(&GmailEffect { calls, base: &self.base, mail: &mail, drafts, reads }).await?;
        Ok(result(&receipt, &mail))
    }
}

/// Whether one of `scopes` is among `known`; both spellings occur, with and without Google's prefix.
fn has_any(scopes: &[String], known: &[&str]) -> bool {
    let short = |scope: &str| scope.strip_prefix("https://www.googleapis.com/auth/").unwrap_or(scope).to_owned();
    scopes.iter().any(|scope| known.contains(&short(scope).as_str()))
}

/// One mail.
struct GmailEffect<'a> {
    calls: Bearer<'a>,
    base: &'a Url,
    mail: &'a Mail,
    /// Whether the credential may make drafts.
    drafts: bool,
    /// Whether it may read threads.
    reads: bool,
}

impl GmailEffect<'_> {
    fn message_id(&self, step: &Step<'_>) -> String {
        message_id(&step.key(), self.mail.sender(&self.calls.credential()).as_ref())
    }

    /// The API's `Message`: the mail as base64url (RFC 4648 §5), and the thread it belongs to.
    fn message(&self, step: &Step<'_>) -> Value {
        let from = self.mail.sender(&self.calls.credential());
        let (message_id, date) = (self.message_id(step), clock::wall());
        let raw = compose(self.mail, &Stamp { from: from.as_ref(), message_id, date, with_bcc: true });
        let mut message = json!({"raw": URL_SAFE_NO_PAD.encode(raw)});
        if let Some(thread) = &self.mail.thread_id {
            message["threadId"] = thread.as_str().into();
        }
        message
    }

    /// Makes the draft and notes it. What fails here sent nothing; at worst a draft is left over, which harms nobody.
    async fn draft(&self, step: &Step<'_>) -> Result<Draft, EffectFailure> {
        let body = json!({"message": self.message(step)});
        let answer = self.calls.call(Method::POST, endpoint(self.base, &["drafts"]), Some(&body)).await;
        let answer = answer.map_err(|error| EffectFailure::NotDone(error.error()))?;
        if !answer.is_success() {
            return Err(EffectFailure::NotDone(refusal(&answer).error));
        }
        let document = answer.json();
        let Some(id) = text(&document, "id") else {
            let why = "Gmail made a draft and its answer does not name it; nothing was sent";
            return Err(EffectFailure::NotDone(ExecutionError::retryable(FailureReason::Error, why)));
        };
        let draft = Draft {
            id,
            message_id: Some(self.message_id(step)),
            thread_id: text(&document["message"], "threadId"),
            account: self.calls.credential().account.clone(),
        };
        step.note(&draft.note()).await?;
        Ok(draft)
    }

    async fn send_draft(&self, step: &Step<'_>) -> Result<RawJson, EffectFailure> {
        let draft = match step.earlier().and_then(|earlier| Draft::noted(&earlier.document)) {
            Some(draft) => draft,
            None => self.draft(step).await?,
        };
        step.may_go()?;
        let body = json!({"id": draft.id});
        let answer = self.calls.call(Method::POST, endpoint(self.base, &["drafts", "send"]), Some(&body)).await;
        let answer = answer.map_err(CallError::of_send)?;
        if answer.is_success() {
            return Ok(receipt(&answer, draft.message_id));
        }
        let refusal = refusal(&answer);
        if refusal.certain {
            self.abandon(step, &draft).await;
        }
        Err(refusal.of_send())
    }

    /// Takes a draft away that Gmail refused to send. The note goes first: a draft that is noted and gone reads as sent.
    async fn abandon(&self, step: &Step<'_>, draft: &Draft) {
        if step.note(&RawJson::from_compact("null")).await.is_ok() {
            // Best effort: what is left over is a draft that nobody sends.
            drop(self.calls.call(Method::DELETE, endpoint(self.base, &["drafts", &draft.id]), None).await);
        }
    }

    /// What a draft that is gone means: that it was sent, unless someone deleted it. The thread tells which, where it holds
    /// nothing else and the scopes let it be read.
    async fn gone(&self, draft: Draft) -> Result<Lookup, ExecutionError> {
        let thread = draft.thread_id.as_ref().filter(|_| self.reads && self.mail.thread_id.is_none());
        let Some(thread) = thread else { return Ok(Lookup::Done(draft.reconciled(None))) };
        let mut url = endpoint(self.base, &["threads", thread]);
        url.set_query(Some("format=minimal"));
        let answer = self.calls.call(Method::GET, url, None).await.map_err(CallError::error)?;
        if !answer.is_success() && answer.status != 404 {
            return Err(refusal(&answer).error);
        }
        let document = answer.json();
        if answer.is_success() && document.is_null() {
            let why = "Gmail's answer about the thread broke off";
            return Err(ExecutionError::retryable(FailureReason::Error, why));
        }
        let was_sent = |message: &&Value| message["labelIds"].as_array().is_some_and(|l| l.contains(&json!("SENT")));
        match document["messages"].as_array().and_then(|messages| messages.iter().find(was_sent)) {
            Some(sent) => Ok(Lookup::Done(draft.reconciled(text(sent, "id")))),
            None => {
                let why = "its draft is gone and its thread has no mail that was sent: someone may have deleted it";
                Ok(Lookup::Unknown(why.to_owned()))
            }
        }
    }

    async fn send_at_once(&self, step: &Step<'_>) -> Result<RawJson, EffectFailure> {
        let (body, url) = (self.message(step), endpoint(self.base, &["messages", "send"]));
        step.may_go()?;
        let answer = self.calls.call(Method::POST, url, Some(&body)).await;
        let answer = answer.map_err(CallError::of_send)?;
        if answer.is_success() {
            return Ok(receipt(&answer, Some(self.message_id(step))));
        }
        Err(refusal(&answer).of_send())
    }
}

/// It was sent, whatever the rest of the answer says.
fn receipt(answer: &Answer, message_id: Option<String>) -> RawJson {
    let message = answer.json();
    let (provider_id, thread_id) = (text(&message, "id"), text(&message, "threadId"));
    Receipt { message_id, provider_id, thread_id, reconciled: false }.document()
}

impl Effect for GmailEffect<'_> {
    fn class(&self) -> EffectClass {
        if self.drafts { EffectClass::Reconcilable } else { EffectClass::Once }
    }

    /// The making and the sending of the draft, each perhaps twice because of its token.
    fn settles_after(&self) -> Duration {
        self.calls.timeout * 4
    }

    async fn perform(&self, step: &Step<'_>) -> Result<RawJson, EffectFailure> {
        if self.drafts { self.send_draft(step).await } else { self.send_at_once(step).await }
    }

    async fn reconcile(&self, earlier: &EffectRecord) -> Result<Lookup, ExecutionError> {
        if earlier.class == EffectClass::Once {
            return Ok(Lookup::Unknown(
                "it was not sent from a draft, because the scopes did not allow one".to_owned(),
            ));
        }
        let draft = match Draft::of_earlier(earlier, &self.calls.credential()) {
            Ok(draft) => draft,
            Err(known) => return Ok(known),
        };
        let mut url = endpoint(self.base, &["drafts", &draft.id]);
        url.set_query(Some("format=minimal"));
        let answer = self.calls.call(Method::GET, url, None).await.map_err(CallError::error)?;
        match answer.status {
            404 => self.gone(draft).await,
            200..=299 => Ok(Lookup::NotDone),
            _ => Err(refusal(&answer).error),
        }
    }
}

impl Executor for GmailSend {
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn check(&self, input: &Value) -> Result<(), String> {
        Mail::of(input, Way::Gmail).map(drop)
    }

    fn facts(&self, input: &Value) -> ActionFacts {
        Mail::of(input, Way::Gmail).map(|mail| mail.facts()).unwrap_or_default()
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin(async move { self.send(&context).await })
    }
}

impl fmt::Debug for GmailSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GmailSend").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}
