//! Queues and what operators do to them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::json::Json;
use super::read::Fields;
use super::{ErrorCode, Problem};
use crate::domain::DrainThen;

/// A queue at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Queue")]
pub struct QueueView {
    /// Its name.
    pub name: String,
    /// Jobs in line, parked ones included.
    pub depth: u64,
    /// Of these, parked behind a pause or a cap.
    pub parked: u64,
    /// Waiting for a time.
    pub scheduled: u64,
    /// Running under a lease.
    pub running: u64,
    /// Set aside until someone decides.
    pub held: u64,
    /// Of these, by reason. What an older version set aside is not counted.
    #[serde(default)]
    pub held_by: BTreeMap<String, u64>,
    /// Dead letters.
    pub dead: u64,
    /// Live workers that serve it.
    pub workers: u64,
    /// Jobs ever enqueued.
    pub enqueued_total: u64,
    /// Jobs ever claimed.
    pub dequeued_total: u64,
    /// Leases that ran out.
    pub lease_expiries_total: u64,
    /// Jobs that ended, by state.
    pub finished_total: BTreeMap<String, u64>,
    /// How long the job that is next has waited, in milliseconds: about the age of the oldest.
    pub oldest_pending_ms: Option<u64>,
    /// Set while the queue is paused.
    pub paused: Option<SwitchView>,
    /// Set while the queue takes no new jobs. What is left to be done is `depth`, `scheduled`, `running` and `held`.
    pub draining: Option<SwitchView>,
    /// Types and workspaces that are paused.
    #[serde(default)]
    pub paused_parts: Vec<PausedPart>,
    /// In the answer to a pause or a drain of what was off before: the record in force, of whoever was first.
    #[serde(default)]
    pub already: Option<SwitchView>,
}

/// A type or a workspace that is paused in a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PausedPart {
    /// The type, when that is what is paused.
    #[serde(rename = "type")]
    pub job_type: Option<String>,
    /// The workspace, when that is what is paused.
    pub workspace: Option<String>,
    /// Who did it, when, and why.
    pub switch: SwitchView,
}

/// Who switched something off, when, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Switch")]
pub struct SwitchView {
    /// The name of the key that did it.
    pub by: String,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// Their words, possibly empty.
    pub reason: String,
    /// Of a drain with a deadline: when it is.
    #[serde(default)]
    #[schema(format = DateTime)]
    pub deadline: Option<String>,
    /// What becomes of what is left then: `keep`, `hold` or `move:<queue>`.
    #[serde(default)]
    pub then: Option<String>,
}

/// All queues, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueList {
    /// The queues.
    pub queues: Vec<QueueView>,
}

/// What a pause or resume covers, and why. All fields may be absent, and so may the body; without
/// `type` and `workspace` the whole queue is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueCommand {
    /// Only jobs of this type; not together with `workspace`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub job_type: Option<String>,
    /// Only jobs of this workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub workspace: Option<String>,
    /// For the record, at most 500 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

/// A drain of a whole queue. All fields may be absent, and so may the body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainCommand {
    /// For the record, at most 500 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
    /// After so many seconds something becomes of what is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 604_800)]
    pub deadline_seconds: Option<u64>,
    /// What: `keep` (the default), `hold` or `move:<queue>`. Only with a deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(keep|hold|move:[a-z0-9][a-z0-9._-]{0,63})$")]
    pub then: Option<String>,
}

/// After so long, this becomes of what is left.
pub type Deadline = (Duration, DrainThen);

/// The longest time that a drain may be given: a week.
const LONGEST_DRAIN: u64 = 7 * 24 * 3600;

impl DrainCommand {
    /// Reads a drain: the reason, and the deadline with what comes then.
    ///
    /// # Errors
    /// Everything that is wrong with the document, by field.
    pub fn read(body: Json) -> Result<(Option<String>, Option<Deadline>), Box<Problem>> {
        let mut fields = Fields::of(body)?;
        for part in ["type", "workspace"] {
            if fields.take(part).is_some() {
                fields.fail(ErrorCode::InvalidField, part, "must be absent: a drain covers the whole queue");
            }
        }
        let reason = fields.short_text("reason", 500);
        let deadline = fields.integer("deadline_seconds", 1, LONGEST_DRAIN);
        let then = fields.parsed("then", str::parse::<DrainThen>);
        if then.is_some() && deadline.is_none() {
            fields.fail(ErrorCode::InvalidField, "then", "needs deadline_seconds");
        }
        fields.finish()?;
        Ok((reason, deadline.map(|seconds| (Duration::from_secs(seconds), then.unwrap_or_default()))))
    }
}

impl QueueCommand {
    /// Reads a command; names are checked by whoever carries it out.
    ///
    /// # Errors
    /// Everything that is wrong with the document, by field.
    pub fn read(body: Json) -> Result<Self, Box<Problem>> {
        let mut fields = Fields::of(body)?;
        let command = Self {
            job_type: fields.text("type"),
            workspace: fields.text("workspace"),
            reason: fields.short_text("reason", 500),
        };
        fields.finish()?;
        Ok(command)
    }
}
