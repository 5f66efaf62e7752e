//! The `windlass` binary: parses, runs, and turns the outcome into an exit code.

use std::io::Write;
use std::process::ExitCode;

use windlass::app::{self, Signals};
use windlass::cli::{Cli, Failure};
use windlass::config::Environment;

/// A job is many small allocations, made on one thread and freed on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// After a second signal, as a shell would report a process that SIGINT ended.
const HURRIED: u8 = 130;

fn main() -> ExitCode {
    let cli = Cli::of_process();
    // Losing the race to another installer is impossible here, and would be harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("cannot start: {error}"), None, 1),
    };
    let code = runtime.block_on(async {
        let signals = match Signals::watch() {
            Ok(signals) => signals,
            Err(error) => return complain(&format!("cannot watch signals: {error}"), None, 1),
        };
        let environment = Environment::of_process();
        tokio::select! {
            outcome = app::run(cli, &environment, signals.shutdown()) => finish(outcome),
            () = signals.hurry() => ExitCode::from(HURRIED),
        }
    });
    runtime.shutdown_background();
    code
}

fn finish(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => complain(&failure.message, failure.hint.as_deref(), failure.code as u8),
    }
}

/// Errors go to stderr; when that is gone as well, the exit code still tells.
fn complain(message: &str, hint: Option<&str>, code: u8) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "error: {message}");
    if let Some(hint) = hint {
        let _ = writeln!(stderr, "hint: {hint}");
    }
    ExitCode::from(code)
}
