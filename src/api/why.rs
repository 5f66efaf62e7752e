//! Why a job waits.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::queue::SwitchView;

/// Why a job is where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Why")]
pub struct WhyView {
    /// The job.
    pub job_id: String,
    /// Its state.
    #[schema(schema_with = super::schema::states)]
    pub state: String,
    /// The one thing it waits for: `none`, `in_line`, `run_at`, `backoff`, `limit`, `queue_paused`,
    /// `type_paused`, `workspace_paused`, `workspace_cap`, `no_worker`, `type_not_offered`,
    /// `suspect` or `held`.
    pub blocker: String,
    /// The same as a sentence.
    pub detail: String,
    /// When it will be over, if that is known.
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// Since when it is held.
    #[serde(default)]
    #[schema(format = DateTime)]
    pub since: Option<String>,
    /// The command that goes on from here, where there is one.
    #[serde(default)]
    pub next: Option<String>,
    /// Who switched off what it waits for.
    pub switched_off: Option<SwitchView>,
    /// Jobs ahead of it in its band (0 = next), while it is in line.
    pub position: Option<u64>,
    /// Live workers on its queue.
    pub workers: u64,
}
