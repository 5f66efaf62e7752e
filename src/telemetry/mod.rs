//! Logs, panics and the metrics recorder of a process.
//!
//! Servers write one JSON object per line to stdout, where log shippers expect it. Commands whose
//! stdout is data, and `windlass dev`, write plain lines to stderr.

mod json;

use std::fs::File;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::log_filter;
use crate::metrics;

pub use json::Sink;

/// How often histograms are folded; the exporter's documentation asks for a regular call.
const UPKEEP: Duration = Duration::from_secs(5);

/// What went wrong while setting up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level cannot be parsed.
    #[error("log level: {0}")]
    Level(String),
    /// Logging or metrics were set up twice.
    #[error("telemetry: {0}")]
    Setup(String),
}

/// How and where a process logs.
#[derive(Clone, Debug)]
pub enum LogOutput {
    /// JSON lines, for machines.
    Json(Sink),
    /// Plain lines on stderr, for people.
    Plain,
}

/// Starts logging for this process and routes panics into the log.
///
/// # Errors
/// When the level is not valid or logging was started before.
pub fn start_logging(service: &'static str, level: &str, output: &LogOutput) -> Result<(), TelemetryError> {
    let filter = EnvFilter::new(log_filter(level).map_err(TelemetryError::Level)?);
    let layer = match output {
        LogOutput::Json(sink) => json::JsonLayer::new(service, sink.clone()).boxed(),
        LogOutput::Plain => tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .compact()
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init()
        .map_err(|e| TelemetryError::Setup(e.to_string()))?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// A log file as a sink, appended to.
///
/// # Errors
/// When the file cannot be opened.
pub fn file_sink(path: &std::path::Path) -> std::io::Result<Sink> {
    let file = File::options().create(true).append(true).open(path)?;
    Ok(Sink::File(Arc::new(file)))
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
