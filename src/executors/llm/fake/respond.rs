//! Writing an answer, or the fault in its place.

use std::io;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, ChatRequest};
use super::{Fault, FaultKind};

const PAGE: &str = "<!doctype html><html><title>Sign in</title><body>Please sign in.</body></html>";
const NOT_JSON: &[u8] = b"{\"id\": \"chatcmpl-fake\", \"choices\": [{";

/// How a body ends after its pieces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Clean,
    /// The connection is cut.
    Abort,
    /// Nothing more comes until shutdown.
    Hang,
}

/// An error in OpenAI's shape.
pub(super) fn error(status: u16, code: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(error_body(&code.into(), message))).into_response()
}

fn error_body(code: &Value, message: &str) -> Value {
    json!({"error": {"message": message, "type": "fake_error", "param": null, "code": code}})
}

/// The response to one call.
pub(super) fn respond(
    request: &ChatRequest,
    mut answer: Answer,
    fault: Option<Fault>,
    chunk_delay: Duration,
    shutdown: CancellationToken,
) -> Response {
    let kind = fault.as_ref().map_or(FaultKind::Delay, |f| f.kind);
    match (kind, &fault) {
        (FaultKind::Status, Some(fault)) => return status(fault),
        (FaultKind::ErrorBody200, Some(fault)) => return Json(fault_body(fault)).into_response(),
        (FaultKind::Html, _) => return axum::response::Html(PAGE).into_response(),
        (FaultKind::Finish, Some(fault)) => answer.finish.clone_from(&fault.finish_reason),
        (FaultKind::Empty, _) => answer.text.clear(),
        _ => {}
    }
    let (mut pieces, content_type) = match request.is_stream() {
        true => (answer.chunks(request.wants_usage()), "text/event-stream"),
        false => (halves(&answer.unary().to_string()), "application/json"),
    };
    let ending = match kind {
        FaultKind::Truncate => {
            pieces.truncate(pieces.len() / 2);
            if request.is_stream() { Ending::Clean } else { Ending::Abort }
        }
        FaultKind::Stall => {
            pieces.truncate(pieces.len() / 2);
            Ending::Hang
        }
        FaultKind::Disconnect => {
            pieces.clear();
            Ending::Abort
        }
        FaultKind::Malformed => {
            pieces = malformed(request.is_stream(), pieces);
            Ending::Clean
        }
        _ => Ending::Clean,
    };
    let body = if request.is_stream() || ending != Ending::Clean {
        Body::from_stream(paced(pieces, chunk_delay, ending, shutdown))
    } else {
        Body::from(pieces.concat())
    };
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

fn halves(text: &str) -> Vec<Bytes> {
    let (head, tail) = text.as_bytes().split_at(text.len() / 2);
    vec![Bytes::copy_from_slice(head), Bytes::copy_from_slice(tail)]
}

fn malformed(streaming: bool, mut pieces: Vec<Bytes>) -> Vec<Bytes> {
    if !streaming {
        return vec![Bytes::from_static(NOT_JSON)];
    }
    pieces.insert(pieces.len() / 2, [&b"data: "[..], NOT_JSON, &b"\n\n"[..]].concat().into());
    pieces
}

fn paced(
    pieces: Vec<Bytes>,
    delay: Duration,
    ending: Ending,
    shutdown: CancellationToken,
) -> impl Stream<Item = io::Result<Bytes>> {
    let began = !pieces.is_empty();
    let stop = shutdown.clone();
    let pieces = stream::iter(pieces.into_iter().enumerate()).then(move |(i, piece)| {
        let stop = stop.clone();
        async move {
            if i > 0 && !delay.is_zero() {
                // Shutdown ends the waiting, not the answer.
                drop(tokio::time::timeout(delay, stop.cancelled()).await);
            }
            Ok(piece)
        }
    });
    let end = stream::once(async move {
        if ending == Ending::Hang {
            shutdown.cancelled().await;
        } else if began {
            // The server flushes what it has only when the body is not ready.
            tokio::task::yield_now().await;
        }
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    pieces.chain(end.take(usize::from(ending != Ending::Clean)))
}

fn fault_body(fault: &Fault) -> Value {
    let code = fault.code.clone().unwrap_or_else(|| "fake_fault".into());
    error_body(&code, fault.message.as_deref().unwrap_or("A scripted fault."))
}

/// An HTTP error as the fault says.
pub(super) fn status(fault: &Fault) -> Response {
    let status = fault.status.and_then(|s| StatusCode::from_u16(s).ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match &fault.body {
        Some(body) => (status, axum::response::Html(body.clone())).into_response(),
        None => (status, Json(fault_body(fault))).into_response(),
    };
    let wait = fault.retry_after.as_ref().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
    let headers = [("retry-after", wait), ("retry-after-ms", fault.retry_after_ms.map(|ms| ms.to_string()))];
    for (name, value) in headers {
        if let Some(value) = value.and_then(|text| HeaderValue::try_from(text).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
