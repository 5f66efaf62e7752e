//! Figures of queues as autoscalers read them: flat, by name, one number at the end of a path.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// All queues, and their sum. A path such as `queues.default.suggested_workers` or `total.pending` leads to a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueStats {
    /// By name.
    pub queues: BTreeMap<String, QueueFigures>,
    /// Over all of these.
    pub total: QueueFigures,
}

/// The figures of a queue, or of several together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueFigures {
    /// Jobs in line, parked ones included.
    pub pending: u64,
    /// Of these, those that wait for more than a slot.
    pub parked: u64,
    /// Jobs that wait for a time.
    pub scheduled: u64,
    /// Jobs under a lease.
    pub running: u64,
    /// Jobs that wait for a decision.
    pub held: u64,
    /// Dead letters.
    pub dead: u64,
    /// How long the job that is next has waited, in seconds; 0 when none does.
    pub oldest_seconds: f64,
    /// Live worker processes; in the sum each counts once.
    pub workers: u64,
    /// Slots of those that claim.
    pub slots: u64,
    /// Of these, taken.
    pub busy: u64,
    /// Jobs taken in per second over two minutes at most; 0 while it is not known.
    pub enqueue_rate: f64,
    /// Jobs handed out per second.
    pub dequeue_rate: f64,
    /// Worker processes that keep up with what comes in, work the line off within `drain_seconds`, and hold what runs:
    /// the larger of `ceil(run time × (enqueue rate + waiting / drain_seconds) / slots of a worker)` and
    /// `ceil(running / slots of a worker)`; at least 1 while a job waits, at most 1000 unless more already run something.
    pub suggested_workers: u64,
}
