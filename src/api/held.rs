//! Held jobs: what people decide about them, and what is on record of their effects.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::json::Json;
use super::read::Fields;
use super::{ErrorCode, Problem};

/// An approval of exactly these arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// The digest of the job's arguments, as `GET /ai/jobs/{id}/effects` shows it.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub digest: String,
    /// For the record, at most 500 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub note: Option<String>,
}

/// Why something is done; may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// For the record, at most 500 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

/// What became of an effect that nobody could tell of.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// `happened`: it is recorded as done and never done again; `not_happened`: it is done now; `discard`: the job is
    /// cancelled.
    #[schema(schema_with = super::schema::outcomes)]
    pub outcome: String,
    /// For the record, at most 500 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
    /// With `happened`: what proves it, at most 4 KiB of JSON; becomes the effect's receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub receipt: Option<Box<RawValue>>,
}

/// What a person found out about an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It happened.
    Happened,
    /// It did not.
    NotHappened,
    /// Nobody wants to know any more.
    Discard,
}

impl Outcome {
    /// Every outcome with its word.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Happened, "happened"), (Self::NotHappened, "not_happened"), (Self::Discard, "discard")];
}

/// The largest receipt, in bytes of JSON.
const RECEIPT: usize = 4096;

impl Approve {
    /// Reads an approval.
    ///
    /// # Errors
    /// Everything that is wrong with the document, by field.
    pub fn read(body: Json) -> Result<Self, Box<Problem>> {
        let mut fields = Fields::of(body)?;
        let digest = fields.demanded("digest", |text| {
            let hex = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if hex { Ok(text.to_owned()) } else { Err("must be 64 digits of lower-case hex") }
        });
        let note = fields.short_text("note", 500);
        fields.finish()?;
        Ok(Self { digest: digest.unwrap_or_default(), note })
    }
}

impl Reason {
    /// Reads a reason.
    ///
    /// # Errors
    /// Everything that is wrong with the document, by field.
    pub fn read(body: Json) -> Result<Self, Box<Problem>> {
        let mut fields = Fields::of(body)?;
        let reason = fields.short_text("reason", 500);
        fields.finish()?;
        Ok(Self { reason })
    }
}

impl Resolve {
    /// Reads a resolution: the outcome, why, and the receipt as compact text.
    ///
    /// # Errors
    /// Everything that is wrong with the document, by field.
    pub fn read(body: Json) -> Result<(Outcome, Option<String>, Option<String>), Box<Problem>> {
        let mut fields = Fields::of(body)?;
        let known = |word: &str| Outcome::ALL.iter().find(|(_, known)| *known == word).map(|(outcome, _)| *outcome);
        let outcome = fields.demanded("outcome", |word| known(word).ok_or("must be happened, not_happened or discard"));
        let reason = fields.short_text("reason", 500);
        let receipt = fields.take("receipt").map(|json| json.compact());
        if receipt.as_ref().is_some_and(|text| text.len() > RECEIPT) {
            fields.fail(ErrorCode::InvalidField, "receipt", format!("must have at most {RECEIPT} bytes as JSON"));
        }
        if receipt.is_some() && outcome.is_some_and(|outcome| outcome != Outcome::Happened) {
            fields.fail(ErrorCode::InvalidField, "receipt", "belongs to the outcome happened");
        }
        fields.finish()?;
        Ok((outcome.unwrap_or(Outcome::Discard), reason, receipt))
    }
}

/// What is on record of a job's effects, and what a person needs to decide.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EffectsView {
    /// The job.
    pub job_id: String,
    /// Its state.
    #[schema(schema_with = super::schema::states)]
    pub state: String,
    /// The workspace it belongs to.
    pub workspace: String,
    /// Its type.
    #[serde(rename = "type")]
    pub job_type: String,
    /// What it would do: its input. Absent once it succeeded.
    #[schema(value_type = Option<serde_json::Value>)]
    pub input: Option<Box<RawValue>>,
    /// SHA-256 of workspace, type and input: what an approval is given to. Absent with the input.
    pub digest: Option<String>,
    /// Why it is held.
    #[schema(schema_with = super::schema::held_reasons)]
    pub held_reason: Option<String>,
    /// Since when.
    #[schema(format = DateTime)]
    pub held_since: Option<String>,
    /// Until when it may be approved, if that is what it waits for.
    #[schema(format = DateTime)]
    pub approve_until: Option<String>,
    /// The latest approval.
    pub approval: Option<ApprovalView>,
    /// Its effects.
    pub effects: Vec<EffectView>,
}

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalView {
    /// Of which arguments.
    pub digest: String,
    /// The name of the key that gave it.
    pub by: String,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// Until when the job has to start.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

/// One effect of a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EffectView {
    /// Which of the job's effects.
    pub step: String,
    /// The key that goes with it, the same on every attempt.
    pub key: String,
    /// `intent`: it began, and whether it happened is not on record. `done`: it happened.
    pub state: String,
    /// What can be known of it when an answer is lost: `repeatable`, `keyed`, `reconcilable` or `once`.
    pub class: String,
    /// The attempt that wrote this.
    pub attempt: u32,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// The receipt of what is done, or what was noted for looking it up.
    #[schema(value_type = serde_json::Value)]
    pub evidence: Box<RawValue>,
    /// The key of the operator who decided that it happened; absent when a worker saw it.
    pub decided_by: Option<String>,
    /// Redis lost state since: what is not on record may have happened all the same.
    pub state_lost: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolution_carries_a_receipt_only_if_it_happened() {
        let read = |text: &str| Resolve::read(crate::api::json::read(text.as_bytes()).expect("JSON"));
        let (outcome, reason, receipt) = read(r#"{"outcome":"happened","receipt":{"id": 7}}"#).expect("accepted");
        assert_eq!((outcome, reason, receipt.as_deref()), (Outcome::Happened, None, Some(r#"{"id":7}"#)));
        for bad in [
            r#"{"outcome":"not_happened","receipt":{"id":7}}"#.to_owned(),
            r#"{"outcome":"perhaps"}"#.to_owned(),
            "{}".to_owned(),
            format!(r#"{{"outcome":"happened","receipt":"{}"}}"#, "x".repeat(RECEIPT)),
        ] {
            assert_eq!(read(&bad).expect_err(&bad).status, 400);
        }
    }
}
