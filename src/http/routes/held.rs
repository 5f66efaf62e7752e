//! Held jobs: what is on record of their effects, and what people decide about them.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};

use crate::api::held::{Approve, EffectsView, Outcome, Reason, Resolve};
use crate::api::job::JobView;
use crate::domain::{APPROVAL_WAIT, Job, RawJson, Verdict};
use crate::engine::{Decider, Resolution};

use super::super::auth::{Caller, Permission};
use super::super::error::ApiError;
use super::super::state::{HttpState, Services};
use super::super::{admission, body, views};
use super::{COMMAND, Param, job_id};

fn decider<'a>(caller: &'a Caller, note: Option<&'a String>) -> Decider<'a> {
    Decider { key: &caller.info.id, name: caller.name(), note: note.map(String::as_str).unwrap_or_default() }
}

/// How long a job may wait for its approval, as the rules are now.
fn wait(services: &Services, job: &Job) -> Duration {
    let input = job.input.as_ref().map(RawJson::to_value).unwrap_or_default();
    let executor = services.registry.executor(job.job_type.as_str());
    let judged = executor
        .ok()
        .map(|executor| services.policies.judge(&job.workspace, job.job_type.as_str(), &executor.facts(&input)));
    match judged {
        Some(Ok(Verdict::Approve { wait, .. })) => wait,
        _ => APPROVAL_WAIT,
    }
}

/// Show what is on record of a job's effects, and what an approval would be given to.
#[utoipa::path(
    get, path = "/ai/jobs/{id}/effects", tag = "jobs", operation_id = "get_effects",
    params(("id" = String, Path, description = "The job's id.")),
    responses((status = 200, description = "Effects, receipts, approval and digest.", body = EffectsView))
)]
pub(in crate::http) async fn effects(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
) -> Result<Json<EffectsView>, ApiError> {
    caller.require(Permission::JobsRead)?;
    let id = job_id(id)?;
    admission::prepare(state.services()).await;
    let found = state.services().control.effects(&caller.scope(), id).await?;
    let wait = wait(state.services(), &found.job);
    Ok(Json(views::effects(&found, wait)))
}

/// Approve a job that waits for it.
///
/// The digest says what is approved: workspace, type and input, as `GET /ai/jobs/{id}/effects` shows them. The job then
/// has 24 hours to start. The key that submitted the job may not approve it.
#[utoipa::path(
    post, path = "/ai/jobs/{id}/approve", tag = "jobs", operation_id = "approve_job",
    params(("id" = String, Path, description = "The job's id.")),
    request_body = Approve,
    responses((status = 200, description = "The job, in line again.", body = JobView))
)]
pub(in crate::http) async fn approve(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
    request: Request,
) -> Result<Json<JobView>, ApiError> {
    caller.require(Permission::JobsApprove)?;
    let id = job_id(id)?;
    let approval = Approve::read(body::document(request, COMMAND, state.options().body_timeout).await?)?;
    let services = state.services();
    admission::prepare(services).await;
    let by = decider(&caller, approval.note.as_ref());
    let wait = |job: &Job| wait(services, job);
    let job = services.control.approve(&caller.scope(), id, &approval.digest, by, wait).await?;
    Ok(Json(JobView::from(&job)))
}

/// Reject a job that waits for its approval: it is cancelled, and its failure says who rejected it and why.
#[utoipa::path(
    post, path = "/ai/jobs/{id}/reject", tag = "jobs", operation_id = "reject_job",
    params(("id" = String, Path, description = "The job's id.")),
    request_body = Option<Reason>,
    responses((status = 200, description = "The cancelled job.", body = JobView))
)]
pub(in crate::http) async fn reject(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
    request: Request,
) -> Result<Json<JobView>, ApiError> {
    caller.require(Permission::JobsApprove)?;
    let id = job_id(id)?;
    let why = Reason::read(body::optional(request, COMMAND, state.options().body_timeout).await?)?;
    let by = decider(&caller, why.reason.as_ref());
    let job = state.services().control.reject(&caller.scope(), id, by).await?;
    Ok(Json(JobView::from(&job)))
}

/// Say what became of an effect that nobody could tell of (`held`, `outcome_unknown`).
///
/// `happened` puts it on record as done, so that the job ends without doing it again; `not_happened` lets it be done now;
/// `discard` cancels the job.
#[utoipa::path(
    post, path = "/ai/jobs/{id}/resolve", tag = "jobs", operation_id = "resolve_job",
    params(("id" = String, Path, description = "The job's id.")),
    request_body = Resolve,
    responses((status = 200, description = "The job as it is now.", body = JobView))
)]
pub(in crate::http) async fn resolve(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
    request: Request,
) -> Result<Json<JobView>, ApiError> {
    caller.require(Permission::QueueOperate)?;
    let id = job_id(id)?;
    let document = body::document(request, COMMAND, state.options().body_timeout).await?;
    let (outcome, reason, receipt) = Resolve::read(document)?;
    let resolution = match outcome {
        Outcome::Happened => Resolution::Happened(receipt.map(RawJson::from_compact)),
        Outcome::NotHappened => Resolution::NotHappened,
        Outcome::Discard => Resolution::Discard,
    };
    let by = decider(&caller, reason.as_ref());
    let job = state.services().control.resolve(&caller.scope(), id, resolution, by).await?;
    Ok(Json(JobView::from(&job)))
}

/// Put a held job back in line: one that waits for actions to be switched on, for a credential, or for an operator.
#[utoipa::path(
    post, path = "/ai/jobs/{id}/release", tag = "jobs", operation_id = "release_job",
    params(("id" = String, Path, description = "The job's id.")),
    responses((status = 200, description = "The job, in line again.", body = JobView))
)]
pub(in crate::http) async fn release(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
    request: Request,
) -> Result<Json<JobView>, ApiError> {
    caller.require(Permission::QueueOperate)?;
    let id = job_id(id)?;
    body::none(request, state.options().body_timeout).await?;
    let job = state.services().control.release(&caller.scope(), id, decider(&caller, None)).await?;
    Ok(Json(JobView::from(&job)))
}
