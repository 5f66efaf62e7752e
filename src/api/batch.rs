//! Many jobs in one request.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Problem;
use super::job::JobView;

/// What became of a batch. The answer's own status is 200 whatever became of the items.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BatchResult {
    /// New jobs.
    pub accepted: usize,
    /// Jobs that were already there.
    pub replayed: usize,
    /// Items that were not enqueued, or whose outcome is unknown.
    pub refused: usize,
    /// One per item, in the order sent.
    pub results: Vec<BatchItem>,
}

/// What became of one item.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BatchItem {
    /// Its place in the request, from 0.
    pub index: usize,
    /// What the item would have got alone: 202, 200 for a replay, or the problem's status.
    #[schema(example = 202)]
    pub status: u16,
    /// The job, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobView>,
    /// What is wrong, when there is no job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}
