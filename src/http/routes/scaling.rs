//! Figures for autoscalers.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};

use crate::api::ErrorCode;
use crate::api::scaling::{QueueFigures, QueueStats};
use crate::domain::QueueName;
use crate::domain::scaling::{ASSUMED_SLOTS, workers_for};
use crate::engine::QueueLoad;

use super::super::auth::{Caller, Permission};
use super::super::error::ApiError;
use super::super::query::Query;
use super::super::state::HttpState;

/// The time within which a line is to be worked off, unless the caller says another.
const DRAIN: Duration = Duration::from_secs(60);

/// Read the figures of queues as autoscalers do.
///
/// `suggested_workers` follows from what is in Redis, so it is there with no worker alive. A paused queue wants what its
/// running jobs need. Takes the scope `queue:stats`, which allows nothing else, or `queue:operate`. (A queue that is called
/// `stats` is shown by `GET /queues`.)
#[utoipa::path(
    get, path = "/queues/stats", tag = "operators", operation_id = "queue_stats",
    params(
        ("queue" = Option<String>, Query, description = "Only this queue."),
        ("drain_seconds" = Option<u64>, Query, description = "The line is to be worked off within this time, 1 to 86400; default 60."),
    ),
    responses((status = 200, description = "The figures, by queue and in total.", body = QueueStats))
)]
pub(in crate::http) async fn stats(
    State(state): State<HttpState>,
    caller: Caller,
    request: Request,
) -> Result<Json<QueueStats>, ApiError> {
    caller.require_fleet_any(&[Permission::QueueStats, Permission::QueueOperate])?;
    let query = Query::parse(request.uri().query(), &["queue", "drain_seconds"])?;
    let only = query.parsed("queue", QueueName::new)?;
    let drain = query.parsed("drain_seconds", |text| {
        let seconds = text.parse::<u64>().ok().filter(|n| (1..=86_400).contains(n));
        seconds.map(Duration::from_secs).ok_or("must be 1 to 86400")
    })?;
    let services = state.services();
    let loads = services.control.loads(only.as_ref(), drain.unwrap_or(DRAIN)).await?;
    if loads.is_empty() {
        return Err(ApiError::new(ErrorCode::NotFound, "there is no such queue"));
    }
    let mut total = sum(&loads);
    if only.is_none() {
        let fleet = services.store.workers().await?;
        let active = || fleet.iter().filter(|worker| worker.state() == crate::domain::WorkerState::Active);
        total.workers = u64::try_from(fleet.len()).unwrap_or(u64::MAX);
        total.slots = active().map(|worker| u64::from(worker.slots)).sum();
        total.busy = active().map(|worker| u64::from(worker.busy)).sum();
    }
    let queues = loads.iter().map(|load| (load.summary.name.to_string(), figures(load))).collect();
    Ok(Json(QueueStats { queues, total }))
}

fn figures(of: &QueueLoad) -> QueueFigures {
    let queue = &of.summary;
    let rates = of.rates.unwrap_or_default();
    QueueFigures {
        pending: queue.depth,
        parked: queue.parked,
        scheduled: queue.scheduled,
        running: queue.running,
        held: queue.held,
        dead: queue.dead,
        oldest_seconds: queue.oldest_pending.unwrap_or_default().as_secs_f64(),
        workers: of.workers,
        slots: of.slots,
        busy: of.busy,
        enqueue_rate: rates.enqueue,
        dequeue_rate: rates.dequeue,
        suggested_workers: of.load.workers(),
    }
}

/// Counts add up, and so do the slots that queues want: a worker may serve several. The oldest is the oldest of any.
fn sum(loads: &[QueueLoad]) -> QueueFigures {
    let mut total = loads.iter().map(figures).fold(QueueFigures::default(), |sum, part| QueueFigures {
        pending: sum.pending + part.pending,
        parked: sum.parked + part.parked,
        scheduled: sum.scheduled + part.scheduled,
        running: sum.running + part.running,
        held: sum.held + part.held,
        dead: sum.dead + part.dead,
        oldest_seconds: sum.oldest_seconds.max(part.oldest_seconds),
        workers: sum.workers.max(part.workers),
        slots: sum.slots.max(part.slots),
        busy: sum.busy.max(part.busy),
        enqueue_rate: sum.enqueue_rate + part.enqueue_rate,
        dequeue_rate: sum.dequeue_rate + part.dequeue_rate,
        suggested_workers: 0,
    });
    let wanted = loads.iter().map(|of| of.load.slots_wanted()).sum();
    let waiting = loads.iter().map(|of| of.load.waiting).sum();
    let slots = loads.iter().map(|of| of.load.slots).min().unwrap_or(ASSUMED_SLOTS);
    total.suggested_workers = workers_for(wanted, waiting, total.running, slots);
    total
}
