//! A stand-in for an OpenAI-compatible provider, for demos, tests and benches over real HTTP.
//!
//! It answers deterministically by repeating the last user message, unary or as a stream, counts
//! words as tokens, and misbehaves on request:
//!
//! - `POST /v1/chat/completions`, `GET /v1/models`, `GET /health`
//! - `POST /faults` scripts the next answers ([`Fault`]), `GET /faults` lists what is left,
//!   `DELETE /faults` clears
//! - `GET /requests` counts calls, those refused over a limit, those at once at the most, and those whose client left
//!   before the end of the answer, and shows the latest ones without their prompts; it counts questions for the models
//!   apart (`listed`)

mod answer;
mod faults;
mod limits;
mod pace;
mod respond;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use answer::{Answer, ChatRequest};
pub use faults::{Fault, FaultKind};
use faults::{FaultScript, RandomFaults};
use limits::Limits;
use pace::Pace;

/// `GET /requests` shows this many of the latest calls.
const LATEST: usize = 100;

/// How the server behaves.
#[derive(Debug, Default)]
pub struct FakeLlmOptions {
    /// Wait before each answer.
    pub delay: Duration,
    /// Wait before each further chunk of a stream.
    pub chunk_delay: Duration,
    /// Length of each answer in words, whatever the prompt; without it the prompt is repeated once.
    pub answer_tokens: Option<usize>,
    /// When set, calls without this bearer token get 401.
    pub api_key: Option<SecretString>,
    /// Share of calls that fail at random, from 0 to 1: 429, 503, a broken connection, a truncated
    /// or a malformed answer in equal parts.
    pub fault_rate: f64,
    /// Which calls those are: the same seed fails the same calls.
    pub seed: u64,
    /// Calls begun in any minute; further ones get 429 with `Retry-After`.
    pub requests_per_minute: Option<usize>,
    /// Calls at once; further ones get 429.
    pub concurrency: Option<usize>,
    /// Faults of the first calls, in order.
    pub faults: Vec<Fault>,
}

struct FakeState {
    options: FakeLlmOptions,
    random: RandomFaults,
    limits: Limits,
    script: Mutex<FaultScript>,
    latest: Mutex<VecDeque<Value>>,
    calls: AtomicU64,
    listed: AtomicU64,
    faulted: AtomicU64,
    left: Arc<AtomicU64>,
    shutdown: CancellationToken,
}

type Shared = State<Arc<FakeState>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until `shutdown` fires; answers that wait or stall end then too.
///
/// # Errors
/// Never in practice: errors of single connections are handled inside.
pub async fn serve(listener: TcpListener, options: FakeLlmOptions, shutdown: CancellationToken) -> io::Result<()> {
    let state = FakeState {
        random: RandomFaults { rate: options.fault_rate, seed: options.seed },
        limits: Limits::new(options.requests_per_minute, options.concurrency),
        script: Mutex::new(FaultScript::new(options.faults.clone())),
        latest: Mutex::default(),
        calls: AtomicU64::new(0),
        listed: AtomicU64::new(0),
        faulted: AtomicU64::new(0),
        left: Arc::default(),
        shutdown: shutdown.clone(),
        options,
    };
    let app = Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/models", get(models))
        .route("/health", get(|| async { axum::Json(json!({"status": "ok"})) }))
        .route("/faults", post(add_fault).get(list_faults).delete(clear_faults))
        .route("/requests", get(requests))
        .with_state(Arc::new(state));
    // Without this a stream's small chunks would wait for the client's delayed acknowledgements.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

async fn chat(State(state): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let number = state.calls.fetch_add(1, Ordering::Relaxed) + 1;
    if !authorized(&state.options, &headers) {
        return respond::error(401, "invalid_api_key", "Incorrect API key provided.");
    }
    let request = match ChatRequest::parse(&body) {
        Ok(request) => request,
        Err(message) => return respond::error(400, "invalid_request", message),
    };
    let call = match state.limits.enter() {
        Ok(call) => call,
        Err(seconds) => return respond::status(&Fault { retry_after: Some(seconds.into()), ..Fault::status(429) }),
    };
    let scripted = lock(&state.script).take(request.prompt());
    let fault = scripted.or_else(|| state.random.pick(number));
    state.record(&request, &headers, fault.as_ref());
    let extra = fault.as_ref().filter(|f| !f.kind.waits_inside()).map_or(0, |f| f.delay_ms);
    let delay = state.options.delay + Duration::from_millis(extra);
    if !delay.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = state.shutdown.cancelled() => return respond::error(503, "shutting_down", "The server is shutting down."),
        }
    }
    let answer = Answer::new(number, &request, state.options.answer_tokens);
    let pace =
        Pace { chunk_delay: state.options.chunk_delay, shutdown: state.shutdown.clone(), left: state.left.clone() };
    call.finish(respond::respond(&request, answer, fault.as_ref(), pace), request.is_stream())
}

fn authorized(options: &FakeLlmOptions, headers: &HeaderMap) -> bool {
    let Some(key) = &options.api_key else { return true };
    let given = headers.get(header::AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
    let wanted = format!("Bearer {}", key.expose_secret());
    given.ct_eq(wanted.as_bytes()).into()
}

impl FakeState {
    fn record(&self, request: &ChatRequest, headers: &HeaderMap, fault: Option<&Fault>) {
        if fault.is_some() {
            self.faulted.fetch_add(1, Ordering::Relaxed);
        }
        let trace = headers.get("x-client-request-id").and_then(|value| value.to_str().ok());
        let mut latest = lock(&self.latest);
        latest.truncate(LATEST - 1);
        latest.push_front(json!({
            "model": request.model(),
            "stream": request.is_stream(),
            "max_tokens": request.token_limit(),
            "client_request_id": trace,
            "authorization": headers.contains_key(header::AUTHORIZATION),
            "fault": fault.map(|f| f.kind),
        }));
    }
}

async fn models(State(state): Shared, headers: HeaderMap) -> Response {
    state.listed.fetch_add(1, Ordering::Relaxed);
    if !authorized(&state.options, &headers) {
        return respond::error(401, "invalid_api_key", "Incorrect API key provided.");
    }
    let model = json!({"id": "fake-model", "object": "model", "created": 0, "owned_by": "windlass"});
    axum::Json(json!({"object": "list", "data": [model]})).into_response()
}

async fn add_fault(State(state): Shared, body: Bytes) -> Response {
    match serde_json::from_slice::<Fault>(&body) {
        Ok(fault) => {
            lock(&state.script).push(fault);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => respond::error(400, "invalid_fault", &error.to_string()),
    }
}

async fn list_faults(State(state): Shared) -> Response {
    axum::Json(json!({"faults": lock(&state.script).pending()})).into_response()
}

async fn clear_faults(State(state): Shared) -> Response {
    lock(&state.script).clear();
    StatusCode::NO_CONTENT.into_response()
}

async fn requests(State(state): Shared) -> Response {
    let count = state.calls.load(Ordering::Relaxed);
    let faulted = state.faulted.load(Ordering::Relaxed);
    let listed = state.listed.load(Ordering::Relaxed);
    let left = state.left.load(Ordering::Relaxed);
    let (peak, limited) = state.limits.seen();
    let latest = &*lock(&state.latest);
    let seen = json!({
        "count": count, "faulted": faulted, "left": left, "limited": limited, "listed": listed, "peak": peak,
        "latest": latest,
    });
    axum::Json(seen).into_response()
}
