//! The transport under async-openai: one attempt, with status, headers and body kept.
//!
//! Handing the library its own transport has three purposes. Its built-in retry goes away. Errors
//! keep their HTTP status whatever the body looks like (the library loses it unless the body has
//! OpenAI's exact shape, which vLLM, OpenRouter, llama.cpp and xAI do not send). And nothing but
//! JSON of bounded size reaches the library, which would otherwise read without end and log whole
//! bodies that it cannot parse, prompts included.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use http::HeaderMap;
use serde_json::Value;
use tokio::time::timeout;

use super::provider::{Noted, Remaining};
use crate::clock;
use crate::executors::outbound::{BodyEnd, read_at_most, root_cause};
use crate::executors::retry_after::retry_after;

/// An error body is read up to here; what matters of it is at its start.
const ERROR_BODY_LIMIT: usize = 64 * 1024;

/// An answer is read up to here: a result may have 1 MiB, and JSON escapes can double it.
pub(super) const ANSWER_LIMIT: usize = 2 * 1024 * 1024;

/// How a call ended before there was a JSON answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The provider answered with another status than 2xx.
    #[error("the provider answered {0}")]
    Status(StatusReply),
    /// No connection was made.
    #[error("cannot connect to the provider: {0}")]
    Connect(String),
    /// The connection broke before or while the answer arrived.
    #[error("the connection to the provider broke: {0}")]
    Broken(String),
    /// The answer ended in the middle.
    #[error("the provider's answer broke off")]
    Truncated,
    /// No head of a response in time.
    #[error("the provider did not begin to answer within {0:?}")]
    NoFirstByte(Duration),
    /// The head of a stream came, and no token in time.
    #[error("the provider sent no token within {0:?}")]
    NoFirstToken(Duration),
    /// Silence in the middle of the answer.
    #[error("the provider's answer stalled for {0:?}")]
    Stalled(Duration),
    /// More bytes than any answer may have.
    #[error("the provider's answer is larger than {ANSWER_LIMIT} bytes")]
    TooLarge,
    /// A stream without end.
    #[error("the provider's stream is larger than {0} bytes")]
    StreamTooLarge(usize),
    /// A stream with more text than a result may have.
    #[error("the provider's answer has more text than a result may have")]
    TooMuchText,
    /// A 2xx whose body is not JSON.
    #[error("the provider's answer is not JSON")]
    NotJson,
    /// A chunk of a stream that is not JSON, or is no chunk.
    #[error("the provider sent a chunk that cannot be read")]
    Malformed,
    /// A stream that ended, or said it did, without a word that the answer is complete.
    #[error("the provider's stream ended without a finish_reason, so the answer may be incomplete")]
    Unfinished,
    /// The provider failed after it had begun to answer.
    #[error("the provider failed while it answered")]
    InStream(ErrorEvent),
    /// The attempt's time was up.
    #[error("the provider did not answer within the time of the attempt")]
    OutOfTime,
    /// The request could not be built.
    #[error("the request could not be built")]
    Request,
    /// Anything else of the library. Its own words carry bodies, so none is kept.
    #[error("the call to the provider failed")]
    Other,
}

impl From<OpenAIError> for CallError {
    fn from(error: OpenAIError) -> Self {
        match error {
            OpenAIError::Boxed(inner) => inner.downcast::<Self>().map_or(Self::Other, |error| *error),
            OpenAIError::InvalidArgument(_) => Self::Request,
            _ => Self::Other,
        }
    }
}

/// What a provider said of an error in the middle of a stream, in its dialect. May repeat prompts, so it is never
/// shown as a whole.
pub(super) struct ErrorEvent(pub(super) Value);

impl ErrorEvent {
    /// The error that an event of that name carries, JSON or not.
    pub(super) fn of(data: &[u8]) -> Self {
        let said: Value = serde_json::from_slice(data).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(data)));
        Self(serde_json::json!({"error": said}))
    }
}

impl fmt::Debug for ErrorEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErrorEvent")
    }
}

/// An answer other than 2xx, as it came.
pub(super) struct StatusReply {
    /// The HTTP status.
    pub(super) status: u16,
    /// What the provider asked for, clamped.
    pub(super) retry_after: Option<Duration>,
    /// At most 64 KiB of body; may repeat prompts, so it is never shown as a whole.
    pub(super) body: Vec<u8>,
}

impl fmt::Display for StatusReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)
    }
}

impl fmt::Debug for StatusReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatusReply({}, {} bytes)", self.status, self.body.len())
    }
}

/// The tower service that makes one attempt.
#[derive(Clone)]
pub(super) struct Capture {
    /// Without redirects, proxies and re-sends.
    pub(super) http: reqwest::Client,
    /// Bound on the wait for the head of the response.
    pub(super) first_byte: Duration,
    /// Bound on silence inside the body.
    pub(super) idle: Duration,
    /// Where the provider's word on its limits goes.
    pub(super) noted: Noted,
    /// Where the response of a streaming call goes, whole and unread, while the library gets `null` in its place.
    pub(super) aside: Option<Aside>,
}

/// A place for one response.
pub(super) type Aside = Arc<Mutex<Option<reqwest::Response>>>;

impl Capture {
    async fn attempt(&self, factory: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError> {
        let response = self.send(factory).await?;
        let Some(aside) = &self.aside else { return self.read(response).await.map_err(boxed) };
        *aside.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
        Ok(http::Response::new("null").into())
    }

    /// Makes one attempt; the answer is a 2xx whose body was not read yet.
    async fn send(&self, factory: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError> {
        let request = factory.build().await?;
        let response = match timeout(self.first_byte, self.http.execute(request)).await {
            Err(_) => return Err(boxed(CallError::NoFirstByte(self.first_byte))),
            Ok(Err(error)) => return Err(boxed(transport(&error))),
            Ok(Ok(response)) => response,
        };
        let status = response.status();
        *self.noted.lock().unwrap_or_else(PoisonError::into_inner) = left(response.headers());
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = retry_after(response.headers(), clock::wall());
        // However the body ends, the status decides.
        let (body, _) = read_at_most(response, ERROR_BODY_LIMIT, self.idle).await;
        Err(boxed(CallError::Status(StatusReply { status: status.as_u16(), retry_after, body })))
    }

    async fn read(&self, response: reqwest::Response) -> Result<reqwest::Response, CallError> {
        let status = response.status();
        let head = response.headers().clone();
        let (body, end) = read_at_most(response, ANSWER_LIMIT, self.idle).await;
        match end {
            BodyEnd::Complete => {}
            BodyEnd::Cut => return Err(CallError::TooLarge),
            BodyEnd::Broken => return Err(CallError::Truncated),
            BodyEnd::Stalled => return Err(CallError::Stalled(self.idle)),
        }
        if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
            return Err(CallError::NotJson);
        }
        let mut whole = http::Response::new(body);
        *whole.status_mut() = status;
        *whole.headers_mut() = head;
        Ok(whole.into())
    }
}

/// OpenAI's names, which xAI, Groq and others share. Azure may send `-1`: what is no count is absent.
fn left(head: &HeaderMap) -> Remaining {
    let count = |name: &str| head.get(name)?.to_str().ok()?.trim().parse().ok();
    (count("x-ratelimit-remaining-requests"), count("x-ratelimit-remaining-tokens"))
}

fn transport(error: &reqwest::Error) -> CallError {
    if error.is_connect() || error.is_dns() {
        return CallError::Connect(root_cause(error));
    }
    CallError::Broken(root_cause(error))
}

/// As the library passes it through.
pub(super) fn boxed(error: CallError) -> OpenAIError {
    OpenAIError::Boxed(Box::new(error))
}

impl tower::Service<HttpRequestFactory> for Capture {
    type Response = reqwest::Response;
    type Error = OpenAIError;
    type Future = Pin<Box<dyn Future<Output = Result<reqwest::Response, OpenAIError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, factory: HttpRequestFactory) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { this.attempt(factory).await })
    }
}
