//! Windlass, the job queue engine for AI work.
#![forbid(unsafe_code)]

pub mod api;
pub mod clock;
pub mod domain;
pub mod engine;
pub mod metrics;
pub mod store;
