//! Traces of a process, if they are wanted and built in.

use crate::config::TracesConfig;
use crate::engine::Tracer;

use super::TelemetryError;
#[cfg(feature = "otel")]
use super::otlp;

/// The traces of a process. When it is dropped, spans that wait are sent.
#[must_use]
pub struct Traces {
    tracer: Tracer,
    #[cfg(feature = "otel")]
    exporting: Option<otlp::Exporting>,
}

impl Traces {
    /// Starts exporting, if the settings say where to.
    ///
    /// # Errors
    /// When that cannot be set up.
    #[cfg(feature = "otel")]
    pub fn start(config: &TracesConfig, service: &str) -> Result<Self, TelemetryError> {
        let (tracer, exporting) = otlp::start(config, service)?;
        Ok(Self { tracer, exporting })
    }

    /// This build has no exporter.
    ///
    /// # Errors
    /// When the settings want one.
    #[cfg(not(feature = "otel"))]
    pub fn start(config: &TracesConfig, _service: &str) -> Result<Self, TelemetryError> {
        match config.endpoint {
            Some(_) => Err(TelemetryError::Setup("this build has no traces; build with the feature otel".to_owned())),
            None => Ok(Self { tracer: Tracer::default() }),
        }
    }

    /// Makes spans.
    #[must_use]
    pub fn tracer(&self) -> Tracer {
        self.tracer.clone()
    }
}

#[cfg(feature = "otel")]
impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(exporting) = &self.exporting {
            exporting.finish();
        }
    }
}
