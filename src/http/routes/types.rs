//! Job types.

use axum::Json;
use axum::extract::State;

use crate::api::types::TypeList;
use crate::engine::TypeInfo;

use super::super::admission::prepare;
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
    let services = state.services();
    prepare(services).await;
    let own = caller.workspace().ok();
    let allowed = |info: &TypeInfo| !info.is_action || services.policies.accepts(own, info.name.as_str()).is_ok();
    let types = services.registry.types().map(|info| views::job_type(info, allowed(info))).collect();
    Ok(Json(TypeList { types }))
}
