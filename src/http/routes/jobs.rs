//! Jobs: create, list, read, cancel, redrive, and why one waits.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::api::ErrorCode;
use crate::api::job::{CreateJob, JobList, JobView};
use crate::api::why::WhyView;
use crate::clock;
use crate::domain::{Job, JobId, JobState, JobType, QueueName, RequestId, Timestamp, bounds};
use crate::engine::{Delivery, Submitted};
use crate::store::{ListPage, ListQuery, Scope};

use super::super::admission::{admit, prepare};
use super::super::auth::{Caller, Permission};
use super::super::error::ApiError;
use super::super::query::Query;
use super::super::state::HttpState;
use super::super::wait::{self, Waited};
use super::super::{body, views};
use super::{Param, job_id};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Submit a job.
///
/// The same `client_request_id` with the same body returns the same job, also at the same time
/// from many connections; with another body it is refused. A 202 means that the job is stored and
/// will be run, unless it is cancelled or expires first.
#[utoipa::path(
    post, path = "/ai/jobs", tag = "jobs", operation_id = "create_job",
    request_body = CreateJob,
    responses(
        (status = 202, description = "Accepted as a new job.", body = JobView,
         headers(("Location" = String, description = "The job's path."))),
        (status = 200, description = "The job was already there; `Idempotent-Replayed: true`.", body = JobView,
         headers(("Idempotent-Replayed" = String, description = "`true`"))),
    )
)]
pub(in crate::http) async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    caller.require(Permission::JobsWrite)?;
    caller.workspace()?;
    let document = body::document(request, bounds::BODY, state.options().body_timeout).await?;
    prepare(state.services()).await;
    let spec = admit(state.services(), &caller, document)?;
    let submitted = state.services().submitter.submit(spec).await?;
    Ok(accepted(&submitted))
}

fn accepted(submitted: &Submitted) -> Response {
    let view = JobView::from(&submitted.job);
    let location = HeaderValue::from_str(&view.links.this).ok();
    let status = if submitted.replayed { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = (status, Json(view)).into_response();
    let headers = response.headers_mut();
    headers.extend(location.map(|location| (header::LOCATION, location)));
    if submitted.replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

const FILTERS: &[&str] =
    &["state", "type", "queue", "client_request_id", "created_after", "created_before", "limit", "cursor"];

/// List jobs of a workspace, newest first.
#[utoipa::path(
    get, path = "/ai/jobs", tag = "jobs", operation_id = "list_jobs",
    params(
        ("state" = Option<String>, Query, description = "Only jobs in this state."),
        ("type" = Option<String>, Query, description = "Only jobs of this type."),
        ("queue" = Option<String>, Query, description = "Only jobs of this queue."),
        ("client_request_id" = Option<String>, Query, description = "Only the job with this id of yours."),
        ("created_after" = Option<String>, Query, description = "Created at this RFC 3339 time or later."),
        ("created_before" = Option<String>, Query, description = "Created before this RFC 3339 time."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Jobs wanted; default 50."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before; same filter."),
    ),
    responses((status = 200, description = "A page.", body = JobList))
)]
pub(in crate::http) async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    request: Request,
) -> Result<Json<JobList>, ApiError> {
    caller.require(Permission::JobsRead)?;
    let mut query = list_query(&caller, &state, request.uri().query())?;
    let store = &state.services().store;
    let mut page = store.list(&query).await?;
    if let Some(fit) = fitting(&page) {
        query.limit = fit;
        page = store.list(&query).await?;
    }
    let next_cursor = page.next.map(|places| state.cursors().sign(&places, &query));
    Ok(Json(JobList { jobs: page.jobs.iter().map(JobView::from).collect(), next_cursor }))
}

fn list_query(caller: &Caller, state: &HttpState, query: Option<&str>) -> Result<ListQuery, ApiError> {
    let query = Query::parse(query, FILTERS)?;
    let limit = query.parsed("limit", |text| match text.parse() {
        Ok(limit @ 1..=200) => Ok(limit),
        _ => Err("must be 1 to 200"),
    })?;
    let mut list = ListQuery {
        workspace: caller.workspace()?.clone(),
        state: query.parsed("state", |word| JobState::from_word(word).ok_or("is not a state of jobs"))?,
        job_type: query.parsed("type", JobType::new)?,
        queue: query.parsed("queue", QueueName::new)?,
        request_id: query.parsed("client_request_id", RequestId::new)?,
        created_after: query.parsed("created_after", Timestamp::parse)?,
        created_before: query.parsed("created_before", Timestamp::parse)?,
        limit: limit.unwrap_or(50),
        from: None,
    };
    if let Some(cursor) = query.text("cursor") {
        let refuse = || ApiError::at(ErrorCode::InvalidCursor, "cursor", "was not issued for this list");
        let shards = state.services().store.count();
        list.from = Some(state.cursors().check(cursor, &list, shards).ok_or_else(refuse)?);
    }
    Ok(list)
}

/// A page with large results is cut to this many bytes of them, and to one job at least.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// How many jobs of a page fit, when not all do.
fn fitting(page: &ListPage) -> Option<usize> {
    let mut bytes = 0;
    let large = |job: &Job| {
        let size = |json: &Option<crate::domain::RawJson>| json.as_ref().map_or(0, |j| j.as_str().len());
        bytes += 1024 + size(&job.result) + size(&job.progress) + job.metadata.as_str().len();
        bytes > PAGE_BYTES
    };
    page.jobs.iter().position(large).map(|fit| fit.max(1)).filter(|fit| *fit < page.jobs.len())
}

/// Read a job.
///
/// With `Prefer: wait=N` the answer comes when the job has ended, or after N seconds (at most 60)
/// with the job as it is then.
#[utoipa::path(
    get, path = "/ai/jobs/{id}", tag = "jobs", operation_id = "get_job",
    params(
        ("id" = String, Path, description = "The job's id."),
        ("Prefer" = Option<String>, Header, description = "`wait=30` waits up to 30 s for the job's end."),
        ("If-None-Match" = Option<String>, Header, description = "An `ETag` seen before."),
    ),
    responses(
        (status = 200, description = "The job.", body = JobView,
         headers(("ETag" = String, description = "Changes with the job."))),
        (status = 304, description = "The job is as it was."),
    )
)]
pub(in crate::http) async fn show(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.require(Permission::JobsRead)?;
    let id = job_id(id)?;
    let (mut applied, started) = (None, clock::now());
    let job = match wait::asked(&headers).zip(state.waiting().try_acquire().ok()) {
        Some((limit, _permit)) => {
            applied = HeaderValue::from_str(&format!("wait={}", limit.as_secs())).ok();
            ended(&state, &caller.scope(), id, limit).await?
        }
        None => read(&state, &caller.scope(), id).await?,
    };
    let mut response = tagged(&job, &headers);
    if applied.is_some() {
        response.extensions_mut().insert(Waited(clock::now().duration_since(started)));
    }
    response.headers_mut().extend(applied.map(|value| (HeaderName::from_static("preference-applied"), value)));
    Ok(response)
}

pub(super) async fn read(state: &HttpState, scope: &Scope, id: JobId) -> Result<Job, ApiError> {
    state.services().store.job(scope, id).await?.ok_or_else(ApiError::no_job)
}

/// The job once it is terminal, or as it is after `limit`.
async fn ended(state: &HttpState, scope: &Scope, id: JobId, limit: Duration) -> Result<Job, ApiError> {
    // Subscribed first, read after: no transition falls between.
    let mut events = state.services().hub.subscribe(id);
    let job = read(state, scope, id).await?;
    if job.state.is_terminal() {
        return Ok(job);
    }
    let end = async {
        loop {
            match events.next().await {
                Some(Delivery::Text) => {}
                Some(Delivery::Event(event)) if !event.state.is_terminal() => {}
                Some(Delivery::Event(_)) | None => return,
                Some(Delivery::Reset) => match read(state, scope, id).await {
                    Ok(job) if !job.state.is_terminal() => {}
                    _ => return,
                },
            }
        }
    };
    tokio::select! {
        () = end => {}
        () = tokio::time::sleep(limit) => {}
        () = state.options().shutdown.cancelled() => {}
    }
    read(state, scope, id).await
}

/// The job with its tag, or 304 when the client has it already.
fn tagged(job: &Job, headers: &HeaderMap) -> Response {
    let body = serde_json::to_vec(&JobView::from(job)).unwrap_or_default();
    let digest = Sha256::digest(&body);
    let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest.get(..12).unwrap_or_default());
    let tag = format!("\"{hash}\"");
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .any(|list| list.split(',').map(str::trim).any(|t| t == "*" || t.strip_prefix("W/").unwrap_or(t) == tag));
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/json")], body).into_response()
    };
    response.headers_mut().extend(HeaderValue::from_str(&tag).ok().map(|tag| (header::ETAG, tag)));
    // A client may keep the job to compare tags, and has to ask again every time.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}

/// Cancel a job.
///
/// A running attempt is told to stop within a second. Cancelling a cancelled job returns it again;
/// a job that has ended otherwise is refused with 409.
#[utoipa::path(
    post, path = "/ai/jobs/{id}/cancel", tag = "jobs", operation_id = "cancel_job",
    params(("id" = String, Path, description = "The job's id.")),
    responses((status = 200, description = "The cancelled job.", body = JobView))
)]
pub(in crate::http) async fn cancel(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
    request: Request,
) -> Result<Json<JobView>, ApiError> {
    caller.require(Permission::JobsWrite)?;
    let id = job_id(id)?;
    body::none(request, state.options().body_timeout).await?;
    let job = state.services().control.cancel(&caller.scope(), id, caller.name()).await?;
    Ok(Json(JobView::from(&job)))
}

/// Give a dead, cancelled or expired job another life.
///
/// Attempts start anew and the history is kept. Refused with 409 when the job's state does not
/// allow it, or when another job has its `client_request_id` by now.
#[utoipa::path(
    post, path = "/ai/jobs/{id}/redrive", tag = "jobs", operation_id = "redrive_job",
    params(("id" = String, Path, description = "The job's id.")),
    responses((status = 200, description = "The job, in line again.", body = JobView))
)]
pub(in crate::http) async fn redrive(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
    request: Request,
) -> Result<Json<JobView>, ApiError> {
    caller.require(Permission::JobsWrite)?;
    let id = job_id(id)?;
    body::none(request, state.options().body_timeout).await?;
    let job = state.services().control.redrive(&caller.scope(), id, caller.name()).await?;
    Ok(Json(JobView::from(&job)))
}

/// Say what a job waits for.
#[utoipa::path(
    get, path = "/ai/jobs/{id}/why", tag = "jobs", operation_id = "why_job",
    params(("id" = String, Path, description = "The job's id.")),
    responses((status = 200, description = "What it waits for, and its place in line.", body = WhyView))
)]
pub(in crate::http) async fn why(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
) -> Result<Json<WhyView>, ApiError> {
    caller.require(Permission::JobsRead)?;
    let id = job_id(id)?;
    let (services, scope) = (state.services(), caller.scope());
    let reason = services.control.why(&scope, id, &services.guard).await?.ok_or_else(ApiError::no_job)?;
    Ok(Json(views::why(&reason, &scope)))
}
