//! `GET /ws`: from a request to an open WebSocket.

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use http::{HeaderMap, header};

use crate::api::ErrorCode;
use crate::api::ws::SUBPROTOCOL;
use crate::domain::bounds;

use super::super::auth::Permission;
use super::super::error::ApiError;
use super::super::server::TakenOver;
use super::super::state::HttpState;
use super::super::ws;

/// Memory for what was read of a socket and not yet handled.
const READ_BUFFER: usize = 16 * 1024;

/// Talk to language models over a WebSocket.
///
/// The key comes in the header `Authorization`, or as a subprotocol behind the first
/// (`Sec-WebSocket-Protocol: windlass.v1, wl_…`), or within 5 s as the first message:
/// `{"type": "auth", "key": "wl_…"}`. It needs `jobs:read`, and for all but `attach` `jobs:write`.
///
/// Messages of the client, each with an optional `id` of its own that the answers repeat:
/// `query` and `stream` make an `llm.chat` job (`input`, or its fields beside `type`, or `prompt`; and what else
/// `POST /ai/jobs` takes), `attach` follows a job (`job`, `after_seq`), `cancel` cancels one (`job`). Answers:
/// `accepted`, `response` with the result of a `query`, `stream` per piece of text, `reset` when all text so far is
/// void, `done` at the end, and `error` with a stable code.
#[utoipa::path(
    get, path = "/ws", tag = "jobs", operation_id = "open_websocket",
    responses(
        (status = 101, description = "The WebSocket is open."),
    )
)]
pub(in crate::http) async fn open(
    State(state): State<HttpState>,
    taken_over: Option<Extension<TakenOver>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let offered = offered_key(&headers);
    let caller = if offered.is_some() || headers.contains_key(header::AUTHORIZATION) || upgrade.is_err() {
        let caller = match offered {
            Some(key) => state.auth().caller_with(Some(&key), &headers).await?,
            None => state.auth().caller(&headers).await?,
        };
        caller.require(Permission::JobsRead)?;
        Some(caller)
    } else {
        None
    };
    let upgrade = upgrade.map_err(|_| {
        ApiError::at(ErrorCode::InvalidHeader, "Upgrade", "must be websocket, of version 13, over HTTP/1.1")
    })?;
    let permit = state.websockets().clone().try_acquire_owned().map_err(|_| {
        ApiError::new(ErrorCode::Overloaded, "too many WebSockets").retry_after(std::time::Duration::from_secs(5))
    })?;
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER)
        // What is a little over the bound of a body is refused by an answer, and what is far over it by the end.
        .max_message_size(2 * bounds::BODY)
        .max_frame_size(2 * bounds::BODY);
    Ok(upgrade.on_upgrade(move |socket| async move {
        ws::serve(socket, state, caller, headers).await;
        drop((permit, taken_over));
    }))
}

/// The key among the subprotocols, which a browser can set although it can set no header.
fn offered_key(headers: &HeaderMap) -> Option<String> {
    let lists = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).find(|name| name.starts_with("wl_")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_stand_behind_the_subprotocol() {
        let of = |text: &str| {
            let value = text.parse().expect("a header");
            offered_key(&[(header::SEC_WEBSOCKET_PROTOCOL, value)].into_iter().collect())
        };
        assert_eq!(of("windlass.v1, wl_abc_def").as_deref(), Some("wl_abc_def"));
        assert_eq!(of("windlass.v1"), None);
    }
}
