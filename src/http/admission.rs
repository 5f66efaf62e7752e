//! From a document that a client sent to a job that may be written.

use crate::api::ErrorCode;
use crate::api::job::read_job;
use crate::api::json::Json;
use crate::domain::{JobSpec, bounds};

use super::auth::Caller;
use super::error::ApiError;
use super::state::Services;

/// Makes sure that the rules for actions are known, which right after the start they may not be. Without them actions are
/// refused, and nothing else.
pub(super) async fn prepare(services: &Services) {
    services.policies.first_look().await;
}

/// Checks a request for a job: its fields, the rules for actions, and its input against the type's
/// schema. Nothing is written here, and after it only Redis can refuse.
pub(super) fn admit(services: &Services, caller: &Caller, body: Json) -> Result<JobSpec, ApiError> {
    let workspace = caller.workspace()?;
    // An estimate bounds what clients may ask for; when a job is due is for Redis to say.
    let job = read_job(body, services.store.now_estimate())?;
    if job.input.as_str().len() > bounds::BODY {
        return Err(ApiError::new(ErrorCode::BodyTooLarge, format!("the job has more than {} bytes", bounds::BODY)));
    }
    let action = job.job_type.as_str();
    let is_action = services.registry.executor(action)?.info().is_action;
    if is_action {
        // Before its input is looked at: what is not allowed here need not tell what it takes.
        services.policies.accepts(Some(workspace), action)?;
    }
    let executor = services.registry.admit(action, &job.input_value)?;
    if is_action {
        services.policies.judge(workspace, action, &executor.facts(&job.input_value))?;
    }
    let info = executor.info();
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
        requester: is_action.then(|| caller.info.id.clone()),
        metadata: job.metadata,
        input: job.input,
        fingerprint: job.fingerprint,
        job_type: job.job_type,
        origin: caller.origin(),
    })
}
