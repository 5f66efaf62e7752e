//! The note of a draft: what a later attempt needs to send it, or to find out that it was sent.

use serde_json::{Value, json};

use crate::domain::{EffectRecord, RawJson};
use crate::engine::Lookup;
use crate::executors::actions::Credential;

use super::receipt::Receipt;

/// A draft as its API named it.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) id: String,
    /// The `Message-ID` that recipients will see.
    pub(super) message_id: Option<String>,
    pub(super) thread_id: Option<String>,
    /// Whose mailbox it lies in.
    pub(super) account: Option<String>,
}

impl Draft {
    /// The draft in a note; `None` when none was noted.
    pub(super) fn noted(document: &RawJson) -> Option<Self> {
        let note = document.to_value();
        let (message_id, thread_id) = (text(&note, "message_id"), text(&note, "thread_id"));
        Some(Self { id: text(&note, "draft_id")?, message_id, thread_id, account: text(&note, "account") })
    }

    /// The draft that is to be looked up, or what is known without asking.
    ///
    /// # Errors
    /// The answer, when there is nothing to ask for.
    pub(super) fn of_earlier(earlier: &EffectRecord, credential: &Credential) -> Result<Self, Lookup> {
        let Some(draft) = Self::noted(&earlier.document) else {
            if earlier.state_lost {
                let why = "Redis lost state since, and with it perhaps the id of the draft";
                return Err(Lookup::Unknown(why.to_owned()));
            }
            // A draft is noted before it is sent.
            return Err(Lookup::NotDone);
        };
        let elsewhere = |account: &String| credential.account.as_ref().is_some_and(|now| now != account);
        if draft.account.as_ref().is_some_and(elsewhere) {
            return Err(Lookup::Unknown("its draft lies in the mailbox of another credential".to_owned()));
        }
        Ok(draft)
    }

    /// As it is noted.
    pub(super) fn note(&self) -> RawJson {
        RawJson::from_value(&json!({
            "draft_id": self.id,
            "message_id": self.message_id,
            "thread_id": self.thread_id,
            "account": self.account,
        }))
    }

    /// The receipt of a mail that was sent unseen.
    pub(super) fn reconciled(self, provider_id: Option<String>) -> RawJson {
        let (message_id, thread_id) = (self.message_id, self.thread_id);
        Receipt { message_id, provider_id, thread_id, reconciled: true }.document()
    }
}

/// A field of an API's answer.
pub(super) fn text(document: &Value, field: &str) -> Option<String> {
    document[field].as_str().map(ToOwned::to_owned)
}
