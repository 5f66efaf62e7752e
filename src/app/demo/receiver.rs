//! Receives the demo's webhooks and counts them by id, as a careful receiver would.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

use super::super::{StartError, compose};
use crate::engine::tasks;

/// Deliveries by `webhook-id`.
type Seen = Arc<Mutex<HashMap<String, u64>>>;

/// A running receiver; it ends with the process.
#[derive(Debug)]
pub(super) struct Receiver {
    url: String,
    seen: Seen,
}

impl Receiver {
    /// Starts it on a free port.
    pub(super) async fn start() -> Result<Self, StartError> {
        let listener = compose::listen("127.0.0.1", 0).await?;
        let url = compose::local_url(&listener)?;
        let seen = Seen::default();
        let app = Router::new().route("/hook", post(receive)).with_state(seen.clone());
        tasks::spawn("demo-receiver", async move { axum::serve(listener, app).await });
        Ok(Self { url, seen })
    }

    /// Where to send.
    pub(super) fn url(&self) -> String {
        format!("{}/hook", self.url)
    }

    /// Host and port, as the allow-list wants them.
    pub(super) fn host(&self) -> String {
        self.url.trim_start_matches("http://").to_owned()
    }

    /// Deliveries, and distinct ids among them.
    pub(super) fn counts(&self) -> (u64, usize) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.values().sum(), seen.len())
    }
}

async fn receive(State(seen): State<Seen>, headers: HeaderMap) -> StatusCode {
    let signed = headers.contains_key("webhook-signature");
    match headers.get("webhook-id").and_then(|id| id.to_str().ok()) {
        Some(id) if signed => {
            *seen.lock().unwrap_or_else(PoisonError::into_inner).entry(id.to_owned()).or_default() += 1;
            StatusCode::NO_CONTENT
        }
        _ => StatusCode::BAD_REQUEST,
    }
}
