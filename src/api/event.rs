//! The data of a job's server-sent events.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The data of a `state` event: one transition. A `reset` event carries a whole job instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "JobEvent")]
pub struct EventView {
    /// The job.
    pub job_id: String,
    /// The state reached.
    #[schema(schema_with = super::schema::states)]
    pub state: String,
    /// The attempt it concerns.
    pub attempt: u32,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// With the terminal state: what the result says of the tokens it took, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub usage: Option<serde_json::Value>,
}

/// The data of a `state` event of the stream of all jobs: one transition, and the job's names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "JobStep")]
pub struct StepView {
    /// The job.
    pub job_id: String,
    /// Its workspace.
    pub workspace: String,
    /// Its type.
    #[serde(rename = "type")]
    pub job_type: String,
    /// Its queue.
    pub queue: String,
    /// The state left; null for a new job, and where nobody saw it.
    pub from: Option<String>,
    /// The state reached.
    #[schema(schema_with = super::schema::states)]
    pub state: String,
    /// The attempt it concerns.
    pub attempt: u32,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// Why, of a failure or a hold.
    pub reason: Option<String>,
    /// The failure in words.
    pub message: Option<String>,
}

/// The data of a `delta` event: a piece of the text of a streaming answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "JobDelta")]
pub struct DeltaView {
    /// The job.
    pub job_id: String,
    /// The attempt that wrote it.
    pub attempt: u32,
    /// Its number: pieces of a job are counted from 1, over all attempts.
    pub seq: u64,
    /// The text, possibly empty.
    pub text: String,
    /// Text was left out here; the result has all of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

impl std::fmt::Debug for DeltaView {
    /// The text is a completion.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeltaView").field("job_id", &self.job_id).field("seq", &self.seq).finish_non_exhaustive()
    }
}

/// The data of a `delta_reset` event: all text so far is void.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "JobDeltaReset")]
pub struct DeltaResetView {
    /// The job.
    pub job_id: String,
    /// The attempt that began an answer.
    pub attempt: u32,
}
