//! Windlass, the job queue engine for AI work: apps submit jobs over HTTP, a fleet of workers claims
//! them from Redis and runs LLM calls and allow-listed actions.
//!
//! The binary `windlass` has a role per subcommand ([`app`]). The library half stands alone: a program
//! that has job types of its own implements [`engine::Executor`], puts it into an [`engine::Registry`]
//! and runs an [`engine::Worker`] over a [`store::Store`]; `examples/custom_action.rs` does so in one
//! file. It submits by an [`engine::Submitter`], or from anywhere by the [`client`].
//!
//! Modules, from the ground up; each imports lower ones only:
//!
//! - [`domain`], [`metrics`], [`clock`]: what a job is, which transitions are legal, how long a retry
//!   waits; every metric; the one home of the process clock.
//! - [`store`]: the only code that speaks Redis, one Lua script per step of a job.
//! - [`engine`]: behaviour over time: submitting, workers, leases, the guard that judges Redis, events.
//! - [`executors`]: `echo`, `sleep`, `llm.chat`, `webhook.send`, and those that send mail.
//! - [`api`]: what goes over the wire, and the stable error codes.
//! - [`http`], [`client`], [`cli`]: the server, a typed client, and the commands on top of it.
//! - [`config`], [`telemetry`], [`app`]: settings, logs, and which role starts what.
//!
//! Delivery is at-least-once and effects are guarded. ARCHITECTURE.md lists the guarantees, each with
//! the tests that hold it, and runbook.md is for whoever is on call.
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
