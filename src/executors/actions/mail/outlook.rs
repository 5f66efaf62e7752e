//! `outlook.send`: a mail through Microsoft Graph.
//!
//! Graph has no idempotency key (`client-request-id` is for tracing), and a gateway's 504 may hide a mail that went out.
//! So the mail becomes a draft with an id that survives its sending (`Prefer: IdType="ImmutableId"`,
//! <https://learn.microsoft.com/en-us/graph/outlook-immutable-id>, "Immutable IDs with sending mail"), the id goes on
//! record, and the draft is sent (<https://learn.microsoft.com/en-us/graph/api/message-send>, 202). Whether it went is told
//! by `isDraft`. Needs Mail.ReadWrite and Mail.Send.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use url::Url;

use crate::domain::{ActionFacts, EffectClass, EffectRecord, FailureReason, RawJson};
use crate::engine::{Effect, EffectFailure, ExecutionError, Executor, JobContext, JobFuture, Lookup, Step, TypeInfo};
use crate::executors::HttpClientError;
use crate::executors::actions::{CredentialKind, Vault};
use crate::executors::outbound::client_builder;

use super::bearer::{Bearer, CallError, endpoint};
use super::draft::{Draft, text};
use super::graph_failure::refusal;
use super::graph_message::message;
use super::input::Mail;
use super::options::{MailOptions, MailSetupError, base_url, type_info, vault};
use super::receipt::{Receipt, result};
use super::schema::Way;

/// For so long after its sending a mail may not be found: "Getting the sent item may not succeed immediately after
/// sending the message" (page on immutable ids, which names no time).
const SHOWS_AFTER: Duration = Duration::from_secs(15 * 60);

/// How often a mail that is not found is asked for until then.
const LOOKS_EVERY: Duration = Duration::from_secs(60);

/// The executor of `outlook.send`.
pub struct OutlookSend {
    info: TypeInfo,
    http: reqwest::Client,
    base: Url,
    vault: Option<Arc<dyn Vault>>,
    timeout: Duration,
}

impl OutlookSend {
    /// Builds the client; does no I/O.
    ///
    /// # Errors
    /// When the options do not stand.
    pub fn new(options: &MailOptions, vault: Option<Arc<dyn Vault>>) -> Result<Self, MailSetupError> {
        let summary =
            "Sends a mail through Microsoft 365: as a draft first, so that a lost answer does not send it twice.";
        let prefer = (HeaderName::from_static("prefer"), HeaderValue::from_static("IdType=\"ImmutableId\""));
        let client = client_builder(options.timeout).default_headers(HeaderMap::from_iter([prefer]));
        Ok(Self {
            info: type_info("outlook.send", summary, Way::Outlook, EffectClass::Reconcilable, options.timeout)?,
            http: client.build().map_err(HttpClientError::from)?,
            base: base_url("GRAPH_BASE_URL", &options.graph_url)?,
            vault,
            timeout: options.timeout,
        })
    }

    async fn send(&self, context: &JobContext) -> Result<RawJson, ExecutionError> {
        let mail = Mail::of_job(context, Way::Outlook)?;
        let vault = vault(self.vault.as_ref())?;
        let credential = vault.get(&context.workspace, CredentialKind::Microsoft, mail.credential.as_deref()).await?;
        let calls = Bearer::new(&self.http, vault, &context.workspace, "Microsoft Graph", self.timeout, credential);
        let owner = match &mail.mailbox {
            Some(mailbox) => endpoint(&self.base, &["users", mailbox, "messages"]),
            None => endpoint(&self.base, &["me", "messages"]),
        };
        let receipt = context.effect(&OutlookEffect { calls, messages: owner, mail: &mail }).await?;
        Ok(result(&receipt, &mail))
    }
}

/// One mail.
struct OutlookEffect<'a> {
    calls: Bearer<'a>,
    /// The mailbox's messages.
    messages: Url,
    mail: &'a Mail,
}

impl OutlookEffect<'_> {
    /// Makes the draft and notes it. What fails here sent nothing; at worst a draft is left over, which harms nobody.
    async fn draft(&self, step: &Step<'_>) -> Result<Draft, EffectFailure> {
        let answer = self.calls.call(Method::POST, self.messages.clone(), Some(&message(self.mail))).await;
        let answer = answer.map_err(|error| EffectFailure::NotDone(error.error()))?;
        if !answer.is_success() {
            return Err(EffectFailure::NotDone(refusal(&answer).error));
        }
        let document = answer.json();
        let Some(id) = text(&document, "id") else {
            let why = "Microsoft Graph made a draft and its answer does not name it; nothing was sent";
            return Err(EffectFailure::NotDone(ExecutionError::retryable(FailureReason::Error, why)));
        };
        let (message_id, thread_id) = (text(&document, "internetMessageId"), text(&document, "conversationId"));
        let draft = Draft { id, message_id, thread_id, account: self.calls.credential().account.clone() };
        step.note(&draft.note()).await?;
        Ok(draft)
    }

    /// Takes a draft away that Graph refused to send. The note goes first, so that no later attempt looks for it.
    async fn abandon(&self, step: &Step<'_>, draft: &Draft) {
        if step.note(&RawJson::from_compact("null")).await.is_ok() {
            // Best effort: what is left over is a draft that nobody sends.
            drop(self.calls.call(Method::DELETE, endpoint(&self.messages, &[&draft.id]), None).await);
        }
    }
}

impl Effect for OutlookEffect<'_> {
    fn class(&self) -> EffectClass {
        EffectClass::Reconcilable
    }

    /// The making and the sending of the draft, each perhaps twice because of its token.
    fn settles_after(&self) -> Duration {
        self.calls.timeout * 4
    }

    async fn perform(&self, step: &Step<'_>) -> Result<RawJson, EffectFailure> {
        let draft = match step.earlier().and_then(|earlier| Draft::noted(&earlier.document)) {
            Some(draft) => draft,
            None => self.draft(step).await?,
        };
        step.may_go()?;
        let url = endpoint(&self.messages, &[&draft.id, "send"]);
        let answer = self.calls.call(Method::POST, url, None).await.map_err(CallError::of_send)?;
        if answer.is_success() {
            let Draft { id, message_id, thread_id, .. } = draft;
            return Ok(Receipt { message_id, provider_id: Some(id), thread_id, reconciled: false }.document());
        }
        let refusal = refusal(&answer);
        if refusal.certain {
            self.abandon(step, &draft).await;
        }
        Err(refusal.of_send())
    }

    async fn reconcile(&self, earlier: &EffectRecord) -> Result<Lookup, ExecutionError> {
        let draft = match Draft::of_earlier(earlier, &self.calls.credential()) {
            Ok(draft) => draft,
            Err(known) => return Ok(known),
        };
        let mut url = endpoint(&self.messages, &[&draft.id]);
        url.set_query(Some("$select=id,isDraft"));
        let answer = self.calls.call(Method::GET, url, None).await.map_err(CallError::error)?;
        let provider_id = Some(draft.id.clone());
        match (answer.status, answer.json()["isDraft"].as_bool()) {
            (200..=299, Some(true)) => Ok(Lookup::NotDone),
            (200..=299, Some(false)) => Ok(Lookup::Done(draft.reconciled(provider_id))),
            (404, _) if earlier.age < SHOWS_AFTER => {
                Err(ExecutionError::postpone("the mail is not found; a sent one may take a while to show", LOOKS_EVERY))
            }
            (404, _) => Ok(Lookup::Unknown("the mail is neither among the drafts nor among what was sent".to_owned())),
            (200..=299, None) => {
                let why = "Microsoft Graph's answer does not say whether the mail is a draft";
                Err(ExecutionError::retryable(FailureReason::Error, why))
            }
            _ => Err(refusal(&answer).error),
        }
    }
}

impl Executor for OutlookSend {
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn check(&self, input: &Value) -> Result<(), String> {
        Mail::of(input, Way::Outlook).map(drop)
    }

    fn facts(&self, input: &Value) -> ActionFacts {
        Mail::of(input, Way::Outlook).map(|mail| mail.facts()).unwrap_or_default()
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin(async move { self.send(&context).await })
    }
}

impl fmt::Debug for OutlookSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutlookSend").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}
