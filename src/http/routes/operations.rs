//! Bulk operations: look first, then begin, watch, stop and resume.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::api::ErrorCode;
use crate::api::operation::{
    BeginOperation, OperationList, OperationView, PreviewView, ResumeOperation, Wanted, foreign_workspace,
};
use crate::domain::{JobId, Operation, OperationAction, OperationPlan, OperationState, Workspace};
use crate::engine::OperationError;
use crate::store::Scope;

use super::super::auth::{Caller, Permission};
use super::super::body;
use super::super::error::ApiError;
use super::super::query::Query;
use super::super::state::HttpState;
use super::{COMMAND, Param};

/// What lets a key of a workspace begin and change operations on its jobs; which of the two depends on the action.
const CHANGE: &[Permission] = &[Permission::JobsWrite, Permission::QueueOperate];
/// What lets it see them.
const SEE: &[Permission] = &[Permission::JobsRead, Permission::JobsWrite, Permission::QueueOperate];

/// The workspace that the caller's operations are kept to; `None` for an operator of the fleet.
fn own(caller: &Caller, scopes: &[Permission]) -> Result<Option<Workspace>, ApiError> {
    match caller.scope() {
        Scope::All => caller.require_fleet(Permission::QueueOperate).map(|()| None),
        Scope::Workspace(own) => caller.require_one(scopes).map(|()| Some(own)),
    }
}

/// An operation takes the scope that its action takes on a single job.
fn allow(caller: &Caller, action: OperationAction) -> Result<(), ApiError> {
    match action {
        OperationAction::Cancel | OperationAction::Redrive => caller.require_one(CHANGE),
        OperationAction::Move | OperationAction::Hold | OperationAction::Release | OperationAction::Discard => {
            caller.require(Permission::QueueOperate)
        }
    }
}

fn no_operation() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "there is no such operation")
}

impl From<OperationError> for ApiError {
    fn from(error: OperationError) -> Self {
        let detail = error.to_string();
        match error {
            OperationError::NotFound => no_operation(),
            OperationError::State(_) => Self::new(ErrorCode::WrongState, detail),
            OperationError::TooMany => {
                Self::new(ErrorCode::TooManyOperations, detail).retry_after(Duration::from_secs(30))
            }
            OperationError::Store(error) => error.into(),
        }
    }
}

/// The operation that a path names, if the caller may see it. Another workspace's answers like a missing one.
async fn visible(state: &HttpState, own: Option<&Workspace>, path: Param) -> Result<Operation, ApiError> {
    let id: JobId = path.ok().and_then(|Path(text)| text.parse().ok()).ok_or_else(no_operation)?;
    let operation = state.services().operations.get(id).await?;
    if is_of(&operation, own) { Ok(operation) } else { Err(no_operation()) }
}

fn is_of(operation: &Operation, own: Option<&Workspace>) -> bool {
    own.is_none() || operation.plan.filter.workspace.as_ref() == own
}

/// Begin a bulk operation, or look at what it would do.
///
/// Without `"dry_run": false` nothing is changed, and the answer counts the jobs and shows some. A filter that names no job
/// is no error: the operation finishes with none. An operation goes on in the API processes at its `rate`, whoever began
/// it. It leaves alone what came into its state after it began.
///
/// Cancel and redrive take `jobs:write` with a key of the workspace, which is all that they then reach; the other actions
/// take `queue:operate`, and so does everything with a key for all workspaces that names none.
#[utoipa::path(
    post, path = "/operations", tag = "operators", operation_id = "begin_operation",
    params(("X-Windlass-Workspace" = Option<String>, Header, description = "Only this workspace.")),
    request_body = BeginOperation,
    responses(
        (status = 200, description = "A look: nothing was changed.", body = PreviewView),
        (status = 202, description = "The operation, begun now or by the same `operation_id` before.",
         body = OperationView, headers(("Location" = String, description = "Where it can be watched.")))
    )
)]
pub(in crate::http) async fn begin(
    State(state): State<HttpState>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let own = own(&caller, CHANGE)?;
    let wanted = Wanted::read(body::document(request, COMMAND, state.options().body_timeout).await?)?;
    allow(&caller, wanted.action)?;
    if own.is_some() && wanted.filter.workspace().is_some_and(|named| Some(named) != own.as_ref()) {
        return Err(foreign_workspace().into());
    }
    let services = state.services();
    let now = services.store.now().await?;
    let plan = wanted.plan(now, own.as_ref())?;
    if wanted.dry_run {
        return preview(&state, &plan).await;
    }
    let made = || JobId::new(u64::try_from(now.unix_ms()).unwrap_or_default(), 0);
    let id = wanted.operation_id.unwrap_or_else(made);
    let operation = services.operations.begin(id, &plan, caller.name(), wanted.expected).await?;
    if !wanted.is(&operation.plan, own.as_ref()) {
        let detail = "must be a new id: another operation has it";
        return Err(ApiError::at(ErrorCode::OperationIdReused, "/operation_id", detail));
    }
    let location = HeaderValue::try_from(format!("/operations/{id}")).ok();
    let mut response = (StatusCode::ACCEPTED, Json(OperationView::from(&operation))).into_response();
    response.headers_mut().extend(location.map(|location| (header::LOCATION, location)));
    Ok(response)
}

async fn preview(state: &HttpState, plan: &OperationPlan) -> Result<Response, ApiError> {
    let busy =
        || ApiError::new(ErrorCode::Overloaded, "other dry runs are under way").retry_after(Duration::from_secs(2));
    let _turn = state.previews().try_acquire().map_err(|_| busy())?;
    let found = state.services().operations.preview(plan).await?;
    Ok(Json(PreviewView::of(plan, &found)).into_response())
}

/// List bulk operations of the last 30 days, newest first.
///
/// Shards of a cluster that do not answer are named in `missing_shards` of each, whose counts are then without theirs.
#[utoipa::path(
    get, path = "/operations", tag = "operators", operation_id = "list_operations",
    params(
        ("state" = Option<String>, Query, description = "Only in this state."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Operations wanted; default 100."),
        ("X-Windlass-Workspace" = Option<String>, Header, description = "Only this workspace."),
    ),
    responses((status = 200, description = "The operations.", body = OperationList))
)]
pub(in crate::http) async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    request: Request,
) -> Result<Json<OperationList>, ApiError> {
    let own = own(&caller, SEE)?;
    let query = Query::parse(request.uri().query(), &["state", "limit"])?;
    let wanted =
        query.parsed("state", |word| OperationState::from_word(word).ok_or("must be running, stopped or finished"))?;
    let limit = query.parsed("limit", |text| match text.parse() {
        Ok(limit @ 1..=1000) => Ok(limit),
        _ => Err("must be 1 to 1000"),
    })?;
    let shown =
        |operation: &Operation| is_of(operation, own.as_ref()) && wanted.is_none_or(|wanted| operation.state == wanted);
    let found = state.services().operations.list(shown, limit.unwrap_or(100)).await?;
    Ok(Json(OperationList { operations: found.iter().map(OperationView::from).collect() }))
}

/// Read a bulk operation: how it stands, and what it did so far.
#[utoipa::path(
    get, path = "/operations/{id}", tag = "operators", operation_id = "get_operation",
    params(
        ("id" = String, Path, description = "The operation's id."),
        ("X-Windlass-Workspace" = Option<String>, Header, description = "Only of this workspace."),
    ),
    responses((status = 200, description = "The operation.", body = OperationView))
)]
pub(in crate::http) async fn show(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
) -> Result<Json<OperationView>, ApiError> {
    let own = own(&caller, SEE)?;
    Ok(Json(OperationView::from(&visible(&state, own.as_ref(), id).await?)))
}

/// Stop a bulk operation. What it did stays done, and with the answer it is over: no step is made after it, of whatever
/// process. Shards of a cluster that could not be told are named in `missing_shards`: a step that is under way there may
/// still be made, until the operation is stopped again.
#[utoipa::path(
    post, path = "/operations/{id}/stop", tag = "operators", operation_id = "stop_operation",
    params(
        ("id" = String, Path, description = "The operation's id."),
        ("X-Windlass-Workspace" = Option<String>, Header, description = "Only of this workspace."),
    ),
    responses((status = 200, description = "The operation.", body = OperationView))
)]
pub(in crate::http) async fn stop(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
    request: Request,
) -> Result<Json<OperationView>, ApiError> {
    let own = own(&caller, CHANGE)?;
    body::none(request, state.options().body_timeout).await?;
    let known = visible(&state, own.as_ref(), id).await?;
    allow(&caller, known.plan.action)?;
    let operation = state.services().operations.stop(known.id, caller.name()).await?;
    Ok(Json(OperationView::from(&operation)))
}

/// Go on with a stopped bulk operation where it was, if wanted at another rate. Resuming a running one changes its rate
/// at most.
#[utoipa::path(
    post, path = "/operations/{id}/resume", tag = "operators", operation_id = "resume_operation",
    params(
        ("id" = String, Path, description = "The operation's id."),
        ("X-Windlass-Workspace" = Option<String>, Header, description = "Only of this workspace."),
    ),
    request_body = Option<ResumeOperation>,
    responses((status = 200, description = "The operation.", body = OperationView))
)]
pub(in crate::http) async fn resume(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
    request: Request,
) -> Result<Json<OperationView>, ApiError> {
    let own = own(&caller, CHANGE)?;
    let how = ResumeOperation::read(body::optional(request, COMMAND, state.options().body_timeout).await?)?;
    let known = visible(&state, own.as_ref(), id).await?;
    allow(&caller, known.plan.action)?;
    let operation = state.services().operations.resume(known.id, caller.name(), how.rate).await?;
    Ok(Json(OperationView::from(&operation)))
}
