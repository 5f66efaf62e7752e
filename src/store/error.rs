//! How a call to Redis can end: done, definitely not done, or unknown.

/// Why a call did not return a value. Which variant it is decides what a caller may do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Definitely not done: Redis could not be reached, refused the connection, or is loading.
    #[error("Redis is unavailable: {0}")]
    Unavailable(String),
    /// Maybe done: the command was sent and no answer came. Only an idempotent repeat tells.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// Done on the primary, and not known to be durable: too few replicas said so in time. Only under
    /// strict. Repeating is safe, and tells.
    #[error("not known to be durable: {0}")]
    NotDurable(String),
    /// Definitely not done: Redis has reached its memory limit.
    #[error("Redis is out of memory: {0}")]
    Full(String),
    /// Definitely not done: Redis refuses writes (a replica, a failed save, a full disk).
    #[error("Redis refuses writes: {0}")]
    ReadOnly(String),
    /// A bug or foreign data: a reply or a record that does not have the expected shape.
    #[error("unexpected data in Redis: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Whether the call may have taken effect.
    #[must_use]
    pub fn maybe_done(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::NotDurable(_) | Self::Corrupt(_))
    }

    /// The same failure of a read that comes before a change: what is asked for was certainly not done.
    #[must_use]
    pub fn before_change(self) -> Self {
        match self {
            Self::Unknown(why) => Self::Unavailable(why),
            other => other,
        }
    }

    /// The same failure of a read that follows a change: nobody may be told any more that nothing was done.
    #[must_use]
    pub fn after_change(self) -> Self {
        match self {
            Self::Unavailable(why) | Self::ReadOnly(why) | Self::Full(why) => Self::Unknown(why),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_read_before_a_change_says_that_nothing_was_done() {
        let silent = StoreError::Unknown("silent".to_owned());
        assert_eq!(silent.before_change(), StoreError::Unavailable("silent".to_owned()));
        assert_eq!(StoreError::Full("x".to_owned()).before_change(), StoreError::Full("x".to_owned()));
    }

    #[test]
    fn a_failed_read_after_a_change_does_not_say_that_nothing_was_done() {
        for error in [StoreError::Unavailable, StoreError::ReadOnly, StoreError::Full] {
            assert_eq!(error("away".to_owned()).after_change(), StoreError::Unknown("away".to_owned()));
        }
        assert_eq!(StoreError::Corrupt("x".to_owned()).after_change(), StoreError::Corrupt("x".to_owned()));
    }
}
