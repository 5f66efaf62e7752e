//! Why a job waits, and the jobs of a queue.

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
    /// The one thing it waits for.
    #[schema(schema_with = super::schema::wait_reasons)]
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
    /// The section of the runbook about it.
    #[serde(default)]
    #[schema(example = "runbook.md#no-live-worker")]
    pub runbook: String,
    /// Who switched off what it waits for.
    pub switched_off: Option<SwitchView>,
    /// Jobs ahead of it in its band (0 = next), while it is in line.
    pub position: Option<u64>,
    /// What is ahead of it, while it is in line.
    #[serde(default)]
    pub ahead: Option<AheadView>,
    /// Live workers on its queue.
    pub workers: u64,
    /// The same by how they stand.
    #[serde(default)]
    pub crew: CrewView,
}

/// What is ahead of a job in line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Ahead")]
pub struct AheadView {
    /// Jobs in bands that are served first.
    pub higher_bands: u64,
    /// Jobs of its own band.
    pub in_band: u64,
    /// The next 50 of its band at most, by workspace; most first.
    pub of: Vec<AheadOf>,
}

/// Jobs of one workspace that are ahead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AheadOf {
    /// Whose; null for all that are not the caller's.
    pub workspace: Option<String>,
    /// The weight of the workspace; null for several.
    pub weight: Option<u32>,
    /// How many.
    pub jobs: u64,
}

/// The live workers of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Crew")]
pub struct CrewView {
    /// Those that claim.
    pub active: u64,
    /// Those that were told to claim nothing.
    pub quiet: u64,
    /// Those about to end.
    pub stopping: u64,
    /// Those whose claim loop does not come round.
    pub deaf: u64,
    /// Slots of those that claim.
    pub slots: u64,
    /// Of these, taken.
    pub busy: u64,
}

/// Why the jobs of a queue wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(title = "QueueWhy")]
pub struct QueueWhyView {
    /// The queue.
    pub queue: String,
    /// What most of its waiting jobs wait for.
    #[schema(schema_with = super::schema::wait_reasons)]
    pub blocker: String,
    /// The same as a sentence.
    pub detail: String,
    /// The command that goes on from here.
    pub next: Option<String>,
    /// The section of the runbook about it.
    #[schema(example = "runbook.md#no-live-worker")]
    pub runbook: String,
    /// When it will be over, if that is known.
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// Who switched off what they wait for.
    pub switched_off: Option<SwitchView>,
    /// Set while the queue takes no new jobs.
    pub draining: Option<SwitchView>,
    /// Jobs in line, and those that the next claim puts there: their time has come, or their worker was lost.
    pub waiting: u64,
    /// The same by what they wait for; most first.
    pub counts: Vec<WaitingView>,
    /// Its live workers.
    pub crew: CrewView,
    /// How long the oldest job in line is there, in milliseconds.
    pub oldest_ms: Option<u64>,
    /// Jobs taken in per second, over two minutes at most; null while it is not known.
    pub enqueue_rate: Option<f64>,
    /// Jobs handed out per second; null while it is not known.
    pub dequeue_rate: Option<f64>,
}

/// Jobs in line that wait for the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Waiting")]
pub struct WaitingView {
    /// For what.
    #[schema(schema_with = super::schema::wait_reasons)]
    pub blocker: String,
    /// The type or the workspace that it concerns.
    pub subject: Option<String>,
    /// How many.
    pub jobs: u64,
    /// One of them.
    pub sample: Option<String>,
}
