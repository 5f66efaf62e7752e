//! The API's documentation: the OpenAPI document, and a page that shows it without any network.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;

use super::super::state::HttpState;

/// Scripts and styles from this server only, nothing inline, no other origin.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "server", operation_id = "openapi", security(()),
    responses((status = 200, description = "The OpenAPI document.", body = Object))
)]
pub(in crate::http) async fn openapi(State(state): State<HttpState>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], state.openapi()).into_response()
}

fn asset(media: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, media), (header::CONTENT_SECURITY_POLICY, POLICY)], text).into_response()
}

pub(in crate::http) async fn page() -> Response {
    asset("text/html; charset=utf-8", include_str!("../docs/page.html"))
}

pub(in crate::http) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("../docs/docs.js"))
}

pub(in crate::http) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("../docs/docs.css"))
}
