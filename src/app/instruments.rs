//! What the parts of a process tell of themselves with.

use metrics_exporter_prometheus::PrometheusHandle;

use crate::engine::Tracer;
use crate::telemetry::Levels;

/// Metrics, the log's levels and traces of one process.
#[derive(Clone)]
pub(super) struct Instruments {
    /// Renders the metrics.
    pub(super) prometheus: PrometheusHandle,
    /// What is logged.
    pub(super) levels: Levels,
    /// Takes spans.
    pub(super) tracer: Tracer,
}
