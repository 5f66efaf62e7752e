//! What a child is told to do, as JSON; the children in other languages read the same fields.

use serde::{Deserialize, Serialize};

/// An order; fields that a mode or a system does not know are ignored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) url: String,
    /// Enqueue: stop after so many jobs, when not 0. Latency: how many.
    pub(crate) jobs: usize,
    /// Enqueue: stop after so long, when not 0.
    pub(crate) seconds: f64,
    /// Enqueue: calls at once.
    pub(crate) in_flight: usize,
    /// Enqueue: jobs a call.
    pub(crate) batch: usize,
    /// Bytes of a payload, as JSON.
    pub(crate) bytes: usize,
    /// Work: jobs at once.
    pub(crate) slots: usize,
    /// Connections of a pool, where there is one.
    pub(crate) connections: usize,
    /// apalis: whether it takes a lock for each job.
    pub(crate) lock: bool,
    /// ioredis: whether calls of one turn of the event loop are written together.
    pub(crate) auto_pipelining: bool,
    /// Windlass: over how many workspaces jobs are spread.
    pub(crate) workspaces: usize,
}
