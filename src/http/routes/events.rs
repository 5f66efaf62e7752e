//! A job's changes of state and its text as server-sent events.
//!
//! The id of an event is its place in the event stream of its job's shard, and once text was told, behind a dot the
//! place in the job's own stream. So a client that lost its connection resumes by `Last-Event-ID`. What the event
//! stream no longer holds is replaced by one `reset` event with the job as it is. Delivery is at-least-once: a state may
//! be told twice; text is told once.

use std::convert::Infallible;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::api::ErrorCode;
use crate::api::event::DeltaResetView;
use crate::api::job::JobView;
use crate::domain::JobId;

use super::super::auth::{Caller, Permission};
use super::super::error::ApiError;
use super::super::follow::{Cursor, Follower, Text, Told};
use super::super::state::HttpState;
use super::super::views;
use super::{Param, job_id};

/// Follow a job until it ends.
///
/// First comes a `job` event with the job as it is, or, when resuming by `Last-Event-ID`, what
/// happened since; then a `state` event per transition, and per report of progress. A `reset` event carries the whole job and
/// replaces events that were missed.
///
/// Text of a streaming answer comes as `delta` events, in order and without a gap. A `delta_reset` event says that all
/// text so far is void, because a later attempt, or the same one, began its answer anew. A delta with
/// `"truncated": true` says that text was left out: the result has all of it. The terminal `state` event comes after
/// all text, and carries the result's `usage` if there is one.
///
/// The stream ends after a terminal state; a client that comes back after that gets 204.
#[utoipa::path(
    get, path = "/ai/jobs/{id}/events", tag = "jobs", operation_id = "follow_job",
    params(
        ("id" = String, Path, description = "The job's id."),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event seen."),
    ),
    responses(
        (status = 200, description = "Events: `job` and `reset` carry a Job, `state` a JobEvent, `delta` a JobDelta, \
         `delta_reset` a JobDeltaReset.",
         body = String, content_type = "text/event-stream"),
        (status = 204, description = "The job has ended, and the client has seen its end."),
    )
)]
pub(in crate::http) async fn stream(
    State(state): State<HttpState>,
    caller: Caller,
    id: Param,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.require(Permission::JobsRead)?;
    let id = job_id(id)?;
    let seen = last_event_id(&headers)?;
    let Some(follower) = Follower::begin(&state, &caller, id, seen, Text::Live).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let keep_alive = KeepAlive::new().interval(state.options().keep_alive).text("keep-alive");
    let mut response = Sse::new(events(follower, id)).keep_alive(keep_alive).into_response();
    // Proxies that buffer would hold events back (nginx reads this header).
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

fn events(follower: Follower, id: JobId) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(follower, move |mut follower| async move {
        loop {
            let told = follower.next().await?;
            if let Some(event) = event(&told, follower.cursor(), id) {
                return Some((Ok(event), follower));
            }
        }
    })
}

/// `None` for what is no JSON, which cannot be.
fn event(told: &Told, cursor: &Cursor, id: JobId) -> Option<Event> {
    let named = |name: &str| Event::default().event(name);
    match told {
        Told::Job(job) => named("job").json_data(JobView::from(&**job)),
        Told::Missed(job) => named("reset").json_data(JobView::from(&**job)),
        Told::State(event, job) => named("state").id(cursor.to_string()).json_data(views::event(event, job.as_deref())),
        Told::Text(delta) => named("delta").id(cursor.to_string()).json_data(views::delta(id, delta)),
        Told::StartsOver(attempt) => {
            named("delta_reset").json_data(DeltaResetView { job_id: id.to_string(), attempt: *attempt })
        }
    }
    .ok()
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Cursor>, ApiError> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let plain = |text: &&str| {
        (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'~' | b'.'))
    };
    let cursor = value.to_str().ok().filter(plain).and_then(Cursor::parse);
    let refuse = || ApiError::at(ErrorCode::InvalidHeader, "Last-Event-ID", "is not an id of an event of this API");
    cursor.map(Some).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_of_events_are_taken_for_resuming() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("last-event-id", HeaderValue::from_static(text));
            last_event_id(&headers).map(|id| id.map(|id| id.to_string())).ok()
        };
        assert_eq!(of("e1-1700000000000-3"), Some(Some("e1-1700000000000-3".into())));
        assert_eq!(of("e1-1700000000000-3.17-4"), Some(Some("e1-1700000000000-3.17-4".into())));
        assert_eq!(of("e1-1700000000000-3.17"), None);
        assert_eq!(of(""), None);
        assert_eq!(of("* +"), None);
        assert_eq!(last_event_id(&HeaderMap::new()).ok(), Some(None));
    }
}
