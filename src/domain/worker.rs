//! How a worker process stands, and what it can be told from afar.

use super::failure::words;

words! {
    /// How a worker process stands.
    WorkerState {
        /// It claims jobs.
        Active = "active",
        /// It was told to claim nothing more; what it runs goes on.
        Quiet = "quiet",
        /// It ends: what it runs may finish within the grace.
        Stopping = "stopping",
        /// It lives, and its claim loop does not come round.
        Deaf = "deaf",
    }
}

words! {
    /// What a worker process can be told from afar.
    Order {
        /// Claim nothing more.
        Quiet = "quiet",
        /// Claim again.
        Resume = "resume",
        /// End as after SIGTERM.
        Stop = "stop",
    }
}

impl WorkerState {
    /// The word that a worker registers. Versions that knew no other say `running` and `draining`, which readers of any
    /// version understand.
    #[must_use]
    pub const fn status(self) -> &'static str {
        match self {
            Self::Active => "running",
            Self::Stopping => "draining",
            Self::Quiet | Self::Deaf => self.as_str(),
        }
    }

    /// The state behind a registered word; one that this version does not know is of a worker that claims.
    #[must_use]
    pub fn from_status(status: &str) -> Self {
        Self::ALL.iter().copied().find(|state| state.status() == status).unwrap_or(Self::Active)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_registers_is_read_back() {
        for state in WorkerState::ALL {
            assert_eq!(WorkerState::from_status(state.status()), *state);
        }
        assert_eq!(WorkerState::from_status("of tomorrow"), WorkerState::Active);
    }
}
