//! The small HTTP server of a worker process: is it alive, does it claim, what does it measure.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api::health::{CheckView, Healthz, Ready};
use crate::engine::{Check, Guard, Level, WorkerHandle, WorkerHealth};
use crate::http::MetricsGate;
use crate::metrics;

/// The longest that a request here may take.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Shared {
    worker: WorkerHandle,
    guard: Guard,
    prometheus: PrometheusHandle,
    gate: MetricsGate,
}

/// Serves until `shutdown` fires.
pub(super) async fn serve(
    listener: TcpListener,
    worker: WorkerHandle,
    guard: Guard,
    (prometheus, gate): (PrometheusHandle, MetricsGate),
    shutdown: CancellationToken,
) {
    let app = router(Shared { worker, guard, prometheus, gate });
    if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(shutdown.cancelled_owned()).await {
        tracing::error!(%error, "the worker's health server ended");
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/ready", get(ready))
        .route("/metrics", get(render))
        .layer(axum::middleware::from_fn(limit))
        .with_state(shared)
}

async fn limit(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    match tokio::time::timeout(TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Red when the claim loop does not come round, so that a supervisor restarts the process. An
/// outage of Redis does not make it red: a restart would not help, and the worker mends itself.
async fn healthz(State(shared): State<Shared>) -> Response {
    let health = shared.worker.health();
    let is_deaf = health.deaf.is_some() && health.redis_up;
    let (code, status) = if is_deaf { (StatusCode::SERVICE_UNAVAILABLE, "deaf") } else { (StatusCode::OK, "healthy") };
    (code, Json(Healthz { status: status.to_owned() })).into_response()
}

/// The same report as the API's, with a check of the claim loop: red as well while Redis is away or
/// not safe, and while the worker drains.
async fn ready(State(shared): State<Shared>) -> Response {
    let health = shared.worker.health();
    let findings = shared.guard.findings();
    let mut checks: BTreeMap<String, CheckView> =
        findings.checks.iter().map(|(n, c)| ((*n).to_owned(), view(c))).collect();
    checks.insert("claims".to_owned(), claims(&health));
    let is_ready = findings.ready() && health.deaf.is_none() && !health.draining;
    let code = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let degraded = is_ready && findings.degraded();
    let durability = findings.durability.to_owned();
    (code, Json(Ready { ready: is_ready, degraded, durability, checks })).into_response()
}

fn view(check: &Check) -> CheckView {
    let remedy = Some(check.remedy.clone()).filter(|remedy| !remedy.is_empty());
    report(check.level, check.detail.clone(), remedy)
}

fn claims(health: &WorkerHealth) -> CheckView {
    match health.deaf {
        Some(silent) => {
            let remedy = "if Redis answers, restart this worker and look at its log".to_owned();
            report(Level::Failed, format!("silent for {} s", silent.as_secs()), Some(remedy))
        }
        None if health.draining => report(Level::Failed, "draining".to_owned(), None),
        None if health.quiet => report(Level::Ok, "quiet: an operator told it to claim nothing".to_owned(), None),
        None => report(Level::Ok, format!("{} of {} slots busy", health.busy, health.slots), None),
    }
}

fn report(level: Level, detail: String, remedy: Option<String>) -> CheckView {
    CheckView { status: level.as_str().to_owned(), detail, remedy }
}

async fn render(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if let Some(refusal) = shared.gate.refusal(&headers).await {
        return refusal;
    }
    // Looking sets the worker's gauges.
    let health = shared.worker.health();
    ::metrics::gauge!(metrics::REDIS_UP.name).set(f64::from(u8::from(health.redis_up)));
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, shared.prometheus.render()).into_response()
}
