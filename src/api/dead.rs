//! Dead letters, grouped by cause.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Dead letters with one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
}

/// All groups, most dead first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadList {
    /// The groups.
    pub groups: Vec<DeadGroupView>,
}
