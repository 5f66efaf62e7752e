//! A job's changes of state as server-sent events.
//!
//! The id of an event is its place in the event stream of its job's shard, so a client that lost its
//! connection resumes by `Last-Event-ID`. What the stream no longer holds is replaced by one
//! `reset` event with the job as it is. Delivery is at-least-once: a state may be told twice.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use crate::api::ErrorCode;
use crate::api::job::JobView;
use crate::domain::{Job, JobId};
use crate::engine::{Delivery, JobEvent, Subscription};

use super::super::auth::{Caller, Permission, cache};
use super::super::error::ApiError;
use super::super::state::HttpState;
use super::super::views;
use super::jobs::read;
use super::{Param, job_id};

/// Follow a job until it ends.
///
/// First comes a `job` event with the job as it is, or, when resuming by `Last-Event-ID`, what
/// happened since; then a `state` event per transition, and per report of progress. A `reset` event carries the whole job and
/// replaces events that were missed. The stream ends after a terminal state; a client that comes
/// back after that gets 204.
#[utoipa::path(
    get, path = "/ai/jobs/{id}/events", tag = "jobs", operation_id = "follow_job",
    params(
        ("id" = String, Path, description = "The job's id."),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event seen."),
    ),
    responses(
        (status = 200, description = "Events: `job` and `reset` carry a Job, `state` a JobEvent.",
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
    let busy = |_| ApiError::new(ErrorCode::Overloaded, "too many streams").retry_after(Duration::from_secs(5));
    let permit = state.waiting().clone().try_acquire_owned().map_err(busy)?;
    // Subscribed first, read after: no transition falls between.
    let subscription = state.services().hub.subscribe(id);
    let job = read(&state, &caller.scope(), id).await?;
    let mut feed = Feed::new(state.clone(), caller, id, subscription, permit);
    match seen {
        None => feed.push_job("job", &job),
        Some(cursor) => {
            for delivery in state.services().hub.since(id, cursor).await? {
                feed.push(&delivery, &job);
            }
            if feed.ready.is_empty() && job.state.is_terminal() {
                return Ok(StatusCode::NO_CONTENT.into_response());
            }
        }
    }
    let keep_alive = KeepAlive::new().interval(state.options().keep_alive).text("keep-alive");
    let mut response = Sse::new(feed.into_stream()).keep_alive(keep_alive).into_response();
    // Proxies that buffer would hold events back (nginx reads this header).
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let plain = |text: &&str| {
        (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'~'))
    };
    let text = value.to_str().ok().filter(plain);
    let refuse = || ApiError::at(ErrorCode::InvalidHeader, "Last-Event-ID", "is not an id of an event of this API");
    text.map(Some).ok_or_else(refuse)
}

/// One client's stream.
struct Feed {
    state: HttpState,
    caller: Caller,
    id: JobId,
    subscription: Subscription,
    ready: VecDeque<Event>,
    /// Cursors told from the backlog, which the subscription may bring again.
    told: HashSet<String>,
    /// Whether the stream ends once `ready` is empty.
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    fn new(
        state: HttpState,
        caller: Caller,
        id: JobId,
        subscription: Subscription,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let (ready, told) = (VecDeque::new(), HashSet::new());
        Self { state, caller, id, subscription, ready, told, ended: false, _permit: permit }
    }

    fn push_job(&mut self, name: &str, job: &Job) {
        self.ready.extend(Event::default().event(name).json_data(JobView::from(job)).ok());
        self.ended = job.state.is_terminal();
    }

    /// Takes a delivery of the backlog; `job` is the job as it is now.
    fn push(&mut self, delivery: &Delivery, job: &Job) {
        match delivery {
            Delivery::Reset => self.push_job("reset", job),
            Delivery::Event(event) => {
                self.told.insert(event.cursor.clone());
                self.push_event(event);
            }
        }
    }

    fn push_event(&mut self, event: &JobEvent) {
        let told = Event::default().id(&event.cursor).event("state").json_data(views::event(event));
        self.ready.extend(told.ok());
        self.ended = event.state.is_terminal();
    }

    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut feed| async move {
            while feed.ready.is_empty() {
                if feed.ended {
                    return None;
                }
                feed.advance().await?;
            }
            feed.ready.pop_front().map(|event| (Ok(event), feed))
        })
    }

    /// Waits for the next delivery; `None` when the stream has to end: the server stops, the key
    /// was revoked, or Redis cannot be read (the client comes back and resumes).
    async fn advance(&mut self) -> Option<()> {
        match self.delivery().await? {
            Delivery::Event(event) => {
                if !self.told.remove(&event.cursor) {
                    self.push_event(&event);
                }
            }
            Delivery::Reset => {
                let job = read(&self.state, &self.caller.scope(), self.id).await.ok()?;
                self.push_job("reset", &job);
            }
        }
        Some(())
    }

    async fn delivery(&mut self) -> Option<Delivery> {
        let Self { state, caller, subscription, .. } = self;
        // The future is kept over the checks: dropping it could lose what it was about to return.
        let next = subscription.next();
        tokio::pin!(next);
        loop {
            tokio::select! {
                delivery = &mut next => return delivery,
                () = state.options().shutdown.cancelled() => return None,
                () = tokio::time::sleep(cache::LIFE) => {
                    if caller.is_revoked(state.auth()).await {
                        return None;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_of_events_are_taken_for_resuming() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("last-event-id", HeaderValue::from_static(text));
            last_event_id(&headers).map(|id| id.map(str::to_owned)).ok()
        };
        assert_eq!(of("e1-1700000000000-3"), Some(Some("e1-1700000000000-3".into())));
        assert_eq!(of(""), None);
        assert_eq!(of("* +"), None);
        assert_eq!(last_event_id(&HeaderMap::new()).ok(), Some(None));
    }
}
