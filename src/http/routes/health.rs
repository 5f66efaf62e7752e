//! Health, readiness, metrics, and what this server is. Open to all: nothing here is about a
//! workspace.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};

use crate::api::health::{Health, Healthz, Meta, Ready, Services as ServiceWords};
use crate::clock;
use crate::engine::{Findings, Level};

use super::super::error::ApiError;
use super::super::state::{HttpState, ServiceState};
use super::super::views;

/// Say that the process answers.
#[utoipa::path(
    get, path = "/healthz", tag = "server", operation_id = "healthz", security(()),
    responses((status = 200, description = "It does.", body = Healthz))
)]
pub(in crate::http) async fn healthz() -> Json<Healthz> {
    Json(Healthz { status: "healthy".into() })
}

/// Say whether jobs may be accepted, and if not, why and what to do.
#[utoipa::path(
    get, path = "/ready", tag = "server", operation_id = "ready", security(()),
    responses(
        (status = 200, description = "Ready, perhaps with a risk (`degraded`).", body = Ready),
        (status = 503, description = "Not ready: see `checks`.", body = Ready),
    )
)]
pub(in crate::http) async fn ready(State(state): State<HttpState>) -> Response {
    let findings = state.services().guard.findings();
    let body = Ready {
        ready: findings.ready(),
        degraded: findings.degraded(),
        durability: findings.durability.to_owned(),
        checks: findings.checks.iter().map(|(name, check)| ((*name).to_owned(), views::check(check))).collect(),
    };
    let status = if body.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

fn word(state: ServiceState) -> String {
    match state {
        ServiceState::Ok => "ok",
        ServiceState::Error => "error",
        ServiceState::Disabled => "disabled",
    }
    .to_owned()
}

fn redis(findings: &Findings) -> ServiceState {
    let up = findings.checks.get("redis").is_some_and(|check| check.level < Level::Failed);
    if up { ServiceState::Ok } else { ServiceState::Error }
}

/// Show the server and what it depends on.
#[utoipa::path(
    get, path = "/health", tag = "server", operation_id = "health", security(()),
    responses((status = 200, description = "The server and its services.", body = Health))
)]
pub(in crate::http) async fn health(State(state): State<HttpState>) -> Json<Health> {
    Json(report(&state).await)
}

/// The report without its details.
pub(super) async fn report(state: &HttpState) -> Health {
    let options = state.options();
    let findings = state.services().guard.findings();
    let database = redis(&findings);
    // Without Redis nobody knows, and health is not the place to wait for it.
    let llm = match options.llm {
        ServiceState::Ok if database == ServiceState::Ok && state.probes().all_down().await => ServiceState::Error,
        other => other,
    };
    let services = [database, llm, options.github];
    let ok = findings.ready() && !findings.degraded() && !services.contains(&ServiceState::Error);
    Health {
        status: if ok { "ok" } else { "degraded" }.to_owned(),
        timestamp: clock::wall().to_string(),
        uptime: state.uptime().as_secs_f64(),
        environment: options.environment.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        services: ServiceWords {
            llm: word(llm),
            database: word(database),
            websocket: word(ServiceState::Ok),
            github: word(options.github),
        },
    }
}

/// What this release can do, for clients that look before they leap.
const FEATURES: [&str; 23] = [
    "jobs",
    "batch",
    "idempotency",
    "prefer-wait",
    "events",
    "watch",
    "websocket",
    "why",
    "redrive",
    "queues",
    "queue-stats",
    "workers",
    "dead-letters",
    "operations",
    "actions",
    "effects",
    "credentials",
    "providers",
    "usage",
    "api-keys",
    "workspace-limits",
    "metrics",
    "log-level",
];

/// Show what this server is.
#[utoipa::path(
    get, path = "/meta", tag = "server", operation_id = "meta", security(()),
    responses((status = 200, description = "Features and versions.", body = Meta))
)]
pub(in crate::http) async fn meta() -> Json<Meta> {
    Json(Meta {
        features: FEATURES.map(str::to_owned).into(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api_version: "1".to_owned(),
    })
}

/// Metrics in the Prometheus text format.
///
/// Open, unless the server runs with `METRICS_AUTH=token`: then it takes `METRICS_TOKEN`, or a key with the scope
/// `metrics:read`.
#[utoipa::path(
    get, path = "/metrics", tag = "server", operation_id = "metrics", security(()),
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain"))
)]
pub(in crate::http) async fn metrics(State(state): State<HttpState>, headers: HeaderMap) -> Result<Response, ApiError> {
    state.options().metrics.pass(&headers).await?;
    let mut out = state.options().prometheus.as_ref().map(|handle| handle.render()).unwrap_or_default();
    let (mut fleet, mut probes, mut standing) = (String::new(), String::new(), String::new());
    tokio::join!(
        state.fleet().render(&mut fleet),
        state.probes().render(&mut probes),
        state.standing().render(&mut standing)
    );
    out.extend([fleet, probes, standing]);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], out).into_response())
}
