//! One file per resource; each handler checks, calls the engine and translates.

pub(super) mod actions;
pub(super) mod batch;
pub(super) mod controls;
pub(super) mod credentials;
pub(super) mod dead;
pub(super) mod docs;
pub(super) mod events;
pub(super) mod health;
pub(super) mod health_detailed;
pub(super) mod held;
pub(super) mod jobs;
pub(super) mod keys;
pub(super) mod operations;
pub(super) mod providers;
pub(super) mod queues;
pub(super) mod scaling;
pub(super) mod types;
pub(super) mod usage;
pub(super) mod watch;
pub(super) mod workers;
pub(super) mod workspaces;
pub(super) mod ws;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;

use crate::domain::JobId;

use super::error::ApiError;

/// A path parameter, or why it could not be read (bytes that are not UTF-8).
type Param = Result<Path<String>, PathRejection>;

/// The largest body of a command to something other than a job.
const COMMAND: usize = 16 * 1024;

/// The job that a path names. Text that is no id names no job.
fn job_id(path: Param) -> Result<JobId, ApiError> {
    path.ok().and_then(|Path(text)| text.parse().ok()).ok_or_else(ApiError::no_job)
}
