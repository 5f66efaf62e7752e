//! Queues: look, ask why, pause, resume, drain.

use axum::Json;
use axum::extract::{Path, Request, State};

use crate::api::ErrorCode;
use crate::api::queue::{DrainCommand, QueueCommand, QueueList, QueueView};
use crate::api::why::QueueWhyView;
use crate::domain::{JobType, QueueName, Workspace};
use crate::engine::Selector;
use crate::store::{StoreError, Switched};

use super::super::auth::{Caller, Permission};
use super::super::error::ApiError;
use super::super::state::HttpState;
use super::super::{body, views};
use super::{COMMAND, Param};

/// The queue that a path names. Text that is no name names no queue.
fn queue_name(path: Param) -> Result<QueueName, ApiError> {
    path.ok().and_then(|Path(text)| QueueName::new(&text).ok()).ok_or_else(no_queue)
}

fn no_queue() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "there is no such queue")
}

/// The queue, which may be one that has no jobs yet, after a command was carried out.
async fn view(state: &HttpState, name: &QueueName) -> Result<Json<QueueView>, ApiError> {
    let summary = state.services().store.summary(name).await.map_err(StoreError::after_change)?;
    Ok(Json(views::queue(&summary)))
}

/// The same after something was switched off, with who was first.
async fn after(state: &HttpState, name: &QueueName, switched: &Switched) -> Result<Json<QueueView>, ApiError> {
    let Json(mut queue) = view(state, name).await?;
    queue.already = (!switched.first).then(|| views::switch(&switched.by));
    Ok(Json(queue))
}

async fn command(state: &HttpState, request: Request) -> Result<(QueueCommand, Selector), ApiError> {
    let document = body::optional(request, COMMAND, state.options().body_timeout).await?;
    let command = QueueCommand::read(document)?;
    let invalid = |field: &str| ApiError::at(ErrorCode::InvalidField, field, "is not a name");
    let selector = match (&command.job_type, &command.workspace) {
        (None, None) => Selector::Queue,
        (Some(name), None) => Selector::Type(JobType::new(name).map_err(|_| invalid("/type"))?),
        (None, Some(name)) => Selector::Workspace(Workspace::new(name).map_err(|_| invalid("/workspace"))?),
        (Some(_), Some(_)) => {
            return Err(ApiError::at(ErrorCode::InvalidField, "/workspace", "cannot be combined with type"));
        }
    };
    Ok((command, selector))
}

/// List the queues.
#[utoipa::path(
    get, path = "/queues", tag = "operators", operation_id = "list_queues",
    responses((status = 200, description = "The queues, by name.", body = QueueList))
)]
pub(in crate::http) async fn list(State(state): State<HttpState>, caller: Caller) -> Result<Json<QueueList>, ApiError> {
    caller.require_fleet(Permission::QueueOperate)?;
    let mut queues = state.services().store.queues().await?;
    queues.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Json(QueueList { queues: queues.iter().map(views::queue).collect() }))
}

/// Read a queue.
#[utoipa::path(
    get, path = "/queues/{queue}", tag = "operators", operation_id = "get_queue",
    params(("queue" = String, Path, description = "The queue's name.")),
    responses((status = 200, description = "The queue.", body = QueueView))
)]
pub(in crate::http) async fn show(
    State(state): State<HttpState>,
    caller: Caller,
    queue: Param,
) -> Result<Json<QueueView>, ApiError> {
    caller.require_fleet(Permission::QueueOperate)?;
    let summary = state.services().store.queue(&queue_name(queue)?).await?.ok_or_else(no_queue)?;
    Ok(Json(views::queue(&summary)))
}

/// Pause a queue, a type in it, or a workspace in it.
///
/// Workers stop claiming what is paused; running jobs go on, and jobs are still accepted. Who was first stays on record; a
/// later pause says in `already` who that was.
#[utoipa::path(
    post, path = "/queues/{queue}/pause", tag = "operators", operation_id = "pause_queue",
    params(("queue" = String, Path, description = "The queue's name.")),
    request_body = Option<QueueCommand>,
    responses((status = 200, description = "The queue.", body = QueueView))
)]
pub(in crate::http) async fn pause(
    State(state): State<HttpState>,
    caller: Caller,
    queue: Param,
    request: Request,
) -> Result<Json<QueueView>, ApiError> {
    caller.require_fleet(Permission::QueueOperate)?;
    let queue = queue_name(queue)?;
    let (command, selector) = command(&state, request).await?;
    let reason = command.reason.unwrap_or_default();
    let switched = state.services().control.pause(&queue, &selector, caller.name(), &reason).await?;
    after(&state, &queue, &switched).await
}

/// Lift a pause; without a selector also take jobs in again after a drain.
#[utoipa::path(
    post, path = "/queues/{queue}/resume", tag = "operators", operation_id = "resume_queue",
    params(("queue" = String, Path, description = "The queue's name.")),
    request_body = Option<QueueCommand>,
    responses((status = 200, description = "The queue.", body = QueueView))
)]
pub(in crate::http) async fn resume(
    State(state): State<HttpState>,
    caller: Caller,
    queue: Param,
    request: Request,
) -> Result<Json<QueueView>, ApiError> {
    caller.require_fleet(Permission::QueueOperate)?;
    let queue = queue_name(queue)?;
    let (_, selector) = command(&state, request).await?;
    state.services().control.resume(&queue, &selector, caller.name()).await?;
    view(&state, &queue).await
}

/// Take no new jobs in; workers finish what is in line. Resume opens the queue again.
///
/// `GET /queues/{queue}` shows what is left: `depth`, `scheduled`, `running` and `held`. Jobs are refused with 503
/// `queue_draining` and a `Retry-After`. A deadline and what comes then are kept on record.
#[utoipa::path(
    post, path = "/queues/{queue}/drain", tag = "operators", operation_id = "drain_queue",
    params(("queue" = String, Path, description = "The queue's name.")),
    request_body = Option<DrainCommand>,
    responses((status = 200, description = "The queue.", body = QueueView))
)]
pub(in crate::http) async fn drain(
    State(state): State<HttpState>,
    caller: Caller,
    queue: Param,
    request: Request,
) -> Result<Json<QueueView>, ApiError> {
    caller.require_fleet(Permission::QueueOperate)?;
    let queue = queue_name(queue)?;
    let document = body::optional(request, COMMAND, state.options().body_timeout).await?;
    let (reason, deadline) = DrainCommand::read(document)?;
    let reason = reason.unwrap_or_default();
    let switched = state.services().control.drain(&queue, caller.name(), &reason, deadline).await?;
    after(&state, &queue, &switched).await
}

/// Say what the jobs of a queue wait for: what most of them wait for, and how many for what.
#[utoipa::path(
    get, path = "/queues/{queue}/why", tag = "operators", operation_id = "why_queue",
    params(("queue" = String, Path, description = "The queue's name.")),
    responses((status = 200, description = "What they wait for.", body = QueueWhyView))
)]
pub(in crate::http) async fn why(
    State(state): State<HttpState>,
    caller: Caller,
    queue: Param,
) -> Result<Json<QueueWhyView>, ApiError> {
    caller.require_fleet(Permission::QueueOperate)?;
    let services = state.services();
    let reason = services.control.queue_why(&queue_name(queue)?, &services.guard).await?.ok_or_else(no_queue)?;
    let rates = services.control.rates(&reason.why.summary).await?;
    Ok(Json(views::queue_why(&reason, rates)))
}
