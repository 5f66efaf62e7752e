//! Every job's changes of state as one stream of server-sent events, for those who operate.
//!
//! The id of an event is its place in the event stream of its job's shard, so a client that lost its connection
//! resumes by `Last-Event-ID`. Delivery is at-least-once. A client that is too slow, or comes back too late, is told
//! `reset`: what it missed is in the list of jobs.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::OwnedSemaphorePermit;

use crate::api::ErrorCode;
use crate::domain::{JobId, JobState, JobType, QueueName};
use crate::engine::{JobStep, Watch, Watched};
use crate::store::Scope;

use super::super::auth::{Caller, Permission, Tenure};
use super::super::error::ApiError;
use super::super::query::Query;
use super::super::state::HttpState;
use super::super::views;

const FILTERS: &[&str] = &["queue", "type", "state", "job"];

/// Which transitions a client wants. Empty fields do not filter.
struct Filter {
    scope: Scope,
    queue: Option<QueueName>,
    job_type: Option<JobType>,
    state: Option<JobState>,
    job: Option<JobId>,
}

impl Filter {
    fn of(caller: &Caller, query: Option<&str>) -> Result<Self, ApiError> {
        let query = Query::parse(query, FILTERS)?;
        Ok(Self {
            scope: caller.scope(),
            queue: query.parsed("queue", QueueName::new)?,
            job_type: query.parsed("type", JobType::new)?,
            state: query.parsed("state", |word| JobState::from_word(word).ok_or("is no state of a job"))?,
            job: query.parsed("job", str::parse)?,
        })
    }

    fn passes(&self, step: &JobStep) -> bool {
        self.scope.sees(&step.workspace)
            && self.queue.as_ref().is_none_or(|queue| *queue == step.queue)
            && self.job_type.as_ref().is_none_or(|name| *name == step.job_type)
            && self.state.is_none_or(|state| state == step.state)
            && self.job.is_none_or(|job| job == step.job)
    }
}

/// Watch the jobs of a workspace, or of all.
///
/// A `state` event per transition, with the job's type and queue, the state it left where that is known, and the reason
/// of a failure or a hold. First comes an `open` event, unless the client resumes by `Last-Event-ID`: from then on
/// nothing is missed. A `reset` event says that transitions were missed, because the client was too slow or came back
/// too late, or because Redis lost state; the list of jobs has what became of them. Reports of progress and text are
/// not told here; those are in the stream of each job.
///
/// A key for all workspaces sees the jobs of the workspace that it names; without one it sees all, for which it also
/// needs the scope `queue:operate`. The stream does not end by itself.
#[utoipa::path(
    get, path = "/ai/jobs/events", tag = "jobs", operation_id = "watch_jobs",
    params(
        ("queue" = Option<String>, Query, description = "Only jobs of this queue."),
        ("type" = Option<String>, Query, description = "Only jobs of this type."),
        ("state" = Option<String>, Query, description = "Only transitions to this state."),
        ("job" = Option<String>, Query, description = "Only this job, by its id."),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event seen."),
    ),
    responses(
        (status = 200, description = "Events: `state` carries a JobStep; `open` and `reset` an empty object.",
         body = String, content_type = "text/event-stream"),
    )
)]
pub(in crate::http) async fn stream(
    State(state): State<HttpState>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    caller.require(Permission::JobsRead)?;
    if caller.require_fleet(Permission::QueueOperate).is_err() {
        caller.workspace()?;
    }
    let filter = Filter::of(&caller, request.uri().query())?;
    let watcher = Watcher::begin(&state, caller, filter, last_event_id(request.headers())?).await?;
    let keep_alive = KeepAlive::new().interval(state.options().keep_alive).text("keep-alive");
    let mut response = Sse::new(events(watcher)).keep_alive(keep_alive).into_response();
    // Proxies that buffer would hold events back (nginx reads this header).
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// What a client is told.
enum Told {
    /// From here on nothing is missed; with the place.
    Open(String),
    /// Transitions were missed; with the place from which on they are told again.
    Reset(String),
    /// A transition.
    Step(Arc<JobStep>),
}

/// One client.
struct Watcher {
    state: HttpState,
    tenure: Tenure,
    filter: Filter,
    watch: Watch,
    ready: VecDeque<Watched>,
    /// Steps of the backlog, which the watch may bring again.
    told: HashSet<(JobId, String)>,
    open: Option<String>,
    _permit: OwnedSemaphorePermit,
}

impl Watcher {
    async fn begin(state: &HttpState, caller: Caller, filter: Filter, seen: Option<String>) -> Result<Self, ApiError> {
        let busy = |_| ApiError::new(ErrorCode::Overloaded, "too many streams").retry_after(Duration::from_secs(5));
        let permit = state.waiting().clone().try_acquire_owned().map_err(busy)?;
        let hub = state.watch_hub();
        // Subscribed first, read after: no transition falls between.
        let watch = hub.watch();
        let (ready, open) = match seen {
            Some(cursor) => (hub.since(&cursor).await?, None),
            None => (Vec::new(), Some(hub.place().await?)),
        };
        let steps = ready.iter().filter_map(|watched| match watched {
            Watched::Step(step) => Some((step.job, step.cursor.clone())),
            Watched::Reset => None,
        });
        Ok(Self {
            state: state.clone(),
            tenure: Tenure::of(caller),
            filter,
            watch,
            told: steps.collect(),
            ready: ready.into(),
            open,
            _permit: permit,
        })
    }

    /// `None` when the client has to come back: the server stops, the key was revoked, or Redis cannot be read.
    async fn next(&mut self) -> Option<Told> {
        if let Some(place) = self.open.take() {
            return Some(Told::Open(place));
        }
        loop {
            let (watched, is_backlog) = match self.ready.pop_front() {
                Some(watched) => (watched, true),
                None => (self.watched().await?, false),
            };
            match watched {
                Watched::Reset => return Some(Told::Reset(self.state.watch_hub().place().await.ok()?)),
                Watched::Step(step) if self.filter.passes(&step) => {
                    let again = !is_backlog && self.told.remove(&(step.job, step.cursor.clone()));
                    if !again {
                        return Some(Told::Step(step));
                    }
                }
                Watched::Step(_) => {}
            }
        }
    }

    async fn watched(&mut self) -> Option<Watched> {
        let Self { state, tenure, watch, .. } = self;
        while !tenure.is_over(state.auth()).await {
            // Nothing is lost when the wait for a step is given up for a look at the key.
            tokio::select! {
                watched = watch.next() => return watched,
                () = state.options().shutdown.cancelled() => return None,
                () = tokio::time::sleep_until(tenure.until()) => {}
            }
        }
        None
    }
}

fn events(watcher: Watcher) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(watcher, |mut watcher| async move {
        loop {
            let told = watcher.next().await?;
            // `None` for what is no JSON, which cannot be.
            let event = match &told {
                Told::Open(place) => Some(Event::default().event("open").id(place).data("{}")),
                Told::Reset(place) => Some(Event::default().event("reset").id(place).data("{}")),
                Told::Step(step) => Event::default().event("state").id(&step.cursor).json_data(views::step(step)).ok(),
            };
            if let Some(event) = event {
                return Some((Ok(event), watcher));
            }
        }
    })
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let plain = |text: &&str| {
        (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'~' | b'.'))
    };
    let refuse = || ApiError::at(ErrorCode::InvalidHeader, "Last-Event-ID", "is not an id of an event of this API");
    value.to_str().ok().filter(plain).map(|text| Some(text.to_owned())).ok_or_else(refuse)
}
