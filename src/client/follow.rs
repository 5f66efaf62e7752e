//! Following a job: what its event stream says, over as many connections as it takes.

use reqwest::{Method, Response, StatusCode};

use super::sse::{SseEvent, SseReader};
use super::{Client, ClientError};
use crate::domain::JobId;

/// A stream is asked for this long at the most; then it is resumed.
const AT_ONCE: std::time::Duration = std::time::Duration::from_secs(600);

/// Between two connections: a server that ends each at once must not be stormed.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(250);

/// One event of a job.
#[derive(Clone, PartialEq, Eq)]
pub struct JobEvent {
    /// `job`, `state`, `delta`, `delta_reset` or `reset`.
    pub name: String,
    /// Its data, JSON.
    pub data: String,
}

/// The events of a job, from where it stands until its end.
pub struct Follow {
    client: Client,
    job: JobId,
    response: Option<Response>,
    reader: SseReader,
    ended: bool,
}

impl Client {
    /// Follows a job. Nothing is sent before the first [`Follow::next`].
    #[must_use]
    pub fn follow(&self, job: JobId) -> Follow {
        Follow { client: self.clone(), job, response: None, reader: SseReader::default(), ended: false }
    }
}

impl Follow {
    /// The next event; `None` after the job's end. A connection that breaks is made anew, and the stream goes on after
    /// the last event.
    ///
    /// # Errors
    /// When the job cannot be read, or the server stays away.
    pub async fn next(&mut self) -> Result<Option<JobEvent>, ClientError> {
        loop {
            if let Some(SseEvent { name, data }) = self.reader.take() {
                let event = JobEvent { name, data };
                self.ended = event.is_last();
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            if self.reader.is_endless() {
                return Err(self.client.unexpected(200, "an event without end".to_owned()));
            }
            let Some(response) = &mut self.response else {
                if !self.connect().await? {
                    return Ok(None);
                }
                continue;
            };
            match response.chunk().await {
                Ok(Some(piece)) => self.reader.push(&piece),
                Ok(None) | Err(_) => {
                    self.response = None;
                    self.reader.hang_up();
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// False when there is nothing more to tell.
    async fn connect(&mut self) -> Result<bool, ClientError> {
        let url = self.client.url(&["ai", "jobs", &self.job.to_string(), "events"], &[]);
        let mut request = self.client.request(Method::GET, url)?.timeout(AT_ONCE);
        if let Some(id) = self.reader.last_id() {
            request = request.header("last-event-id", id);
        }
        let response = self.client.send_repeatable(&request).await?;
        let more = response.status() != StatusCode::NO_CONTENT;
        self.response = Some(response).filter(|_| more);
        Ok(more)
    }
}

impl JobEvent {
    /// A field of the data, if it is a text.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<String> {
        let data: serde_json::Value = serde_json::from_str(&self.data).ok()?;
        data.get(field)?.as_str().map(str::to_owned)
    }

    /// Whether the job has ended with it.
    fn is_last(&self) -> bool {
        let state = self.text("state").filter(|_| self.name != "delta").unwrap_or_default();
        crate::domain::JobState::from_word(&state).is_some_and(crate::domain::JobState::is_terminal)
    }
}

impl std::fmt::Debug for JobEvent {
    /// The data may be a completion.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobEvent").field("name", &self.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Follow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follow").field("job", &self.job).finish_non_exhaustive()
    }
}
