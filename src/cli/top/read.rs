//! One look at the fleet, and the rates between two looks.

use std::time::Duration;

use serde::Serialize;

use super::conditions::{self, Condition};
use crate::api::dead::DeadGroupView;
use crate::api::health::Ready;
use crate::api::queue::QueueView;
use crate::api::worker::WorkerView;
use crate::client::{Client, ClientError};
use crate::clock::{self, Instant};
use crate::domain::HeldReason;

/// A queue, and what went in and out since the look before.
#[derive(Clone, Debug, Serialize)]
pub(super) struct QueueRow {
    /// The queue.
    #[serde(flatten)]
    pub(super) view: QueueView,
    /// Jobs enqueued per second; `None` on the first look.
    pub(super) enqueued_per_second: Option<f64>,
    /// Jobs claimed per second.
    pub(super) dequeued_per_second: Option<f64>,
}

impl QueueRow {
    /// Held jobs whose effect may have happened.
    pub(super) fn outcome_unknown(&self) -> u64 {
        self.view.held_by.get(HeldReason::OutcomeUnknown.as_str()).copied().unwrap_or_default()
    }
}

/// The fleet at one moment.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Snapshot {
    /// When it was read, by this machine's clock.
    pub(super) at: String,
    /// The API.
    pub(super) url: String,
    /// What `GET /ready` says.
    pub(super) ready: Ready,
    /// Conditions as the alert rules look at them, without their waiting times.
    pub(super) conditions: Vec<Condition>,
    /// Queues by name.
    pub(super) queues: Vec<QueueRow>,
    /// Live workers.
    pub(super) workers: Vec<WorkerView>,
    /// Dead letters by cause, most dead first.
    pub(super) dead_letters: Vec<DeadGroupView>,
    #[serde(skip)]
    pub(super) taken: Instant,
}

/// Reads everything.
///
/// # Errors
/// When one of the reads brought nothing.
pub(super) async fn read(client: &Client, before: Option<&Snapshot>) -> Result<Snapshot, ClientError> {
    let (queues, workers, dead, ready) =
        futures_util::try_join!(client.queues(), client.workers(), client.dead(&[]), client.ready())?;
    let taken = clock::now();
    let row = |view: QueueView| {
        let earlier = before.and_then(|b| b.queues.iter().find(|q| q.view.name == view.name));
        let elapsed = before.map_or(Duration::ZERO, |b| taken.duration_since(b.taken));
        let rate = |count: fn(&QueueView) -> u64| rate(count(&view), earlier.map(|q| count(&q.view)), elapsed);
        QueueRow {
            enqueued_per_second: rate(|q| q.enqueued_total),
            dequeued_per_second: rate(|q| q.dequeued_total),
            view,
        }
    };
    let queues: Vec<QueueRow> = queues.queues.into_iter().map(row).collect();
    Ok(Snapshot {
        at: clock::wall().to_string(),
        url: client.base().to_string(),
        conditions: conditions::all(&queues, &workers.workers, &ready),
        ready,
        queues,
        workers: workers.workers,
        dead_letters: dead.groups,
        taken,
    })
}

/// Per second; `None` without an earlier count, and when the count went back because Redis lost state.
fn rate(now: u64, before: Option<u64>, elapsed: Duration) -> Option<f64> {
    let grown = now.checked_sub(before?)?;
    let grown = grown as f64;
    (!elapsed.is_zero()).then(|| grown / elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_between_two_reads_and_never_negative() {
        let two = Duration::from_secs(2);
        assert_eq!(rate(30, Some(10), two), Some(10.0));
        assert_eq!((rate(30, None, two), rate(5, Some(10), two), rate(5, Some(5), Duration::ZERO)), (None, None, None));
    }
}
