//! Live workers.

use axum::Json;
use axum::extract::State;

use crate::api::worker::WorkerList;

use super::super::auth::{Caller, Permission};
use super::super::error::ApiError;
use super::super::state::HttpState;
use super::super::views;

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
    let workers = state.services().store.workers().await?;
    Ok(Json(WorkerList { workers: workers.iter().map(views::worker).collect() }))
}
