//! The one home of child processes: started in a group of their own, and gone when we are.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;

/// What to start.
#[derive(Debug)]
pub(super) struct ChildSpec {
    /// For messages.
    pub(super) name: String,
    /// The binary.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) arguments: Vec<OsString>,
    /// Variables on top of our own environment; an empty value counts as unset for our binary.
    pub(super) environment: Vec<(&'static str, String)>,
    /// Where its output goes, appended.
    pub(super) log: PathBuf,
}

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Child {
    name: String,
    process: tokio::process::Child,
    log: PathBuf,
}

/// Starts children so that none outlives this process.
#[derive(Clone, Debug)]
pub(super) struct Launcher {
    /// `setpriv` of util-linux, where it works: the kernel then kills the child when we die, even
    /// by SIGKILL. Elsewhere only our own end takes the children along.
    death_signal: bool,
}

impl Launcher {
    /// Finds out what this machine offers.
    pub(super) async fn detect() -> Self {
        let probe = command("setpriv")
            .args(["--pdeathsig", "KILL", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
        Self { death_signal: probe.is_ok_and(|status| status.success()) }
    }

    /// Starts a child. Must be called on the main thread: the death signal is bound to the thread
    /// that starts the child, and threads of the runtime may end before the process does.
    pub(super) fn start(&self, spec: ChildSpec) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(&spec.log)?;
        let mut command = if self.death_signal {
            let mut wrapped = command("setpriv");
            wrapped.args(["--pdeathsig", "KILL"]).arg(&spec.program);
            wrapped
        } else {
            command(&spec.program)
        };
        let process = command
            .args(&spec.arguments)
            .envs(spec.environment)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C reaches the whole foreground group: the server would stop before its clients.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Child { name: spec.name, process, log: spec.log })
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one home of Command::new")]
fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}

/// Runs a program to its end: whether it succeeded, what it wrote to stdout, and what to stderr.
pub(super) async fn run_to_end(
    program: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> io::Result<(bool, String, String)> {
    let mut command = command(program);
    let command = command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    Ok((output.status.success(), text(&output.stdout), text(&output.stderr)))
}

impl Child {
    /// What it is called in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, unless it has ended.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Its status if it has ended.
    pub(super) fn try_ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Kills it with SIGKILL, as a crash of the machine would.
    pub(super) async fn kill(&mut self) -> io::Result<()> {
        self.process.kill().await
    }

    /// Asks it to stop with SIGTERM, and kills it when `grace` has passed. Says whether it stopped
    /// by itself.
    pub(super) async fn stop(&mut self, grace: Duration) -> bool {
        if let Some(pid) = self.process.id().and_then(|pid| i32::try_from(pid).ok()) {
            // An error means that it is gone already.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        match tokio::time::timeout(grace, self.process.wait()).await {
            Ok(status) => status.is_ok_and(|status| status.success()),
            Err(_) => {
                tracing::warn!(child = self.name, "did not stop in time and was killed");
                let _ = self.process.kill().await;
                false
            }
        }
    }

    /// The last lines of its log, for messages.
    pub(super) fn last_words(&self) -> String {
        last_lines(&self.log, 5)
    }
}

fn last_lines(path: &Path, count: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().rev().take(count).collect();
    lines.into_iter().rev().map(|l| format!("  {}", crate::domain::clip_text(l, 300))).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(dir: &Path, script: &str) -> ChildSpec {
        ChildSpec {
            name: "shell".to_owned(),
            program: "sh".into(),
            arguments: ["-c", script].map(OsString::from).to_vec(),
            environment: vec![("WORD", "hello".to_owned())],
            log: dir.join("log"),
        }
    }

    #[tokio::test]
    async fn a_child_gets_its_environment_and_its_output_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let launcher = Launcher::detect().await;
        let mut child = launcher.start(spec(dir.path(), "echo $WORD; exit 3")).unwrap();
        assert_eq!(child.ended().await.unwrap().code(), Some(3));
        assert_eq!(child.last_words(), "  hello");
    }

    #[tokio::test]
    async fn a_child_that_ignores_sigterm_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let launcher = Launcher { death_signal: false };
        let script = "trap '' TERM; echo ready; while :; do sleep 0.02; done";
        let mut child = launcher.start(spec(dir.path(), script)).unwrap();
        while child.last_words().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(!child.stop(Duration::from_millis(50)).await);
        assert!(child.try_ended().is_some());
    }

    #[tokio::test]
    async fn a_child_that_stops_by_itself_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let launcher = Launcher { death_signal: false };
        let script = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done";
        let mut child = launcher.start(spec(dir.path(), script)).unwrap();
        while child.last_words().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(child.stop(Duration::from_secs(20)).await);
    }
}
