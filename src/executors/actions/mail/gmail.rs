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

use super::bearer::{Answer, Bearer, endpoint};
use super::compose::{Stamp, compose, message_id};
use super::gmail_failure::refusal;
use super::input::Mail;
use super::options::{MailOptions, MailSetupError, base_url, type_info, vault};
use super::receipt::{Receipt, result};
use super::schema::Way;

/// The scopes with which the API lets drafts be made (reference of `users.drafts.create`).
const DRAFT_SCOPES: &[&str] = &[
    "https://mail.google.com/",
    "https://www.googleapis.com/auth/gmail.modify",
    "https://www.googleapis.com/auth/gmail.compose",
];

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
        let drafts = match &credential.secret {
            Secret::Bearer { scopes, .. } => scopes.is_empty() || scopes.iter().any(|s| is_draft_scope(s)),
            _ => true,
        };
        let calls = Bearer::new(&self.http, vault, &context.workspace, "Gmail", self.timeout, credential);
        let receipt = context.effect(&GmailEffect { calls, base: &self.base, mail: &mail, drafts }).await?;
        Ok(result(&receipt, &mail))
    }
}

fn is_draft_scope(scope: &str) -> bool {
    let short = |known: &str| !scope.is_empty() && known.strip_suffix(scope).is_some_and(|rest| rest.ends_with('/'));
    DRAFT_SCOPES.iter().any(|known| scope == *known || short(known))
}

/// One mail.
struct GmailEffect<'a> {
    calls: Bearer<'a>,
    base: &'a Url,
    mail: &'a Mail,
    /// Whether the credential may make drafts.
    drafts: bool,
}

/// What is noted before a draft is sent.
struct Draft {
    id: String,
    message_id: Option<String>,
    account: Option<String>,
}

impl Draft {
    /// The draft in a note; `None` when none was noted.
    fn noted(document: &RawJson) -> Option<Self> {
        let note = document.to_value();
        let text = |field: &str| note[field].as_str().map(ToOwned::to_owned);
        Some(Self { id: text("draft_id")?, message_id: text("message_id"), account: text("account") })
    }
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
        let Some(id) = answer.json()["id"].as_str().map(ToOwned::to_owned) else {
            let why = "Gmail made a draft and its answer does not name it; nothing was sent";
            return Err(EffectFailure::NotDone(ExecutionError::retryable(FailureReason::Error, why)));
        };
        let draft =
            Draft { id, message_id: Some(self.message_id(step)), account: self.calls.credential().account.clone() };
        let note = json!({"draft_id": draft.id, "message_id": draft.message_id, "account": draft.account});
        step.note(&RawJson::from_value(&note)).await?;
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
        let answer = answer.map_err(super::bearer::CallError::of_send)?;
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

    async fn send_at_once(&self, step: &Step<'_>) -> Result<RawJson, EffectFailure> {
        let (body, url) = (self.message(step), endpoint(self.base, &["messages", "send"]));
        step.may_go()?;
        let answer = self.calls.call(Method::POST, url, Some(&body)).await;
        let answer = answer.map_err(super::bearer::CallError::of_send)?;
        if answer.is_success() {
            return Ok(receipt(&answer, Some(self.message_id(step))));
        }
        Err(refusal(&answer).of_send())
    }
}

/// It was sent, whatever the rest of the answer says.
fn receipt(answer: &Answer, message_id: Option<String>) -> RawJson {
    let message = answer.json();
    let text = |field: &str| message[field].as_str().map(ToOwned::to_owned);
    Receipt { message_id, provider_id: text("id"), thread_id: text("threadId"), reconciled: false }.document()
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
        let Some(draft) = Draft::noted(&earlier.document) else {
            // A draft is noted before it is sent.
            return Ok(match earlier.state_lost {
                false => Lookup::NotDone,
                true => Lookup::Unknown("Redis lost state since, and with it perhaps the id of the draft".to_owned()),
            });
        };
        let account = self.calls.credential().account.clone();
        if draft.account.is_some() && account.is_some() && draft.account != account {
            return Ok(Lookup::Unknown("its draft lies in the mailbox of another credential".to_owned()));
        }
        let mut url = endpoint(self.base, &["drafts", &draft.id]);
        url.set_query(Some("format=minimal"));
        let answer = self.calls.call(Method::GET, url, None).await.map_err(super::bearer::CallError::error)?;
        match answer.status {
            404 => {
                let receipt = Receipt { message_id: draft.message_id, reconciled: true, ..Receipt::default() };
                Ok(Lookup::Done(receipt.document()))
            }
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
