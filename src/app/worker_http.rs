//! The small HTTP server of a worker process: is it alive, does it claim, what does it measure.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::engine::{Guard, Level, WorkerHandle, WorkerHealth};
use crate::metrics;

/// The longest that a request here may take.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Shared {
    worker: WorkerHandle,
    guard: Guard,
    prometheus: PrometheusHandle,
}

/// Serves until `shutdown` fires.
pub(super) async fn serve(
    listener: TcpListener,
    worker: WorkerHandle,
    guard: Guard,
    prometheus: PrometheusHandle,
    shutdown: CancellationToken,
) {
    let app = router(Shared { worker, guard, prometheus });
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
    match health.deaf.filter(|_| health.redis_up) {
        None => Json(json!({"status": "healthy"})).into_response(),
        Some(silent) => {
            let seconds = silent.as_secs();
            let body = json!({"status": "deaf", "detail": format!("the claim loop is silent for {seconds} s")});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

/// Red as well while Redis is away or not safe, and while the worker drains.
async fn ready(State(shared): State<Shared>) -> Response {
    let health = shared.worker.health();
    let findings = shared.guard.findings();
    let mut checks = Map::new();
    for (name, check) in &findings.checks {
        checks.insert((*name).to_owned(), report(check.level, &check.detail));
    }
    checks.insert("claims".to_owned(), claims(&health));
    let is_ready = findings.ready() && health.deaf.is_none() && !health.draining;
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": is_ready, "checks": checks}))).into_response()
}

fn claims(health: &WorkerHealth) -> Value {
    match health.deaf {
        Some(silent) => report(Level::Failed, &format!("silent for {} s", silent.as_secs())),
        None if health.draining => report(Level::Failed, "draining"),
        None => report(Level::Ok, &format!("{} of {} slots busy", health.busy, health.slots)),
    }
}

fn report(level: Level, detail: &str) -> Value {
    let status = match level {
        Level::Ok => "ok",
        Level::Degraded => "degraded",
        Level::Failed => "failed",
    };
    json!({"status": status, "detail": detail})
}

async fn render(State(shared): State<Shared>) -> Response {
    // Looking sets the worker's gauges.
    let health = shared.worker.health();
    ::metrics::gauge!(metrics::REDIS_UP.name).set(f64::from(u8::from(health.redis_up)));
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, shared.prometheus.render()).into_response()
}
