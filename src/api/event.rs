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
}
