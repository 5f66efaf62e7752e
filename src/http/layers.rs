//! What happens around every handler: a request id, a trace, limits, the problem body, headers, metrics
//! and one log line.

use std::any::Any;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, header};
use tracing::Instrument as _;

use crate::api::{ErrorCode, PROBLEM_JSON, Problem};
use crate::clock;

use super::access::{self, Answered};
use super::error::{ApiError, outcome_unknown};
use super::metrics;
use super::note::Note;
use super::state::HttpState;
use super::wait::{self, Waited};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The outermost layer. Everything that goes out passes here, also what no handler made.
pub(super) async fn around(State(state): State<HttpState>, mut request: Request, next: Next) -> Response {
    let started = clock::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    if let Ok(value) = HeaderValue::from_str(&id) {
        request.headers_mut().insert(REQUEST_ID, value);
    }
    let note = Note::of(request.headers());
    request.extensions_mut().insert(note.clone());
    let job = access::job_in(request.uri().path());
    // On every line that is written for this request, whatever the level.
    let span = tracing::error_span!("request", request_id = id, trace_id = %note.trace());
    let mut response = limited(&state, request, next).instrument(span.clone()).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let problem = if method.is_safe() { of_a_read(problem) } else { problem };
        metrics::record_problem(&path, &problem.code);
        response = problem_response(response, problem, &id);
    }
    set_headers(&mut response, &id);
    let (status, took) = (response.status().as_u16(), clock::now().duration_since(started));
    let waited = response.extensions_mut().remove::<Waited>().unwrap_or_default();
    metrics::record_request(&path, &method, status, took.saturating_sub(waited.0));
    let job = job.or_else(|| access::job_in(response.headers().get(header::LOCATION)?.to_str().ok()?));
    let answered = Answered { method: &method, endpoint: &path, status, took, job };
    span.in_scope(|| access::tell(&note, &answered));
    access::trace(&state.options().tracer, &note, &answered);
    response
}

/// Runs the rest within the limits on number and time.
async fn limited(state: &HttpState, request: Request, next: Next) -> Response {
    // Health and metrics must answer when the server is too busy for anything else.
    let vital = matches!(request.uri().path(), "/healthz" | "/ready" | "/metrics");
    let permit = state.in_flight().try_acquire();
    if permit.is_err() && !vital {
        let busy = ApiError::new(ErrorCode::Overloaded, "too many requests are in work");
        return busy.retry_after(Duration::from_secs(1)).into_response();
    }
    let safe = request.method().is_safe();
    let limit = state.options().request_timeout + wait::asked(request.headers()).unwrap_or_default();
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) if safe => ApiError::new(ErrorCode::Timeout, "the server gave up on this request")
            .retry_after(Duration::from_secs(2))
            .into_response(),
        Err(_) => outcome_unknown().into_response(),
    }
}

/// A read that got no answer changed nothing, so there is nothing of it that nobody knows.
fn of_a_read(problem: Problem) -> Problem {
    if problem.code != ErrorCode::OutcomeUnknown.as_str() {
        return problem;
    }
    Problem::new(ErrorCode::RedisUnavailable, "Redis did not answer; try again")
}

/// The client's own id if it is short and harmless, else a fresh one.
fn request_id(request: &Request) -> String {
    let sane = |id: &&str| {
        (1..=128).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
    };
    let sent = request.headers().get(REQUEST_ID).and_then(|v| v.to_str().ok()).filter(sane);
    sent.map_or_else(|| uuid::Uuid::now_v7().to_string(), ToOwned::to_owned)
}

pub(super) fn problem_response(mut response: Response, mut problem: Problem, id: &str) -> Response {
    id.clone_into(&mut problem.request_id);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    *response.body_mut() = Body::from(body);
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    response
}

/// Headers of every answer. Pages that a browser shows bring their own policy.
fn set_headers(response: &mut Response, id: &str) {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, value);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// The answer to a request whose handler panicked; the panic itself goes to the log.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    tracing::error!(panic = message.unwrap_or("of an unknown kind"), "a handler panicked");
    ApiError::new(ErrorCode::Internal, "this is a bug; please report it with the request id").into_response()
}

/// The answer where no route matches.
pub(super) async fn no_route() -> ApiError {
    ApiError::new(ErrorCode::NoRoute, "see /docs for the paths of this API")
}

/// The answer where a route does not take the method.
pub(super) async fn no_method(method: Method) -> ApiError {
    let method = crate::domain::clip_text(method.as_str(), 20);
    ApiError::new(ErrorCode::MethodNotAllowed, format!("{method} is not possible here; see the header Allow"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(sent: &str) -> String {
        request_id(&Request::builder().header("x-request-id", sent).body(Body::empty()).expect("a request"))
    }

    #[test]
    fn a_sane_request_id_is_kept_and_any_other_replaced() {
        assert_eq!(id_of("abc-1.2_3:4"), "abc-1.2_3:4");
        for bad in ["", "a b", "a\"b", "{}", &"x".repeat(129)] {
            assert_ne!(id_of(bad), bad);
        }
    }

    #[test]
    fn a_panic_is_a_problem_without_its_message() {
        let response = panicked(Box::new("secret detail".to_owned()));
        let problem = response.extensions().get::<Problem>().expect("a problem");
        assert_eq!((problem.code.as_str(), problem.detail.contains("secret")), ("internal", false));
    }
}
