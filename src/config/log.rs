//! What a process tells: its log and its metrics.

use std::path::PathBuf;

use secrecy::SecretString;

use super::catalogue as c;
use super::layers::Resolved;

/// The log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// What is logged: a level, or the syntax of `EnvFilter`.
    pub level: String,
    /// The folder for log files; `None` for stdout only.
    pub dir: Option<PathBuf>,
    /// A file with this many bytes is put away.
    pub rotate_bytes: u64,
    /// Days for which files that were put away are kept.
    pub keep_days: u64,
}

/// Who may read metrics.
#[derive(Clone, Debug)]
pub struct MetricsConfig {
    /// Whether a token is wanted.
    pub closed: bool,
    /// One that works beside API keys.
    pub token: Option<SecretString>,
}

impl LogConfig {
    pub(super) fn of(r: &Resolved) -> Self {
        Self {
            level: r.text(&c::LOG_LEVEL).unwrap_or_else(|| "info".to_owned()),
            dir: r.text(&c::LOG_DIR).map(PathBuf::from),
            rotate_bytes: r.integer(&c::LOG_ROTATE_BYTES),
            keep_days: r.integer(&c::LOG_KEEP_DAYS),
        }
    }
}

impl MetricsConfig {
    pub(super) fn of(r: &Resolved) -> Self {
        Self { closed: r.text(&c::METRICS_AUTH).as_deref() == Some("token"), token: r.secret(&c::METRICS_TOKEN) }
    }
}
