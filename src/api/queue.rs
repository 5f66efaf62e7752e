//! Queues and what operators do to them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Problem;
use super::json::Json;
use super::read::Fields;

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
    /// Set while the queue takes no new jobs.
    pub draining: Option<SwitchView>,
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
    /// Only jobs of this type; not together with `workspace`, and not for a drain.
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
