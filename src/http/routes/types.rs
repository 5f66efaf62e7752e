//! Job types.

use axum::Json;
use axum::extract::State;

use crate::api::types::TypeList;

use super::super::auth::{Caller, Permission};
use super::super::error::ApiError;
use super::super::state::HttpState;
use super::super::views;

/// List the job types that this server knows, with the schemas of their inputs.
#[utoipa::path(
    get, path = "/ai/types", tag = "jobs", operation_id = "list_types",
    responses((status = 200, description = "The types, by name.", body = TypeList))
)]
pub(in crate::http) async fn list(State(state): State<HttpState>, caller: Caller) -> Result<Json<TypeList>, ApiError> {
    caller.require(Permission::JobsRead)?;
    let types = state.services().registry.types().map(|(info, allowed)| views::job_type(info, allowed)).collect();
    Ok(Json(TypeList { types }))
}
