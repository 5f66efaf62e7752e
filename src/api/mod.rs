//! Wire types: what goes over HTTP, written once for the server, the command line and the OpenAPI
//! document. Needs only the domain.
//!
//! One file per resource. Types that clients receive are plain data with public fields; the one
//! document that clients send with consequences, the job, is read by [`job::read_job`] on top of
//! the strict reader in [`json`], so that every refusal names a field by JSON pointer.

pub mod actions;
pub mod batch;
pub mod control;
pub mod credential;
pub mod dead;
pub mod event;
pub mod filter;
pub mod health;
pub mod held;
pub mod job;
pub mod json;
pub mod key;
pub mod operation;
mod problem;
pub mod provider;
pub mod queue;
mod read;
pub mod scaling;
pub mod schema;
pub mod types;
pub mod usage;
pub mod why;
pub mod worker;
pub mod workspace;
pub mod ws;

pub use problem::{ErrorCode, FieldError, PROBLEM_JSON, Problem};
