//! What proves that a mail was sent.

use serde_json::{Value, json};

use crate::domain::{RawJson, clip_text};

use super::input::Mail;

/// No provider's id is longer; Graph's have about 150 characters.
const ID_LIMIT: usize = 512;

/// A receipt: a few ids, never a body.
#[derive(Clone, Debug, Default)]
pub(super) struct Receipt {
    /// The `Message-ID` that recipients see, as far as known.
    pub(super) message_id: Option<String>,
    /// What the provider calls it.
    pub(super) provider_id: Option<String>,
    /// The conversation it belongs to.
    pub(super) thread_id: Option<String>,
    /// Whether this was found out by asking, after an answer was lost.
    pub(super) reconciled: bool,
}

impl Receipt {
    /// As it goes on record, well below its bound.
    pub(super) fn document(&self) -> RawJson {
        let clip = |id: &Option<String>| id.as_ref().map(|id| clip_text(id, ID_LIMIT));
        let mut document = json!({"message_id": clip(&self.message_id), "provider_id": clip(&self.provider_id)});
        if let Some(thread) = clip(&self.thread_id) {
            document["thread_id"] = thread.into();
        }
        if self.reconciled {
            document["reconciled"] = true.into();
        }
        RawJson::from_value(&document)
    }
}

/// A job's result: its receipt, and whom the mail was accepted for.
pub(super) fn result(receipt: &RawJson, mail: &Mail) -> RawJson {
    let mut result = receipt.to_value();
    if let Value::Object(fields) = &mut result {
        let accepted: Vec<_> = mail.recipients().iter().map(ToString::to_string).collect();
        fields.insert("accepted".to_owned(), accepted.into());
    }
    RawJson::from_value(&result)
}
