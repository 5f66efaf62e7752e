//! Why a process could not start or go on.

use std::path::{Path, PathBuf};

use crate::cli::{Code, Failure};

/// Why a process could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No Redis server to start.
    #[error(
        "`windlass dev` needs a Redis server, and neither valkey-server nor redis-server is installed.\n\
         Debian, Ubuntu:  sudo apt-get install redis-server\n\
         Fedora:          sudo dnf install valkey\n\
         macOS:           brew install redis\n\
         elsewhere:       name a binary with --redis-bin"
    )]
    NoRedis,
    /// Another process uses the data folder.
    #[error("{} is in use by another `windlass dev` or `windlass demo`", .0.display())]
    Busy(PathBuf),
    /// A folder or file cannot be used.
    #[error("cannot use {}: {reason}", path.display())]
    Folder {
        /// What.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A child process did not start.
    #[error("{0}")]
    Child(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        reason: String,
    },
    /// A part of the engine did not start or ended with an error.
    #[error("{0}")]
    Part(String),
}

impl StartError {
    pub(super) fn folder(path: &Path, error: &std::io::Error) -> Self {
        Self::Folder { path: path.to_owned(), reason: error.to_string() }
    }

    pub(super) fn listen(address: impl std::fmt::Display, error: &std::io::Error) -> Self {
        Self::Listen { address: address.to_string(), reason: error.to_string() }
    }

    pub(super) fn part(error: impl std::fmt::Display) -> Self {
        Self::Part(error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::new(Code::Failure, error)
    }
}
