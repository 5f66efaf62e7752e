//! What the integration tests start servers, processes and sinks with.
#![expect(dead_code, reason = "the integration tests use more of it")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "they are for tests")]

#[path = "../it/support/cluster.rs"]
pub(crate) mod cluster;
#[path = "../it/support/github.rs"]
pub(crate) mod github;
#[path = "../it/support/gmail.rs"]
pub(crate) mod gmail;
#[path = "../it/support/halted.rs"]
pub(crate) mod halted;
#[path = "../it/support/json_server.rs"]
pub(crate) mod json_server;
#[path = "../it/support/processes.rs"]
pub(crate) mod processes;
#[path = "../it/support/redis.rs"]
pub(crate) mod redis;
#[path = "../it/support/rest.rs"]
pub(crate) mod rest;
#[path = "../it/support/smtp.rs"]
pub(crate) mod smtp;
