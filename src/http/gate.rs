//! Who may read metrics, on the API and on workers.

use std::fmt;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::api::{ErrorCode, Problem};
use crate::store::Shards;

use super::auth::{Auth, Permission, bearer, digest};
use super::error::ApiError;
use super::layers::problem_response;

/// Lets requests for metrics through; cheap to clone.
#[derive(Clone)]
pub struct MetricsGate(Option<Arc<Closed>>);

struct Closed {
    auth: Auth,
    token: Option<[u8; 32]>,
}

impl MetricsGate {
    /// Lets everyone through.
    #[must_use]
    pub fn open() -> Self {
        Self(None)
    }

    /// Lets through who has the token, or a key of all workspaces with the scope `metrics:read`.
    #[must_use]
    pub fn closed(store: Shards, admin_key: Option<&SecretString>, token: Option<&SecretString>) -> Self {
        let token = token.map(|token| digest(token.expose_secret()));
        Self(Some(Arc::new(Closed { auth: Auth::new(store, admin_key), token })))
    }

    pub(super) async fn pass(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Some(closed) = &self.0 else { return Ok(()) };
        let sent = bearer(headers)?;
        // First, since it has to work while Redis is away.
        if let (Some(sent), Some(token)) = (sent, &closed.token)
            && bool::from(token.ct_eq(&digest(sent)))
        {
            return Ok(());
        }
        closed.auth.caller_with(sent, headers).await?.require_fleet(Permission::MetricsRead)
    }

    /// The answer for who is not let through.
    pub async fn refusal(&self, headers: &HeaderMap) -> Option<Response> {
        let mut response = self.pass(headers).await.err()?.into_response();
        let problem = response.extensions_mut().remove::<Problem>();
        let problem = problem.unwrap_or_else(|| Problem::new(ErrorCode::Internal, ""));
        Some(problem_response(response, problem, &uuid::Uuid::now_v7().to_string()))
    }
}

impl fmt::Debug for MetricsGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "MetricsGate(closed)" } else { "MetricsGate(open)" })
    }
}
