//! `windlass queues show`: all that is known of one queue.

use std::time::Duration;

use serde::Serialize;

use super::super::failure::Failure;
use super::super::output::{Output, facts, render};
use super::super::span::brief;
use super::super::workers;
use super::{by, part};
use crate::api::queue::QueueView;
use crate::api::why::QueueWhyView;
use crate::api::worker::WorkerView;
use crate::client::Client;
use crate::domain::QueueName;

/// A queue, what its jobs wait for, and who serves it.
#[derive(Serialize)]
struct Shown {
    queue: QueueView,
    why: QueueWhyView,
    workers: Vec<WorkerView>,
}

pub(super) async fn show(name: &QueueName, client: &Client, out: &mut Output) -> Result<(), Failure> {
    let queue = match client.queue(name).await {
        Ok(queue) => queue,
        Err(error) if error.code() == Some("not_found") => {
            return Err(Failure::from(error).hint("`windlass queues list` shows all; one begins with its first job"));
        }
        Err(error) => return Err(error.into()),
    };
    let (why, mut workers) = (client.queue_why(name).await?, client.workers().await?.workers);
    workers.retain(|worker| worker.queues.iter().any(|served| served.name == name.as_str()));
    out.text(&Shown { queue, why, workers }, describe)
}

fn describe(shown: &Shown) -> String {
    let Shown { queue, why, workers } = shown;
    let rate = |rate: Option<f64>| rate.map_or_else(|| "not known yet".to_owned(), |rate| format!("{rate:.1}/s"));
    let oldest = queue.oldest_pending_ms.map_or_else(|| "-".to_owned(), |ms| brief(Duration::from_millis(ms)));
    let mut rows = vec![
        ("queue", queue.name.clone()),
        ("depth", format!("{}, of which {} parked", queue.depth, queue.parked)),
        ("running", queue.running.to_string()),
        ("oldest", oldest),
        ("scheduled", queue.scheduled.to_string()),
        ("held", queue.held.to_string()),
        ("dead", queue.dead.to_string()),
        ("rates", format!("in {}, out {}", rate(why.enqueue_rate), rate(why.dequeue_rate))),
    ];
    rows.extend(queue.paused.as_ref().map(|switch| ("paused", by(switch))));
    rows.extend(queue.draining.as_ref().map(|switch| ("draining", by(switch))));
    rows.extend(queue.paused_parts.iter().map(|one| ("paused", part(one))));
    rows.push(("why", format!("{} ({})", why.detail, why.blocker)));
    rows.extend(why.next.clone().map(|next| ("next", next)));
    let taken = format!("{} of {} slots taken", why.crew.busy, why.crew.slots);
    rows.push(("workers", if workers.is_empty() { "none".to_owned() } else { format!("{}, {taken}", workers.len()) }));
    let mut text = facts(&rows);
    if !workers.is_empty() {
        let rows = workers.iter().map(workers::brief).collect();
        text.push_str(&format!("\n\n{}", render(&["WORKER", "HOST", "STATE", "BUSY"], rows)));
    }
    text
}
