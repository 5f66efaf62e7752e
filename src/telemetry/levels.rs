//! What is logged, changeable while the process runs.

use std::sync::Arc;

use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::log_filter;
use crate::domain::AUDIT;

/// What is logged; cheap to clone.
#[derive(Clone, Debug)]
pub struct Levels {
    own: Arc<str>,
    audited: bool,
    handle: reload::Handle<EnvFilter, Registry>,
}

impl Levels {
    pub(super) fn new(own: &str, audited: bool, handle: reload::Handle<EnvFilter, Registry>) -> Self {
        Self { own: own.into(), audited, handle }
    }

    /// The settings' own level.
    #[must_use]
    pub fn own(&self) -> &str {
        &self.own
    }

    /// Logs by this level from now on, or by the settings' own again.
    ///
    /// # Errors
    /// What is wrong with the level; the one before stays.
    pub fn set(&self, level: Option<&str>) -> Result<(), String> {
        let filter = filter(level.unwrap_or(&self.own), self.audited)?;
        self.handle.reload(filter).map_err(|error| error.to_string())
    }
}

/// The filter of a level. Who did what is written whatever the level is, except to a person's terminal.
pub(super) fn filter(level: &str, audited: bool) -> Result<EnvFilter, String> {
    let mut directives = log_filter(level)?;
    if audited {
        directives.push_str(&format!(",{AUDIT}=info"));
    }
    EnvFilter::try_new(directives).map_err(|error| error.to_string())
}
