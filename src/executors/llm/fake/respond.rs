//! Writing an answer, or the fault in its place.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::answer::{Answer, ChatRequest};
use super::pace::{Ending, Pace};
use super::{Fault, FaultKind};

const PAGE: &str = "<!doctype html><html><title>Sign in</title><body>Please sign in.</body></html>";
pub(super) const NOT_JSON: &[u8] = b"{\"id\": \"chatcmpl-fake\", \"choices\": [{";

/// An error in OpenAI's shape.
pub(super) fn error(status: u16, code: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(error_body(&code.into(), message))).into_response()
}

fn error_body(code: &Value, message: &str) -> Value {
    json!({"error": {"message": message, "type": "fake_error", "param": null, "code": code}})
}

/// The response to one call.
pub(super) fn respond(request: &ChatRequest, mut answer: Answer, fault: Option<&Fault>, pace: Pace) -> Response {
    let kind = fault.map_or(FaultKind::Delay, |f| f.kind);
    match (kind, fault) {
        (FaultKind::Status, Some(fault)) => return status(fault),
        (FaultKind::ErrorBody200, Some(fault)) => return Json(fault_body(fault)).into_response(),
        (FaultKind::Html, _) => return axum::response::Html(PAGE).into_response(),
        (FaultKind::Finish, Some(fault)) => answer.finish.clone_from(&fault.finish_reason),
        (FaultKind::Empty, _) => answer.text.clear(),
        (FaultKind::Say, Some(fault)) => answer.text = fault.message.clone().unwrap_or_default(),
        (FaultKind::ToolCalls, _) => answer = answer.into_tool_call(),
        _ => {}
    }
    if request.is_stream() {
        return pace.stream(&answer, kind, fault, request.wants_usage());
    }
    let whole = answer.unary().to_string();
    let (half, ending) = match kind {
        FaultKind::Truncate => (whole.len() / 2, Ending::Abort),
        FaultKind::Stall => (whole.len() / 2, Ending::Hang),
        FaultKind::Disconnect => (0, Ending::Abort),
        FaultKind::Malformed => return json(Body::from(NOT_JSON)),
        _ => return json(Body::from(whole)),
    };
    let piece = Bytes::copy_from_slice(&whole.as_bytes()[..half]);
    json(pace.body((half > 0).then_some((Duration::ZERO, piece)).into_iter(), ending))
}

fn json(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

pub(super) fn fault_body(fault: &Fault) -> Value {
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
