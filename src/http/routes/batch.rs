//! Many jobs in one request.

use axum::Json;
use axum::extract::{Request, State};
use bytes::Bytes;

use crate::api::batch::{BatchItem, BatchResult};
use crate::api::job::{CreateJob, JobView, json_problem};
use crate::api::json::{self, Json as Document, JsonError};
use crate::api::{ErrorCode, Problem};
use crate::domain::{JobSpec, bounds};
use crate::engine::{SubmitError, Submitted};

use super::super::admission::{admit, prepare};
use super::super::auth::{Caller, Permission};
use super::super::body::{self, Media};
use super::super::error::ApiError;
use super::super::state::{HttpState, Services};

/// The largest batch in bytes; each job in it has the limit of a single one.
const BATCH_BODY: usize = 8 * 1024 * 1024;

/// Submit up to 1,000 jobs.
///
/// The body is a JSON array, or one job per line (`application/x-ndjson`), at most 8 MiB. Each
/// item is accepted or refused for itself, and the answer has one result per item in the order
/// sent. Sending the whole batch again is safe.
#[utoipa::path(
    post, path = "/ai/jobs/batch", tag = "jobs", operation_id = "create_jobs",
    request_body(content((Vec<CreateJob> = "application/json"), (String = "application/x-ndjson"))),
    responses((status = 200, description = "What became of each item.", body = BatchResult))
)]
pub(in crate::http) async fn create_many(
    State(state): State<HttpState>,
    caller: Caller,
    request: Request,
) -> Result<Json<BatchResult>, ApiError> {
    caller.require(Permission::JobsWrite)?;
    caller.workspace()?;
    let (parts, body) = request.into_parts();
    let media = body::media(&parts.headers, &[Media::Json, Media::Lines])?;
    let bytes = body::bytes(&parts.headers, body, BATCH_BODY, state.options().body_timeout).await?;
    prepare(state.services()).await;
    let services = state.services().clone();
    // Megabytes of parsing and validation would hold up the other requests of this thread.
    let admitted = tokio::task::spawn_blocking(move || admit_all(&services, &caller, media, &bytes))
        .await
        .map_err(|_| ApiError::new(ErrorCode::Internal, "the batch could not be checked"))??;
    let (specs, refusals) = split(admitted);
    let outcomes = state.services().submitter.submit_many(specs).await;
    if let Some(error) = common_failure(&outcomes) {
        return Err(error.into());
    }
    Ok(Json(merge(refusals, outcomes)))
}

fn admit_all(
    services: &Services,
    caller: &Caller,
    media: Media,
    bytes: &Bytes,
) -> Result<Vec<Result<JobSpec, ApiError>>, ApiError> {
    let documents: Vec<Result<Document, JsonError>> = match media {
        Media::Lines => json::lines(bytes).take(bounds::BATCH + 1).collect(),
        Media::Json => json::items(bytes)
            .map_err(json_problem)?
            .ok_or_else(|| ApiError::at(ErrorCode::InvalidField, "", "the body must be an array"))?,
    };
    if documents.len() > bounds::BATCH {
        let detail = format!("a batch may have at most {} items", bounds::BATCH);
        return Err(ApiError::new(ErrorCode::BatchTooLarge, detail));
    }
    let admit_one = |document: Result<Document, JsonError>| admit(services, caller, document.map_err(json_problem)?);
    Ok(documents.into_iter().map(admit_one).collect())
}

/// The jobs to write, and per item the reason why it is not among them.
fn split(admitted: Vec<Result<JobSpec, ApiError>>) -> (Vec<JobSpec>, Vec<Option<Problem>>) {
    let mut specs = Vec::with_capacity(admitted.len());
    let refusals = admitted
        .into_iter()
        .map(|item| match item {
            Ok(spec) => {
                specs.push(spec);
                None
            }
            Err(error) => Some(error.into_problem()),
        })
        .collect();
    (specs, refusals)
}

/// The reason why nothing at all was written, when it concerns all jobs alike (Redis is away,
/// unsafe or full): the client should see a 503, and send the batch again.
fn common_failure(outcomes: &[Result<Submitted, SubmitError>]) -> Option<SubmitError> {
    use crate::store::StoreError as E;
    let common = |outcome: &Result<Submitted, SubmitError>| {
        let store = matches!(outcome, Err(SubmitError::Store(E::Unavailable(_) | E::ReadOnly(_) | E::Full(_))));
        store || matches!(outcome, Err(SubmitError::Unsafe(_)))
    };
    if !outcomes.iter().all(common) {
        return None;
    }
    outcomes.first()?.as_ref().err().cloned()
}

fn merge(refusals: Vec<Option<Problem>>, outcomes: Vec<Result<Submitted, SubmitError>>) -> BatchResult {
    let mut result = BatchResult { accepted: 0, replayed: 0, refused: 0, results: Vec::with_capacity(refusals.len()) };
    let mut outcomes = outcomes.into_iter();
    for (index, refusal) in refusals.into_iter().enumerate() {
        let missing = || Err(SubmitError::Store(crate::store::StoreError::Unknown("no outcome".into())));
        let outcome = match refusal {
            Some(problem) => Err(problem),
            None => outcomes.next().unwrap_or_else(missing).map_err(|error| ApiError::from(error).into_problem()),
        };
        let (status, job, problem) = match outcome {
            Ok(submitted) => {
                let count = if submitted.replayed { &mut result.replayed } else { &mut result.accepted };
                *count += 1;
                let status = if submitted.replayed { 200 } else { 202 };
                (status, Some(JobView::from(&submitted.job)), None)
            }
            Err(problem) => {
                result.refused += 1;
                (problem.status, None, Some(problem))
            }
        };
        result.results.push(BatchItem { index, status, job, problem });
    }
    result
}
