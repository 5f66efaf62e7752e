//! Live workers, and what they are told from afar.

use axum::Json;
use axum::extract::{Path, State};

use crate::api::ErrorCode;
use crate::api::worker::{OrderView, WorkerDetail, WorkerList};
use crate::domain::{Order, QueueName, WorkerId};
use crate::engine::Unknown;

use super::super::auth::{Caller, Permission};
use super::super::error::ApiError;
use super::super::state::HttpState;
use super::super::views;
use super::Param;

/// List the live worker processes.
#[utoipa::path(
    get, path = "/workers", tag = "operators", operation_id = "list_workers",
    responses((status = 200, description = "The workers.", body = WorkerList))
)]
pub(in crate::http) async fn list(
    State(state): State<HttpState>,
    caller: Caller,
) -> Result<Json<WorkerList>, ApiError> {
    caller.require_fleet(Permission::QueueOperate)?;
    let store = &state.services().store;
    let workers = store.workers().await?;
    let at = store.now_estimate().to_string();
    Ok(Json(WorkerList { workers: workers.iter().map(views::worker).collect(), at }))
}

/// Show one live worker process, and the jobs that it holds now.
#[utoipa::path(
    get, path = "/workers/{id}", tag = "operators", operation_id = "get_worker",
    params(("id" = String, Path, description = "The worker's id.")),
    responses((status = 200, description = "The worker.", body = WorkerDetail))
)]
pub(in crate::http) async fn show(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
) -> Result<Json<WorkerDetail>, ApiError> {
    caller.require_fleet(Permission::QueueOperate)?;
    let id = worker_id(id)?;
    let store = &state.services().store;
    let found = store.workers().await?.into_iter().find(|worker| worker.id == id).ok_or_else(no_worker)?;
    let queues: Vec<QueueName> = found.queues.iter().filter_map(|(name, _)| QueueName::new(name).ok()).collect();
    let held = store.in_hand(id, &queues).await?;
    Ok(Json(WorkerDetail {
        worker: views::worker(&found),
        jobs: held.jobs.iter().map(views::in_hand).collect(),
        jobs_complete: held.complete,
        at: store.now_estimate().to_string(),
    }))
}

fn no_worker() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "no such worker is alive")
}

/// The worker that a path names. Text that is no id names no worker.
fn worker_id(path: Param) -> Result<WorkerId, ApiError> {
    path.ok().and_then(|Path(text)| text.parse().ok()).ok_or_else(no_worker)
}

/// Tell a worker process to claim nothing more. What it runs goes on, and so do its heartbeats.
#[utoipa::path(
    post, path = "/workers/{id}/quiet", tag = "operators", operation_id = "quiet_worker",
    params(("id" = String, Path, description = "The worker's id.")),
    responses((status = 200, description = "It was told.", body = OrderView))
)]
pub(in crate::http) async fn quiet(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
) -> Result<Json<OrderView>, ApiError> {
    order(&state, &caller, id, Order::Quiet).await
}

/// Tell a quiet worker process to claim again.
#[utoipa::path(
    post, path = "/workers/{id}/resume", tag = "operators", operation_id = "resume_worker",
    params(("id" = String, Path, description = "The worker's id.")),
    responses((status = 200, description = "It was told.", body = OrderView))
)]
pub(in crate::http) async fn resume(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
) -> Result<Json<OrderView>, ApiError> {
    order(&state, &caller, id, Order::Resume).await
}

/// Tell a worker process to end as after SIGTERM: it claims nothing more, finishes what it can within its grace, gives the
/// rest back uncharged, and exits with 0. Its supervisor may start another.
#[utoipa::path(
    post, path = "/workers/{id}/stop", tag = "operators", operation_id = "stop_worker",
    params(("id" = String, Path, description = "The worker's id.")),
    responses((status = 200, description = "It was told.", body = OrderView))
)]
pub(in crate::http) async fn stop(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
) -> Result<Json<OrderView>, ApiError> {
    order(&state, &caller, id, Order::Stop).await
}

async fn order(state: &HttpState, caller: &Caller, id: Param, order: Order) -> Result<Json<OrderView>, ApiError> {
    caller.require_fleet(Permission::QueueOperate)?;
    let id = worker_id(id)?;
    let by = caller.name();
    match state.services().control.order(id, order, by).await {
        Ok(told) => {
            Ok(Json(OrderView { id: id.to_string(), order: order.to_string(), by: by.to_owned(), hears: told.hears }))
        }
        Err(Unknown::Worker) => Err(no_worker()),
        Err(Unknown::Store(error)) => Err(error.into()),
    }
}
