//! What the integration tests start processes and wait with.
#![expect(dead_code, reason = "the integration tests use more of it")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "they are for tests")]

#[path = "../it/support/cluster.rs"]
pub(crate) mod cluster;
#[path = "../it/support/halted.rs"]
pub(crate) mod halted;
#[path = "../it/support/processes.rs"]
pub(crate) mod processes;
#[path = "../it/support/redis.rs"]
pub(crate) mod redis;
