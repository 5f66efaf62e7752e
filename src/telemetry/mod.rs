//! Logs, panics and the metrics recorder of a process.
//!
//! Servers write one JSON object per line to stdout, where log shippers expect it, and to files if `LOG_DIR` says so.
//! Commands whose stdout is data, and `windlass dev`, write plain lines to stderr.

mod archive;
mod files;
mod json;
mod lane;
mod levels;
mod line;
mod log_file;
#[cfg(feature = "otel")]
mod otlp;
mod traces;

use std::fs::File;
use std::io::IsTerminal;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, reload};

use crate::metrics;

pub use files::FileLogs;
pub use levels::Levels;
pub use traces::Traces;

use files::Files;
use json::JsonLayer;
use lane::{Lane, Plain};

/// How often histograms are folded; the exporter's documentation asks for a regular call.
const UPKEEP: Duration = Duration::from_secs(5);

/// The end of a process waits this long for its last lines: a pipe that nobody reads must not hold it up.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The same for a thread that panics, which may be one of many.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What went wrong while setting up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level cannot be parsed.
    #[error("log level: {0}")]
    Level(String),
    /// The log files cannot be written.
    #[error("LOG_DIR: cannot write logs to {dir}: {why}")]
    Files {
        /// Where.
        dir: String,
        /// Why.
        why: std::io::Error,
    },
    /// Logging or metrics were set up twice, or a thread could not be had.
    #[error("telemetry: {0}")]
    Setup(String),
}

/// How and where a process logs.
#[derive(Debug)]
pub enum LogOutput {
    /// JSON lines on stdout, for machines, and in files if wanted. The second is the role, as in names of folders.
    Server(Option<FileLogs>, &'static str),
    /// JSON lines in one file.
    File(File),
    /// Plain lines on stderr, for people.
    Plain,
}

/// The logging of a process. When it is dropped, lines that wait are written.
#[must_use]
pub struct Logging {
    lanes: Vec<Lane>,
    levels: Levels,
}

impl Logging {
    /// What is logged, and how to change that.
    #[must_use]
    pub fn levels(&self) -> &Levels {
        &self.levels
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.lanes.iter().for_each(|lane| lane.flush(LAST_LINES));
    }
}

/// Starts logging for this process and routes panics into the log.
///
/// # Errors
/// When the level is not valid, files cannot be written or logging was started before.
pub fn start_logging(service: &'static str, level: &str, output: LogOutput) -> Result<Logging, TelemetryError> {
    let lanes = lanes(output)?;
    let audited = !lanes.is_empty();
    let (filter, handle) = reload::Layer::new(levels::filter(level, audited).map_err(TelemetryError::Level)?);
    let layer = if audited {
        JsonLayer::new(service, lanes.clone()).boxed()
    } else {
        tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .compact()
            .boxed()
    };
    let setup = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    setup.map_err(|e| TelemetryError::Setup(e.to_string()))?;
    let last = lanes.clone();
    std::panic::set_hook(Box::new(move |info| {
        log_panic(info);
        last.iter().for_each(|lane| lane.flush(LAST_WORDS));
    }));
    Ok(Logging { lanes, levels: Levels::new(level, audited, handle) })
}

/// Where JSON lines go; nowhere for plain ones.
fn lanes(output: LogOutput) -> Result<Vec<Lane>, TelemetryError> {
    let started = |lane: std::io::Result<Lane>| lane.map_err(|e| TelemetryError::Setup(e.to_string()));
    match output {
        LogOutput::Plain => Ok(Vec::new()),
        LogOutput::File(file) => Ok(vec![started(Lane::start("log", Plain(file)))?]),
        LogOutput::Server(files, role) => {
            let mut lanes = vec![started(Lane::start("stdout", Plain(std::io::stdout())))?];
            if let Some(logs) = files {
                let failed = |why| TelemetryError::Files { dir: logs.dir.display().to_string(), why };
                lanes.push(started(Lane::start("log-files", Files::open(&logs, role).map_err(failed)?))?);
            }
            Ok(lanes)
        }
    }
}

fn log_panic(info: &std::panic::PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let message = crate::domain::clip_text(text.unwrap_or("(no message)"), 2048);
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current().name().unwrap_or_default().to_owned();
    tracing::error!(panic = message, place, thread, "a thread panicked");
}

/// Installs the metrics recorder of this process; call it once, and let [`keep_folded`] run beside it.
///
/// # Errors
/// When a recorder is installed already.
pub fn start_metrics() -> Result<PrometheusHandle, TelemetryError> {
    let setup = |e: metrics_exporter_prometheus::BuildError| TelemetryError::Setup(e.to_string());
    let mut builder = PrometheusBuilder::new();
    for (name, buckets) in metrics::histograms() {
        builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets).map_err(setup)?;
    }
    let handle = builder.install_recorder().map_err(setup)?;
    metrics::describe();
    // Exists at 0, or the first lines that are dropped would be no increase.
    ::metrics::counter!(metrics::LOG_LINES_DROPPED.name).increment(0);
    ::metrics::gauge!(metrics::BUILD_INFO.name, metrics::label::VERSION => crate::VERSION).set(1.0);
    Ok(handle)
}

/// Folds the recorder's histograms regularly, until it is dropped.
pub async fn keep_folded(handle: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}
