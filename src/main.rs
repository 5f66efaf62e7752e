//! The `windlass` binary: parses, runs, and turns the outcome into an exit code.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use windlass::app::{self, Signals};
use windlass::cli::{Cli, Failure, Look, Paint};
use windlass::config::Environment;

/// A job is many small allocations, made on one thread and freed on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// After a second signal, as a shell would report a process that SIGINT ended.
const HURRIED: u8 = 130;

fn main() -> ExitCode {
    let (cli, environment) = (Cli::of_process(), Environment::of_process());
    let paint = app::paint(&cli.global, &environment, std::io::stderr().is_terminal());
    // Losing the race to another installer is impossible here, and would be harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("cannot start: {error}"), None, 1, paint),
    };
    let code = runtime.block_on(async {
        let signals = match Signals::watch() {
            Ok(signals) => signals,
            Err(error) => return complain(&format!("cannot watch signals: {error}"), None, 1, paint),
        };
        tokio::select! {
            outcome = app::run(cli, &environment, signals.shutdown()) => finish(outcome, paint),
            () = signals.hurry() => ExitCode::from(HURRIED),
        }
    });
    runtime.shutdown_background();
    code
}

fn finish(outcome: Result<(), Failure>, paint: Paint) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => complain(&failure.message, failure.hint.as_deref(), failure.code as u8, paint),
    }
}

/// Errors go to stderr; when that is gone as well, the exit code still tells.
fn complain(message: &str, hint: Option<&str>, code: u8, paint: Paint) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "{} {message}", paint.apply(Look::Bad, "error:"));
    if let Some(hint) = hint {
        let _ = writeln!(stderr, "{} {hint}", paint.apply(Look::Good, "hint:"));
    }
    ExitCode::from(code)
}
