//! Work that a message asked for: each piece is a future that brings what to say, and goes on until its job ended.

use std::pin::Pin;

use serde_json::value::RawValue;

use crate::api::ErrorCode;
use crate::api::job::FailureView;
use crate::api::json::Json;
use crate::api::ws::Reply;
use crate::domain::{Job, JobId, JobState};
use crate::store::{DeltaPlace, StoreError};

use super::super::admission::{admit, prepare};
use super::super::auth::{Caller, Permission};
use super::super::error::ApiError;
use super::super::follow::{Cursor, Follower, Text, Told, usage};
use super::super::state::HttpState;

/// A piece of work under way.
pub(super) type Work = Pin<Box<dyn Future<Output = Step> + Send>>;

/// What came of a piece of work.
pub(super) struct Step {
    pub(super) replies: Vec<Reply>,
    /// What is still followed.
    pub(super) following: Option<Box<Following>>,
}

impl Step {
    fn last(reply: Reply) -> Self {
        Self { replies: vec![reply], following: None }
    }
}

/// A job that is followed.
pub(super) struct Following {
    id: Option<String>,
    job: JobId,
    /// Whether the client gets its text, else its result.
    stream: bool,
    follower: Follower,
}

/// Makes a job, and follows it.
pub(super) async fn submit(state: HttpState, caller: Caller, id: Option<String>, stream: bool, document: Json) -> Step {
    let submitted = async {
        caller.require(Permission::JobsWrite)?;
        prepare(state.services()).await;
        let spec = admit(state.services(), &caller, document)?;
        Ok(state.services().submitter.submit(spec).await?)
    };
    let submitted = match submitted.await {
        Ok(submitted) => submitted,
        Err(error) => return Step::last(self::error(id, None, error)),
    };
    let accepted = Reply::Accepted {
        id: id.clone(),
        job: submitted.job.id.to_string(),
        client_request_id: submitted.job.request_id.to_string(),
        replayed: submitted.replayed,
    };
    let mut step = begin(&state, &caller, id, submitted.job.id, None, stream).await;
    step.replies.insert(0, accepted);
    step
}

/// Follows a job from the piece of text behind `after`.
pub(super) async fn attach(
    state: HttpState,
    caller: Caller,
    id: Option<String>,
    job: JobId,
    after: Option<u64>,
) -> Step {
    let place = match after.filter(|after| *after > 0) {
        None => Ok(None),
        Some(after) => place(&state, job, after).await.map(Some),
    };
    match place {
        Ok(text) => {
            let seen = text.map(|text| Cursor { event: String::new(), text: Some(text) });
            begin(&state, &caller, id, job, seen, true).await
        }
        Err(error) => Step::last(self::error(id, Some(job), error.into())),
    }
}

/// The place of a piece of text. A number that the stream does not have yet is of another stream, which ran out or was
/// lost: then everything is told.
async fn place(state: &HttpState, job: JobId, seq: u64) -> Result<DeltaPlace, StoreError> {
    let newest = state.services().store.of(job).newest_delta(job).await?;
    let made = newest.filter(|newest| seq <= newest.seq).map_or(0, |newest| newest.made);
    Ok(DeltaPlace { made, seq })
}

async fn begin(
    state: &HttpState,
    caller: &Caller,
    id: Option<String>,
    job: JobId,
    seen: Option<Cursor>,
    stream: bool,
) -> Step {
    let text = if stream { Text::Kept } else { Text::Not };
    match Follower::begin(state, caller, job, seen, text).await {
        Ok(Some(follower)) => {
            let following = Some(Box::new(Following { id, job, stream, follower }));
            Step { replies: Vec::new(), following }
        }
        Ok(None) => Step { replies: Vec::new(), following: None },
        Err(error) => Step::last(self::error(id, Some(job), error)),
    }
}

/// Cancels a job. Whoever follows it hears of its end.
pub(super) async fn cancel(state: HttpState, caller: Caller, id: Option<String>, job: JobId) -> Step {
    let cancelled = async {
        caller.require(Permission::JobsWrite)?;
        Ok(state.services().control.cancel(&caller.scope(), job, caller.name()).await?)
    };
    Step::last(match cancelled.await {
        Ok(job) => done(id, job.id, job.state, Some(&job)),
        Err(error) => self::error(id, Some(job), error),
    })
}

impl Following {
    /// What happens next to the job.
    pub(super) async fn step(mut self: Box<Self>) -> Step {
        loop {
            let Some(told) = self.follower.next().await else {
                let detail = "the job can be followed no further; attach to it again";
                let error = ApiError::new(ErrorCode::RedisUnavailable, detail);
                return Step::last(self::error(self.id, Some(self.job), error));
            };
            let reply = match told {
                Told::Text(delta) => Reply::Stream {
                    id: self.id.clone(),
                    job: self.job.to_string(),
                    attempt: delta.attempt,
                    seq: delta.place.seq,
                    text: delta.text,
                    truncated: delta.truncated,
                },
                Told::StartsOver(attempt) => Reply::Reset { id: self.id.clone(), job: self.job.to_string(), attempt },
                Told::Job(job) | Told::Missed(job) if job.state.is_terminal() => {
                    return self.end(job.state, Some(&job));
                }
                Told::State(event, job) if event.state.is_terminal() => return self.end(event.state, job.as_deref()),
                Told::Job(_) | Told::Missed(_) | Told::State(..) => continue,
            };
            return Step { replies: vec![reply], following: Some(self) };
        }
    }

    fn end(self: Box<Self>, state: JobState, job: Option<&Job>) -> Step {
        let result = job.and_then(|job| job.result.as_ref()).filter(|_| !self.stream);
        let result = result.and_then(|result| RawValue::from_string(result.as_str().to_owned()).ok());
        let response = result.map(|result| Reply::Response { id: self.id.clone(), job: self.job.to_string(), result });
        let replies = response.into_iter().chain([done(self.id, self.job, state, job)]).collect();
        Step { replies, following: None }
    }
}

fn done(id: Option<String>, job_id: JobId, state: JobState, job: Option<&Job>) -> Reply {
    let failure = job.filter(|_| state != JobState::Succeeded).and_then(|job| job.failure.as_ref());
    Reply::Done {
        id,
        job: job_id.to_string(),
        state: state.to_string(),
        usage: job.and_then(usage),
        failure: failure.map(FailureView::from),
    }
}

/// An error as a message.
pub(super) fn error(id: Option<String>, job: Option<JobId>, error: ApiError) -> Reply {
    let problem = error.into_problem();
    Reply::Error { id, job: job.map(|job| job.to_string()), code: problem.code, detail: problem.detail }
}
