//! Limits of a workspace.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How much of the fleet a workspace may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Its share in line relative to other workspaces; default 1.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 100, example = 1)]
    pub weight: u32,
    /// Jobs running at once, over all queues; `null` is no cap.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub max_running: Option<u32>,
}

fn one() -> u32 {
    1
}
