//! Live worker processes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A live worker process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Worker")]
pub struct WorkerView {
    /// Its id, fresh on every start.
    pub id: String,
    /// The name of its machine.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The queues it serves.
    pub queues: Vec<ServedQueue>,
    /// The types it offers.
    pub types: Vec<String>,
    /// Jobs it can run at once.
    pub slots: u32,
    /// Jobs it ran at its last heartbeat.
    pub busy: u32,
    /// `running`, `draining`, or `deaf`: alive, but its claim loop has not come around for 15 s.
    pub status: String,
    /// When it started.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// When it was last heard.
    #[schema(format = DateTime)]
    pub seen_at: String,
}

/// A queue that a worker serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServedQueue {
    /// The queue.
    pub name: String,
    /// Its weight among the worker's queues.
    pub weight: u32,
}

/// All live workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerList {
    /// The workers.
    pub workers: Vec<WorkerView>,
}
