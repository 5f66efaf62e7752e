//! Health, readiness and what this server is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /healthz`: the process answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Healthz {
    /// `healthy`
    #[schema(example = "healthy")]
    pub status: String,
}

/// `GET /ready`: whether jobs may be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// Whether jobs may be accepted; the status is 200 or 503 accordingly.
    pub ready: bool,
    /// Ready, with a risk that someone should know of.
    pub degraded: bool,
    /// How durable an acknowledgement is: `always`, `everysec`, `no`, `none`, or `unknown`.
    pub durability: String,
    /// What was checked, by name.
    pub checks: BTreeMap<String, CheckView>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Check")]
pub struct CheckView {
    /// `ok`, `degraded` or `failed`.
    pub status: String,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// `GET /health`: the server and what it depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok` or `degraded`.
    pub status: String,
    /// Now, by this server's clock.
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// Seconds since the process started.
    pub uptime: f64,
    /// The configured environment, such as `production`.
    pub environment: String,
    /// The server's version.
    pub version: String,
    /// Each `ok`, `error` or `disabled`.
    pub services: Services,
}

/// What the server depends on: each `ok`, `error` or `disabled`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Services {
    /// The language model provider.
    pub llm: String,
    /// Redis.
    pub database: String,
    /// The WebSocket endpoint.
    pub websocket: String,
    /// The GitHub actions.
    pub github: String,
}

/// `GET /meta`: what this server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Meta {
    /// What it can do.
    pub features: Vec<String>,
    /// Its version.
    pub version: String,
    /// The version of this API.
    #[schema(example = "1")]
    pub api_version: String,
}
