//! Writing an answer piece by piece, and the faults that only a stream can have.

use std::io;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::respond::{NOT_JSON, fault_body};
use super::{Fault, FaultKind};

const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");
const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// Between the comments of a provider that sends nothing else.
const COMMENTS_APART: Duration = Duration::from_millis(20);

/// How a body ends after its pieces.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Clean,
    /// The connection is cut.
    Abort,
    /// Nothing more comes until shutdown.
    Hang,
    /// The pieces have no end of their own; shutdown ends them.
    Never,
}

/// A piece and the wait before it.
type Piece = (Duration, Bytes);

/// How fast an answer is written, until when, and who is told if the client does not wait for its end.
pub(super) struct Pace {
    /// Wait before each further chunk of a stream.
    pub(super) chunk_delay: Duration,
    /// Ends all waiting.
    pub(super) shutdown: CancellationToken,
    /// Counts the answers that clients did not read to the end.
    pub(super) left: Arc<AtomicU64>,
}

impl Pace {
    /// A stream of server-sent events, with its fault.
    pub(super) fn stream(self, answer: &Answer, kind: FaultKind, fault: Option<&Fault>, with_usage: bool) -> Response {
        let (chunks, ending) = chunks(answer, kind, fault, with_usage);
        let wait = self.chunk_delay;
        let mut pieces: Vec<Piece> = chunks.into_iter().map(|chunk| (wait, chunk)).collect();
        if let Some((first, _)) = pieces.first_mut() {
            let late = fault.filter(|f| f.kind.waits_inside()).map_or(0, |f| f.delay_ms);
            *first = Duration::from_millis(late);
        }
        let body = match kind {
            FaultKind::OnlyKeepAlive => {
                let comments = iter::repeat((COMMENTS_APART, COMMENT));
                self.body(pieces.into_iter().chain(comments), Ending::Never)
            }
            FaultKind::Endless => {
                let words = pieces.split_off(1);
                self.body(pieces.into_iter().chain(words.into_iter().cycle()), Ending::Never)
            }
            _ => self.body(pieces.into_iter(), ending),
        };
        ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
    }

    /// The pieces, each after its wait, and the ending.
    pub(super) fn body(self, pieces: impl Iterator<Item = Piece> + Send + 'static, ending: Ending) -> Body {
        let watch = Watch { left: self.left, ended: false };
        let writing = Writing { pieces, ending, shutdown: self.shutdown, began: false, watch };
        Body::from_stream(stream::unfold(writing, Writing::next))
    }
}

struct Writing<I> {
    pieces: I,
    ending: Ending,
    shutdown: CancellationToken,
    began: bool,
    watch: Watch,
}

impl<I: Iterator<Item = Piece>> Writing<I> {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        let over = self.ending == Ending::Never && self.shutdown.is_cancelled();
        if let Some((wait, piece)) = self.pieces.next().filter(|_| !over) {
            if !wait.is_zero() {
                // Shutdown ends the waiting, not the answer.
                drop(tokio::time::timeout(wait, self.shutdown.cancelled()).await);
            }
            self.began = true;
            return Some((Ok(piece), self));
        }
        match self.ending {
            Ending::Clean | Ending::Never => {
                self.watch.ended = true;
                return None;
            }
            Ending::Hang => self.shutdown.cancelled().await,
            // The server flushes what it has only when the body is not ready.
            Ending::Abort if self.began => tokio::task::yield_now().await,
            Ending::Abort => {}
        }
        self.watch.ended = true;
        Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), self))
    }
}

/// Notices that a body is dropped before its end.
struct Watch {
    left: Arc<AtomicU64>,
    ended: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.ended {
            self.left.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn event(data: &[u8]) -> Bytes {
    [&b"data: "[..], data, &b"\n\n"[..]].concat().into()
}

/// The chunks of a stream as far as it goes, and its ending.
fn chunks(answer: &Answer, kind: FaultKind, fault: Option<&Fault>, with_usage: bool) -> (Vec<Bytes>, Ending) {
    let mut chunks = answer.chunks();
    let half = chunks.len() / 2;
    if kind == FaultKind::Endless {
        // The role and the words, without the end.
        chunks.pop();
        return (chunks, Ending::Never);
    }
    if with_usage {
        chunks.push(answer.usage_chunk(kind == FaultKind::UsageWithChoices));
    }
    if kind != FaultKind::NoDone {
        chunks.push(DONE);
    }
    match kind {
        FaultKind::Truncate | FaultKind::OnlyKeepAlive => chunks.truncate(half),
        FaultKind::Stall => {
            chunks.truncate(half);
            return (chunks, Ending::Hang);
        }
        FaultKind::Disconnect => return (Vec::new(), Ending::Abort),
        FaultKind::Malformed => chunks.insert(half, event(NOT_JSON)),
        FaultKind::StreamError => {
            let error = fault.map(fault_body).unwrap_or_default();
            chunks.insert(half, event(error.to_string().as_bytes()));
        }
        FaultKind::KeepAlive => {
            chunks = iter::once(COMMENT).chain(chunks.into_iter().flat_map(|chunk| [chunk, COMMENT])).collect();
        }
        _ => {}
    }
    (chunks, Ending::Clean)
}
