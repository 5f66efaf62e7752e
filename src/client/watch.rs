//! Watching the jobs of a workspace, or of all, over as many connections as it takes.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use reqwest::{Method, Response};

use super::sse::{SseEvent, SseReader};
use super::{Client, ClientError};
use crate::api::event::StepView;

/// A stream is asked for this long at the most; then it is resumed.
const AT_ONCE: Duration = Duration::from_secs(3600);
/// The server says something at least every 15 s; a connection that is silent for this long is dead.
const SILENCE: Duration = Duration::from_secs(50);
/// Between two tries to connect again.
const AGAIN: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(250))
    .with_max_delay(Duration::from_secs(10))
    .with_factor(2.0)
    .without_max_times()
    .with_jitter();

/// Which transitions to watch. Empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub struct WatchFilter {
    /// On this queue.
    pub queue: Option<String>,
    /// Of this type.
    pub job_type: Option<String>,
    /// To this state.
    pub state: Option<String>,
    /// Of this job.
    pub job: Option<String>,
}

impl WatchFilter {
    fn query(&self) -> Vec<(&'static str, String)> {
        let texts = [("queue", &self.queue), ("type", &self.job_type), ("state", &self.state), ("job", &self.job)];
        texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?))).collect()
    }
}

/// What happens while watching.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    /// From here on nothing is missed.
    Open,
    /// A transition.
    Step(Box<StepView>),
    /// Transitions were missed; the list of jobs has what became of them.
    Reset,
    /// The connection broke, for this reason; it is made again.
    Lost(String),
    /// It is there again, and goes on after the last event.
    Back,
}

/// Transitions of jobs, without an end.
pub struct WatchJobs {
    client: Client,
    filter: WatchFilter,
    response: Option<Response>,
    reader: SseReader,
    backoff: ExponentialBackoff,
    /// Whether there was a connection before.
    was_open: bool,
    /// Whether the break was told.
    is_lost: bool,
}

impl Client {
    /// Watches jobs. Nothing is sent before the first [`WatchJobs::next`].
    #[must_use]
    pub fn watch(&self, filter: WatchFilter) -> WatchJobs {
        WatchJobs {
            client: self.clone(),
            filter,
            response: None,
            reader: SseReader::default(),
            backoff: AGAIN.build(),
            was_open: false,
            is_lost: false,
        }
    }
}

impl WatchJobs {
    /// What happens next. A connection that breaks is made again, for as long as it takes.
    ///
    /// # Errors
    /// When the first connection cannot be made, and when the server refuses one.
    pub async fn next(&mut self) -> Result<WatchEvent, ClientError> {
        loop {
            if let Some(event) = self.reader.take() {
                self.backoff = AGAIN.build();
                match read(&event) {
                    Some(event) => return Ok(event),
                    None => continue,
                }
            }
            if self.reader.is_endless() {
                return Err(self.client.unexpected(200, "an event without end".to_owned()));
            }
            let Some(response) = &mut self.response else {
                match self.connect().await? {
                    Some(event) => return Ok(event),
                    None => continue,
                }
            };
            let broken = match tokio::time::timeout(SILENCE, response.chunk()).await {
                Ok(Ok(Some(piece))) => {
                    self.reader.push(&piece);
                    continue;
                }
                Ok(Ok(None)) => "the server ended the stream".to_owned(),
                Ok(Err(error)) => super::error::root_cause(&error),
                Err(_) => "the connection is silent".to_owned(),
            };
            self.response = None;
            self.reader.hang_up();
            if let Some(event) = self.lost(broken) {
                return Ok(event);
            }
        }
    }

    /// Tells a break one time.
    fn lost(&mut self, reason: String) -> Option<WatchEvent> {
        (!std::mem::replace(&mut self.is_lost, true)).then_some(WatchEvent::Lost(reason))
    }

    async fn connect(&mut self) -> Result<Option<WatchEvent>, ClientError> {
        if self.was_open {
            // A server that ends each connection at once must not be stormed.
            tokio::time::sleep(self.backoff.next().unwrap_or_default()).await;
        }
        let url = self.client.url(&["ai", "jobs", "events"], &self.filter.query());
        let mut request = self.client.request(Method::GET, url)?.timeout(AT_ONCE);
        if let Some(id) = self.reader.last_id() {
            request = request.header("last-event-id", id);
        }
        match self.client.send_repeatable(&request).await {
            Ok(response) => {
                self.response = Some(response);
                self.was_open = true;
                Ok(std::mem::take(&mut self.is_lost).then_some(WatchEvent::Back))
            }
            // A server that is away may come back; one that refuses says so.
            Err(error @ (ClientError::Unreachable { .. } | ClientError::Unexpected { .. })) if self.was_open => {
                Ok(self.lost(error.to_string()))
            }
            Err(ClientError::Problem(problem)) if self.was_open && problem.status >= 500 => {
                Ok(self.lost(problem.detail))
            }
            Err(error) => Err(error),
        }
    }
}

/// Events of a newer server are passed over.
fn read(event: &SseEvent) -> Option<WatchEvent> {
    match event.name.as_str() {
        "open" => Some(WatchEvent::Open),
        "reset" => Some(WatchEvent::Reset),
        "state" => serde_json::from_str(&event.data).ok().map(|step| WatchEvent::Step(Box::new(step))),
        _ => None,
    }
}

impl std::fmt::Debug for WatchJobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchJobs").field("filter", &self.filter).finish_non_exhaustive()
    }
}
