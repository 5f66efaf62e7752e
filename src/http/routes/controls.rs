//! Controls of the whole fleet: what is logged.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use http::StatusCode;

use crate::api::ErrorCode;
use crate::api::control::{LOG_LEVEL_SECONDS, LogLevel, SetLogLevel};
use crate::domain::AUDIT;
use crate::engine::log_filter;
use crate::store::LevelOrder;

use super::super::auth::{Caller, Permission};
use super::super::body;
use super::super::error::ApiError;
use super::super::state::HttpState;
use super::COMMAND;

fn view(state: &HttpState, order: Option<LevelOrder>) -> Json<LogLevel> {
    let configured = state.options().log_level.clone();
    Json(LogLevel {
        level: order.as_ref().map_or_else(|| configured.clone(), |order| order.level.clone()),
        configured,
        until: order.as_ref().map(|order| order.until.to_string()),
        by: order.map(|order| order.by),
    })
}

/// Show what is logged, and until when.
#[utoipa::path(
    get, path = "/controls/log-level", tag = "admin", operation_id = "get_log_level",
    responses((status = 200, description = "What is logged.", body = LogLevel))
)]
pub(in crate::http) async fn log_level(
    State(state): State<HttpState>,
    caller: Caller,
) -> Result<Json<LogLevel>, ApiError> {
    caller.require_fleet(Permission::SystemAdmin)?;
    let store = &state.services().store;
    let (now, standing) = (store.now().await?, store.first().standing().await?);
    Ok(view(&state, standing.level.filter(|order| order.until > now)))
}

/// Have every process of the fleet log by another level for a while.
///
/// They follow within two seconds, ones that start meanwhile too, and go back by themselves. The latest order counts.
#[utoipa::path(
    put, path = "/controls/log-level", tag = "admin", operation_id = "set_log_level",
    request_body = SetLogLevel,
    responses((status = 200, description = "What is logged.", body = LogLevel))
)]
pub(in crate::http) async fn set_log_level(
    State(state): State<HttpState>,
    caller: Caller,
    request: Request,
) -> Result<Json<LogLevel>, ApiError> {
    caller.require_fleet(Permission::SystemAdmin)?;
    let document = body::document(request, COMMAND, state.options().body_timeout).await?;
    let wanted = SetLogLevel::read(document)?;
    log_filter(&wanted.level).map_err(|why| ApiError::at(ErrorCode::InvalidField, "/level", why))?;
    let length = Duration::from_secs(wanted.for_seconds.unwrap_or(LOG_LEVEL_SECONDS));
    let order = state.services().store.set_level(&wanted.level, length, caller.name()).await?;
    tracing::info!(target: AUDIT, log_level = order.level, until = %order.until, by = caller.name(), "log level set");
    Ok(view(&state, Some(order)))
}

/// Have every process log by its own settings again.
#[utoipa::path(
    delete, path = "/controls/log-level", tag = "admin", operation_id = "reset_log_level",
    responses((status = 204, description = "Done, now or before."))
)]
pub(in crate::http) async fn reset_log_level(
    State(state): State<HttpState>,
    caller: Caller,
    request: Request,
) -> Result<StatusCode, ApiError> {
    caller.require_fleet(Permission::SystemAdmin)?;
    body::none(request, state.options().body_timeout).await?;
    state.services().store.end_level().await?;
    tracing::info!(target: AUDIT, by = caller.name(), "log level reset");
    Ok(StatusCode::NO_CONTENT)
}
