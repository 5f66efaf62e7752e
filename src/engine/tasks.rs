//! The one home of task and thread spawning: every task has a name, and its panic is logged.

use std::future::Future;
use std::io;
use std::thread;

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

/// Runs a future on a thread and a runtime of its own, so that nothing on the main runtime can
/// starve it.
///
/// # Errors
/// When the system gives no thread or no runtime.
pub fn spawn_thread<F, Fut>(name: &'static str, make: F) -> io::Result<thread::JoinHandle<()>>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(make()))
}

/// Runs blocking work on a thread of its own.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn_blocking_thread(
    name: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}
