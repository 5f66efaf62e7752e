//! Blocks as an operator would run them: bash, the environment of the stack, a limit.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use windlass::clock;

use crate::support::processes::wait_long_for;

/// A block that takes longer hangs: some are ten processes, each of which takes seconds on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// What a block left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    /// `None` when it was stopped.
    pub(crate) code: Option<i32>,
    /// Both streams, as a terminal shows them.
    pub(crate) output: String,
}

/// Runs a script to its end.
pub(crate) fn run(script: &str, folder: &Path, environment: &BTreeMap<String, String>) -> Ran {
    let shown = folder.join("output.log");
    let file = File::create(&shown).expect("a writable folder");
    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("set -eu\n{script}")]).current_dir(folder).env_clear().envs(environment);
    bash.stdin(Stdio::null()).stdout(file.try_clone().expect("a second handle")).stderr(file).process_group(0);
    let mut child = bash.spawn().expect("bash is installed");
    let end = clock::now() + LIMIT;
    let mut status = None;
    wait_long_for("a block ends or its time is up", || {
        status = child.try_wait().expect("a status");
        status.is_some() || clock::now() >= end
    });
    // What it left in the background goes with it.
    let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
    let _ = child.wait();
    let output = String::from_utf8_lossy(&std::fs::read(&shown).expect("its output")).into_owned();
    Ran { code: status.and_then(|status| status.code()), output }
}
