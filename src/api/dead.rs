//! Dead letters, grouped by cause.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::job::JobView;

/// Dead letters with one cause.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(title = "DeadGroup")]
pub struct DeadGroupView {
    /// The queue.
    pub queue: String,
    /// The type.
    #[serde(rename = "type")]
    pub job_type: String,
    /// The fingerprint their failures share.
    pub fingerprint: String,
    /// Why they died.
    pub reason: Option<String>,
    /// How many are dead now.
    pub count: u64,
    /// First death.
    #[schema(format = DateTime)]
    pub first_at: String,
    /// Latest death.
    #[schema(format = DateTime)]
    pub last_at: String,
    /// The id of the latest of them.
    pub sample: String,
    /// That job; only when a fingerprint was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobView>,
}

/// All groups, most dead first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeadList {
    /// The groups.
    pub groups: Vec<DeadGroupView>,
}
