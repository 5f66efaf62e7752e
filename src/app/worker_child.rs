//! Worker processes of our own binary, for `dev` and `demo`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::StartError;
use super::child::{Child, ChildSpec, Launcher};

/// On top of the drain grace, before a worker that does not stop is killed.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// How to start worker processes.
#[derive(Debug)]
pub(super) struct WorkerChildren {
    launcher: Launcher,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, String)>,
    data: PathBuf,
    grace: Duration,
    started: usize,
}

impl WorkerChildren {
    /// `environment` holds the settings that differ from this process's own.
    pub(super) fn new(
        launcher: Launcher,
        config_file: Option<&Path>,
        environment: Vec<(&'static str, String)>,
        data: &Path,
        grace: Duration,
    ) -> Result<Self, StartError> {
        let program = std::env::current_exe().map_err(StartError::part)?;
        let mut arguments = vec![OsString::from("worker")];
        if let Some(file) = config_file {
            arguments.extend(["--config".into(), file.as_os_str().to_owned()]);
        }
        Ok(Self { launcher, program, arguments, environment, data: data.to_owned(), grace, started: 0 })
    }

    /// Starts one more. Must be called on the main thread.
    pub(super) fn start(&mut self) -> Result<Child, StartError> {
        self.started += 1;
        let name = format!("worker-{}", self.started);
        let spec = ChildSpec {
            log: self.data.join(format!("{name}.log")),
            name,
            program: self.program.clone(),
            arguments: self.arguments.clone(),
            environment: self.environment.clone(),
        };
        self.launcher.start(spec).map_err(|e| StartError::Child(format!("cannot start a worker: {e}")))
    }

    /// How long stopping one may take.
    pub(super) fn stop_limit(&self) -> Duration {
        self.grace + STOP_MARGIN
    }
}
