//! Child processes that do not outlive the harness, whatever ends it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// Starts children.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    /// `setpriv` of util-linux, where it works: the kernel then kills the child when we die.
    death_signal: bool,
}

impl Launcher {
    pub(crate) async fn detect() -> Self {
        let probe = run("setpriv", &["--pdeathsig", "KILL", "true"]).await;
        Self { death_signal: probe.is_some() }
    }

    /// A command that dies with us. Its signals are its own: Ctrl-C reaches only the harness.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = if self.death_signal {
            let mut wrapped = new("setpriv");
            wrapped.args(["--pdeathsig", "KILL", "--"]).arg(program);
            wrapped
        } else {
            new(program)
        };
        command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        command
    }
}

#[expect(clippy::disallowed_methods, reason = "the harness is made of processes, and starts them here")]
fn new(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// Runs a tool to its end; its output, when it succeeded.
pub(crate) async fn run<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Option<String> {
    let output = new(program).args(args).stdin(Stdio::null()).kill_on_drop(true).output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Sends a signal; a process that is gone is no error.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Ok(pid @ 1..) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Kills and reaps.
pub(crate) async fn end(child: &mut Child) {
    let _ = child.kill().await;
}

/// The binary under test, under a name that a build beside this run does not replace.
pub(crate) fn own_copy(folder: &Path) -> std::io::Result<PathBuf> {
    let (built, own) = (Path::new(env!("CARGO_BIN_EXE_windlass")), folder.join("windlass"));
    if std::fs::hard_link(built, &own).is_err() {
        std::fs::copy(built, &own)?;
    }
    Ok(own)
}
