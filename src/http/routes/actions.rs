//! The rules for the actions of a workspace, and the default rules.

use axum::Json;
use axum::extract::{Path, Request, State};
use http::StatusCode;

use crate::api::ErrorCode;
use crate::api::actions::{ActionRules, ActionView, ActionsView};
use crate::domain::{DEFAULT_DOCUMENT, Decision, PolicyDocument, Workspace};
use crate::engine::TypeInfo;

use super::super::auth::{Caller, Permission};
use super::super::error::ApiError;
use super::super::state::HttpState;
use super::super::{admission, body};
use super::{COMMAND, Param};

/// The workspace that a path names, `None` for the default rules, if the caller may administer it. Another's answers
/// like a missing one.
fn whose(caller: &Caller, path: Param) -> Result<Option<Workspace>, ApiError> {
    caller.require(Permission::WorkspaceAdmin)?;
    let no_name = || ApiError::new(ErrorCode::NotFound, "there is no such workspace");
    let Path(text) = path.map_err(|_| no_name())?;
    if text == DEFAULT_DOCUMENT {
        caller.require_fleet(Permission::SystemAdmin)?;
        return Ok(None);
    }
    let workspace = Workspace::new(&text).map_err(|_| no_name())?;
    match &caller.info.workspace {
        Some(own) if *own != workspace => Err(no_name()),
        _ => Ok(Some(workspace)),
    }
}

/// Read the rules for the actions of a workspace, and what comes of them and of the default rules.
///
/// `*` instead of a workspace's name stands for the default rules, and takes a key with `system:admin`.
#[utoipa::path(
    get, path = "/workspaces/{workspace}/actions", tag = "admin", operation_id = "get_actions",
    params(("workspace" = String, Path, description = "The workspace's name, or `*`.")),
    responses((status = 200, description = "The rules.", body = ActionsView))
)]
pub(in crate::http) async fn show(
    State(state): State<HttpState>,
    caller: Caller,
    path: Param,
) -> Result<Json<ActionsView>, ApiError> {
    let workspace = whose(&caller, path)?;
    admission::prepare(state.services()).await;
    let document = state.services().policies.document(workspace.as_ref()).await?;
    Ok(Json(view(&state, workspace.as_ref(), document.as_ref())))
}

/// Replace the rules for the actions of a workspace.
///
/// They hold for the next job that is submitted, and for every effect that has not begun. A workspace's rules narrow the
/// default rules, which narrow or widen `ALLOW_ACTIONS_DEFAULT`; `"enabled": false` switches all its actions off. Jobs
/// that were set aside because of earlier rules are judged anew, unless the new ones switch actions off.
#[utoipa::path(
    put, path = "/workspaces/{workspace}/actions", tag = "admin", operation_id = "set_actions",
    params(("workspace" = String, Path, description = "The workspace's name, or `*`.")),
    request_body = ActionRules,
    responses((status = 200, description = "The rules as they are now.", body = ActionsView))
)]
pub(in crate::http) async fn set(
    State(state): State<HttpState>,
    caller: Caller,
    path: Param,
    request: Request,
) -> Result<Json<ActionsView>, ApiError> {
    let workspace = whose(&caller, path)?;
    let json = body::document(request, COMMAND, state.options().body_timeout).await?;
    let services = state.services();
    let is_action = |name: &str| services.registry.types().any(|info| info.is_action && info.name.as_str() == name);
    let document = ActionRules::read(json, is_action)?;
    services.policies.put(workspace.as_ref(), Some(&document), caller.name()).await?;
    if document.enabled != Some(false) {
        services.control.judge_anew(workspace.clone());
    }
    Ok(Json(view(&state, workspace.as_ref(), Some(&document))))
}

/// Switch all actions of a workspace off; its rules stay.
///
/// Jobs are refused from now on, and no effect begins that has not begun: jobs that a worker takes are set aside (`held`,
/// `actions_disabled`) and lose nothing.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/actions/disable", tag = "admin", operation_id = "disable_actions",
    params(("workspace" = String, Path, description = "The workspace's name, or `*` for all.")),
    responses((status = 200, description = "The rules as they are now.", body = ActionsView))
)]
pub(in crate::http) async fn disable(
    State(state): State<HttpState>,
    caller: Caller,
    path: Param,
    request: Request,
) -> Result<Json<ActionsView>, ApiError> {
    switch(&state, &caller, path, request, false).await
}

/// Switch the actions of a workspace on again; jobs that were set aside come back to be judged anew.
#[utoipa::path(
    post, path = "/workspaces/{workspace}/actions/enable", tag = "admin", operation_id = "enable_actions",
    params(("workspace" = String, Path, description = "The workspace's name, or `*` for all.")),
    responses((status = 200, description = "The rules as they are now.", body = ActionsView))
)]
pub(in crate::http) async fn enable(
    State(state): State<HttpState>,
    caller: Caller,
    path: Param,
    request: Request,
) -> Result<Json<ActionsView>, ApiError> {
    switch(&state, &caller, path, request, true).await
}

async fn switch(
    state: &HttpState,
    caller: &Caller,
    path: Param,
    request: Request,
    on: bool,
) -> Result<Json<ActionsView>, ApiError> {
    let workspace = whose(caller, path)?;
    body::none(request, state.options().body_timeout).await?;
    let services = state.services();
    let mut document = services.policies.document(workspace.as_ref()).await?.unwrap_or_default();
    document.enabled = Some(on);
    services.policies.put(workspace.as_ref(), Some(&document), caller.name()).await?;
    if on {
        services.control.judge_anew(workspace.clone());
    }
    Ok(Json(view(state, workspace.as_ref(), Some(&document))))
}

/// Remove the rules for the actions of a workspace: those that hold by default are left.
#[utoipa::path(
    delete, path = "/workspaces/{workspace}/actions", tag = "admin", operation_id = "remove_actions",
    params(("workspace" = String, Path, description = "The workspace's name, or `*`.")),
    responses((status = 204, description = "Removed, now or before."))
)]
pub(in crate::http) async fn remove(
    State(state): State<HttpState>,
    caller: Caller,
    path: Param,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let workspace = whose(&caller, path)?;
    body::none(request, state.options().body_timeout).await?;
    state.services().policies.put(workspace.as_ref(), None, caller.name()).await?;
    state.services().control.judge_anew(workspace);
    Ok(StatusCode::NO_CONTENT)
}

fn view(state: &HttpState, workspace: Option<&Workspace>, document: Option<&PolicyDocument>) -> ActionsView {
    let services = state.services();
    let actions = services.registry.types().filter(|info| info.is_action).map(|info| action(state, workspace, info));
    ActionsView {
        workspace: workspace.map_or(DEFAULT_DOCUMENT, Workspace::as_str).to_owned(),
        own: document.map(ActionRules::from),
        actions: actions.collect(),
    }
}

fn action(state: &HttpState, workspace: Option<&Workspace>, info: &TypeInfo) -> ActionView {
    let (decision, why) = match state.services().policies.accepts(workspace, info.name.as_str()) {
        Ok(decision) => (decision, None),
        Err(refusal) => (Decision::Deny, Some(refusal.to_string())),
    };
    ActionView { name: info.name.to_string(), decision: decision.to_string(), why }
}
