//! The HTTP API: authentication, limits, and one thin handler per endpoint.
//!
//! Handlers check, call the engine and translate; rules about jobs live below. Every error is a
//! problem document with a stable code (`api::ErrorCode`). The OpenAPI document is made from the
//! same annotations that route requests, so a path cannot be served and be missing there.

mod access;
mod admission;
mod auth;
mod body;
mod cursor;
mod error;
mod follow;
mod gate;
mod last_reading;
mod layers;
mod metrics;
mod note;
mod openapi;
mod probes;
mod process;
mod query;
mod router;
mod routes;
mod server;
mod standing;
mod state;
mod views;
mod wait;
mod ws;

pub use auth::{hash_key, mint_key};
pub use gate::MetricsGate;
pub use openapi::{openapi, openapi_json};
pub use router::router;
pub use server::{ServerOptions, serve};
pub use state::{HttpOptions, HttpState, ServiceState, Services};
