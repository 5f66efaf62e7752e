//! Limits of workspaces.

use axum::Json;
use axum::extract::{Path, Request, State};

use crate::api::ErrorCode;
use crate::api::workspace::Limits;
use crate::domain::{AUDIT, Workspace};
use crate::store::{StoreError, WorkspaceLimits};

use super::super::auth::{Caller, Permission};
use super::super::error::ApiError;
use super::super::state::HttpState;
use super::super::{body, views};
use super::{COMMAND, Param};

fn workspace(path: Param) -> Result<Workspace, ApiError> {
    let no_name = || ApiError::new(ErrorCode::NotFound, "there is no such workspace");
    path.ok().and_then(|Path(text)| Workspace::new(&text).ok()).ok_or_else(no_name)
}

/// Read the limits of a workspace. Every workspace has the defaults until they are changed.
#[utoipa::path(
    get, path = "/workspaces/{workspace}/limits", tag = "admin", operation_id = "get_limits",
    params(("workspace" = String, Path, description = "The workspace's name.")),
    responses((status = 200, description = "The limits.", body = Limits))
)]
pub(in crate::http) async fn limits(
    State(state): State<HttpState>,
    caller: Caller,
    path: Param,
) -> Result<Json<Limits>, ApiError> {
    caller.require(Permission::WorkspaceAdmin)?;
    let workspace = workspace(path)?;
    if caller.info.workspace.as_ref().is_some_and(|own| *own != workspace) {
        return Err(ApiError::new(ErrorCode::NotFound, "there is no such workspace"));
    }
    let store = &state.services().store;
    Ok(Json(views::limits(store.workspace_limits(&workspace).await?, store.llm_limits(&workspace).await?)))
}

/// Set the limits of a workspace. Shares are relative to other workspaces, so this takes a key
/// that is bound to none.
#[utoipa::path(
    put, path = "/workspaces/{workspace}/limits", tag = "admin", operation_id = "set_limits",
    params(("workspace" = String, Path, description = "The workspace's name.")),
    request_body = Limits,
    responses((status = 200, description = "The limits as they are now.", body = Limits))
)]
pub(in crate::http) async fn set_limits(
    State(state): State<HttpState>,
    caller: Caller,
    path: Param,
    request: Request,
) -> Result<Json<Limits>, ApiError> {
    caller.require_fleet(Permission::SystemAdmin)?;
    let workspace = workspace(path)?;
    let document = body::document(request, COMMAND, state.options().body_timeout).await?;
    let wanted = Limits::read(document)?;
    let limits = WorkspaceLimits { weight: wanted.weight, max_running: wanted.max_running };
    let store = &state.services().store;
    let least = store.least_cap();
    if limits.max_running.is_some_and(|cap| (1..least).contains(&cap)) {
        let detail =
            format!("must be at least {least}: a cap is divided among the {least} shards of this installation");
        return Err(ApiError::at(ErrorCode::InvalidField, "/max_running", detail));
    }
    store.set_workspace_limits(&workspace, limits).await?;
    let llm = wanted.llm.map(views::quota);
    store.set_llm_limits(&workspace, llm).await.map_err(StoreError::after_change)?;
    tracing::info!(target: AUDIT, tenant_id = %workspace, limits = ?limits, llm = ?llm, by = caller.name(), "limits set");
    Ok(Json(views::limits(limits, llm)))
}
