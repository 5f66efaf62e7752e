//! Dead letters.

use axum::Json;
use axum::extract::State;

use crate::api::dead::DeadList;

use super::super::auth::{Caller, Permission};
use super::super::error::ApiError;
use super::super::state::HttpState;
use super::super::views;

/// List dead letters, grouped by queue, type and cause.
#[utoipa::path(
    get, path = "/dead-letters", tag = "operators", operation_id = "list_dead_letters",
    responses((status = 200, description = "The groups, most dead first.", body = DeadList))
)]
pub(in crate::http) async fn list(State(state): State<HttpState>, caller: Caller) -> Result<Json<DeadList>, ApiError> {
    caller.require_fleet(Permission::QueueOperate)?;
    let mut groups = state.services().store.dead_groups().await?;
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    Ok(Json(DeadList { groups: groups.iter().map(views::dead_group).collect() }))
}
