//! A chat completion that is read while it is written.
//!
//! The library makes the request; the stream is read here. Its own reader takes a stream that ends early for a whole
//! one, goes on after an error, hides `[DONE]`, queues without bound, and logs what it cannot parse.
//!
//! What counts is progress: a token, a thought, a piece of a tool call. A provider that sends only comments to keep
//! the connection open gets more time than a silent one, and not without end.

use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::traits::RequestOptionsBuilder;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::clock::{self, Instant};

use super::assemble::{Assembly, ChunkFault};
use super::capture::{ANSWER_LIMIT, Aside, CallError, Capture, ErrorEvent, boxed};
use super::endpoint::Endpoint;
use super::sse::{Events, Item, TooLong};

/// A stream is cut here. A chunk is some 300 bytes around a token of 4, so an answer of the largest size, 1 MiB, may
/// take 75 MiB; nothing of it but its text is held.
const STREAM_LIMIT: usize = 96 * 1024 * 1024;

/// A provider that sends only signs of life in the middle of an answer gets this many times the time of a silent one.
const SIGNS_OF_LIFE: u32 = 6;

/// After the end of the answer the usage may still come, and is not worth more waiting than this.
const TAIL: Duration = Duration::from_secs(3);

/// After `[DONE]` the connection is kept for the next call if the response ends within this.
const LINGER: Duration = Duration::from_millis(100);

/// How long a stream may keep one waiting. The bound of the whole is the job's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From the call to the first token, connecting included.
    pub(super) first_token: Duration,
    /// Silence in the middle of the answer.
    pub(super) idle: Duration,
}

/// Where a call goes, and as whom.
pub(super) struct Call<'a> {
    /// The provider.
    pub(super) endpoint: &'a Endpoint,
    /// The transport.
    pub(super) door: Capture,
    /// `x-client-request-id`.
    pub(super) trace: &'a str,
    /// The deadlines.
    pub(super) patience: Patience,
}

/// A stream that did not come to its end.
pub(super) struct Broken {
    /// What happened.
    pub(super) error: CallError,
    /// Bytes of output that came, reasoning and arguments of tools included: providers bill for them.
    pub(super) output: usize,
}

/// Streams one chat completion: each piece of text goes to `on_text` as it comes. The answer is the same as without
/// streaming; it may be an error that the provider sent in place of a stream. Dropping the future closes the
/// connection.
///
/// # Errors
/// When the provider refuses, breaks off, stalls or sends what is no stream of an answer.
pub(super) async fn complete(
    call: &Call<'_>,
    mut request: Value,
    on_text: &mut (dyn FnMut(&str) + Send),
) -> Result<Value, Broken> {
    request["stream"] = true.into();
    request["stream_options"] = json!({"include_usage": true});
    let mut reading = Reading::new(call.patience);
    let ended = match open(call, request).await {
        Ok(response) => {
            let mut body = std::pin::pin!(response.bytes_stream());
            reading.read(&mut body, on_text).await
        }
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => Ok(reading.answer),
        Err(error) => {
            let output = reading.assembly.output();
            Err(Broken { error, output })
        }
    }
}

/// Sends the request; the answer's body has yet to come.
async fn open(call: &Call<'_>, request: Value) -> Result<reqwest::Response, OpenAIError> {
    // The library reads whole bodies or streams in its own way, so the response leaves it at its transport. A client
    // per call costs a few allocations, and no response can come to another call.
    let aside = Aside::default();
    let door = Capture { aside: Some(Arc::clone(&aside)), ..call.door.clone() };
    let client = async_openai::Client::build(door.http.clone(), call.endpoint.clone()).with_http_service(door);
    let chat = client.chat().header("x-client-request-id", call.trace)?;
    chat.create_byot::<Value, Value>(request).await?;
    let response = aside.lock().unwrap_or_else(PoisonError::into_inner).take();
    response.ok_or_else(|| boxed(CallError::Truncated))
}

/// What a body turned out to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Unknown,
    Events,
    /// One JSON document: an error under status 200, or a provider that does not stream.
    Json,
}

struct Reading {
    patience: Patience,
    form: Form,
    events: Events,
    assembly: Assembly,
    json: Vec<u8>,
    answer: Value,
    began: Instant,
    /// The first token.
    first: Option<Instant>,
    /// The last byte.
    alive: Instant,
    /// The last progress.
    progress: Instant,
    /// The provider's word that the answer is complete.
    finished: Option<Instant>,
    bytes: usize,
}

impl Reading {
    fn new(patience: Patience) -> Self {
        let now = clock::now();
        Self {
            patience,
            form: Form::Unknown,
            events: Events::default(),
            assembly: Assembly::default(),
            json: Vec::new(),
            answer: Value::Null,
            began: now,
            first: None,
            alive: now,
            progress: now,
            finished: None,
            bytes: 0,
        }
    }

    async fn read<S>(&mut self, body: &mut S, on_text: &mut (dyn FnMut(&str) + Send)) -> Result<(), CallError>
    where
        S: Stream<Item = reqwest::Result<Bytes>> + Unpin + Send,
    {
        loop {
            let (until, late) = self.deadline();
            match timeout(until.saturating_duration_since(clock::now()), body.next()).await {
                // What came after the end was only to be the usage.
                Err(_) | Ok(Some(Err(_))) if self.finished.is_some() => break,
                Err(_) => return Err(late),
                Ok(Some(Err(_))) => return Err(CallError::Truncated),
                Ok(None) => return self.end(on_text),
                Ok(Some(Ok(piece))) => {
                    if self.take(&piece, on_text)? {
                        drop(linger(body.next()).await);
                        break;
                    }
                }
            }
        }
        self.conclude()
    }

    /// Until when something must come, and what it means if nothing does.
    fn deadline(&self) -> (Instant, CallError) {
        let Patience { first_token, idle } = self.patience;
        if let Some(finished) = self.finished {
            return (finished + TAIL.min(idle), CallError::Stalled(TAIL));
        }
        if self.first.is_none() {
            return (self.began + first_token, CallError::NoFirstToken(first_token));
        }
        let (silence, patience) = (self.alive + idle, idle.saturating_mul(SIGNS_OF_LIFE));
        let standstill = self.progress + patience;
        if silence <= standstill {
            (silence, CallError::Stalled(idle))
        } else {
            (standstill, CallError::Stalled(patience))
        }
    }

    /// Takes bytes; true at `[DONE]`.
    fn take(&mut self, piece: &[u8], on_text: &mut (dyn FnMut(&str) + Send)) -> Result<bool, CallError> {
        self.alive = clock::now();
        self.bytes = self.bytes.saturating_add(piece.len());
        if self.bytes > STREAM_LIMIT {
            return Err(CallError::StreamTooLarge(STREAM_LIMIT));
        }
        let mut piece = piece;
        if self.form == Form::Unknown {
            piece = piece.strip_prefix(b"\xef\xbb\xbf").unwrap_or(piece).trim_ascii_start();
            self.form = match piece.first() {
                None => return Ok(false),
                Some(b'{' | b'[') => Form::Json,
                Some(b'<') => return Err(CallError::NotJson),
                Some(_) => Form::Events,
            };
        }
        if self.form == Form::Json {
            if self.json.len() + piece.len() > ANSWER_LIMIT {
                return Err(CallError::TooLarge);
            }
            self.json.extend_from_slice(piece);
            self.moved();
            return Ok(false);
        }
        self.events.push(piece).map_err(|TooLong| CallError::TooMuchText)?;
        while let Some(item) = self.events.next() {
            if self.item(item, on_text)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn item(&mut self, item: Item, on_text: &mut (dyn FnMut(&str) + Send)) -> Result<bool, CallError> {
        let data = self.events.data();
        match item {
            Item::KeepAlive => return Ok(false),
            Item::Event if data == b"[DONE]" => return Ok(true),
            Item::Event if data.is_empty() => return Ok(false),
            Item::Event | Item::Error => {}
        }
        let progress = self.assembly.take(data, on_text);
        match progress {
            Ok(_) if item == Item::Error => return Err(CallError::InStream(ErrorEvent::of(data))),
            Ok(true) => self.moved(),
            Ok(false) => {}
            Err(ChunkFault::Malformed) if item == Item::Error => {
                return Err(CallError::InStream(ErrorEvent::of(data)));
            }
            Err(ChunkFault::Malformed) => return Err(CallError::Malformed),
            Err(ChunkFault::Error(said)) => return Err(CallError::InStream(said)),
            Err(ChunkFault::TooLarge) => return Err(CallError::TooMuchText),
        }
        if self.finished.is_none() && self.assembly.finished() {
            self.finished = Some(self.alive);
        }
        Ok(false)
    }

    fn moved(&mut self) {
        self.progress = self.alive;
        self.first.get_or_insert(self.alive);
    }

    /// The provider closed the stream.
    fn end(&mut self, on_text: &mut (dyn FnMut(&str) + Send)) -> Result<(), CallError> {
        if self.form == Form::Json {
            self.answer = serde_json::from_slice(&self.json).map_err(|_| CallError::NotJson)?;
            let text = self.answer.pointer("/choices/0/message/content").and_then(Value::as_str).unwrap_or_default();
            on_text(text);
            return Ok(());
        }
        if let Some(item) = self.events.last() {
            match self.item(item, on_text) {
                // Half a chunk at the end is no broken chunk but a broken stream.
                Err(CallError::Malformed) | Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
        self.conclude()
    }

    fn conclude(&mut self) -> Result<(), CallError> {
        if self.finished.is_none() {
            return Err(CallError::Unfinished);
        }
        self.answer = std::mem::take(&mut self.assembly).into_answer();
        Ok(())
    }
}

/// Waits for the end of a response that has said all, so that its connection can be used again.
async fn linger<T>(end: impl Future<Output = T>) -> Option<T> {
    timeout(LINGER, end).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { first_token: Duration::from_secs(60), idle: Duration::from_secs(20) };

    /// The text passed on, and the answer or how the stream ended.
    async fn read(pieces: Vec<Bytes>) -> (String, Result<Value, CallError>) {
        let mut reading = Reading::new(PATIENCE);
        let mut text = String::new();
        let mut body = futures_util::stream::iter(pieces.into_iter().map(Ok));
        let ended = reading.read(&mut body, &mut |piece: &str| text.push_str(piece)).await;
        (text, ended.map(|()| reading.answer))
    }

    fn event(chunk: &Value) -> String {
        format!("data: {chunk}\n\n")
    }

    #[tokio::test]
    async fn a_stream_is_the_same_however_the_network_cuts_it() {
        let part = |text: &str| event(&json!({"choices": [{"delta": {"content": text}}]}));
        let end = event(&json!({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}));
        let whole = format!("\u{feff}\n: hello\n\n{}{}{end}data: [DONE]\n\nrubbish", part("grün "), part("🦀"));
        for size in [1, 2, 7, 64, 1000] {
            let pieces = whole.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
            let (text, answer) = read(pieces).await;
            let answer = answer.unwrap();
            assert_eq!((text.as_str(), &answer["usage"]["prompt_tokens"]), ("grün 🦀", &json!(1)), "{size} at a time");
            assert_eq!(answer["choices"][0]["message"]["content"], "grün 🦀");
        }
    }

    #[tokio::test]
    async fn more_than_any_stream_may_have_is_not_read() {
        let (_, ended) = read(vec![Bytes::from(vec![b'\n'; STREAM_LIMIT + 1])]).await;
        assert!(matches!(ended, Err(CallError::StreamTooLarge(STREAM_LIMIT))));
        let event = Bytes::from("data: ".repeat(200_000));
        let (_, ended) = read(vec![event; 3]).await;
        assert!(matches!(ended, Err(CallError::TooMuchText)));
    }

    #[test]
    fn signs_of_life_lengthen_patience_and_only_so_far() {
        let mut reading = Reading::new(PATIENCE);
        let start = reading.began;
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        reading.alive = at(50);
        assert_eq!(reading.deadline().0, at(60), "before the first token they do not count");
        (reading.first, reading.progress) = (Some(at(50)), at(50));
        assert_eq!(reading.deadline().0, at(70));
        reading.alive = at(169);
        assert_eq!(reading.deadline().0, at(170), "six times the patience after the last progress");
        reading.finished = Some(at(100));
        assert_eq!(reading.deadline().0, at(103), "the usage is not waited for long");
    }
}
