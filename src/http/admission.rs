//! From a document that a client sent to a job that may be written.

use crate::api::ErrorCode;
use crate::api::job::read_job;
use crate::api::json::Json;
use crate::domain::{JobSpec, Workspace, bounds};

use super::error::ApiError;
use super::state::Services;

/// Checks a request for a job: its fields, the allow-list, and its input against the type's
/// schema. Nothing is written here, and after it only Redis can refuse.
pub(super) fn admit(services: &Services, workspace: &Workspace, body: Json) -> Result<JobSpec, ApiError> {
    // An estimate bounds what clients may ask for; when a job is due is for Redis to say.
    let job = read_job(body, services.store.now_estimate())?;
    if job.input.as_str().len() > bounds::BODY {
        return Err(ApiError::new(ErrorCode::BodyTooLarge, format!("the job has more than {} bytes", bounds::BODY)));
    }
    let info = services.registry.admit(job.job_type.as_str(), &job.input_value)?;
    Ok(JobSpec {
        workspace: workspace.clone(),
        request_id: job.request_id,
        queue: job.queue,
        priority: job.priority,
        run_at: job.run_at,
        expires_at: job.expires_at,
        timeout: job.timeout.unwrap_or(info.timeout),
        max_attempts: job.max_attempts.unwrap_or(info.retry.max_attempts),
        callback_url: None,
        metadata: job.metadata,
        input: job.input,
        fingerprint: job.fingerprint,
        job_type: job.job_type,
    })
}
