//! Windlass, the job queue engine for AI work.
#![forbid(unsafe_code)]

pub mod api;
pub mod app;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod domain;
pub mod engine;
pub mod executors;
pub mod http;
pub mod metrics;
pub mod store;
pub mod telemetry;

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
