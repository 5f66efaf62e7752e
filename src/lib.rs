//! Windlass, the job queue engine for AI work.
#![forbid(unsafe_code)]

pub mod clock;
pub mod domain;
pub mod engine;
pub mod executors;
