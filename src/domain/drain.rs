//! What becomes of a queue's jobs when the deadline of its drain has passed.

use std::fmt;
use std::str::FromStr;

use super::QueueName;

/// What becomes of what is left at a drain's deadline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DrainThen {
    /// It stays in line.
    #[default]
    Keep,
    /// It is set aside until someone releases it.
    Hold,
    /// It goes to another queue.
    Move(QueueName),
}

/// A text that says none of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be keep, hold or move:<queue>")]
pub struct DrainThenError;

impl fmt::Display for DrainThen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("keep"),
            Self::Hold => f.write_str("hold"),
            Self::Move(queue) => write!(f, "move:{queue}"),
        }
    }
}

impl FromStr for DrainThen {
    type Err = DrainThenError;

    fn from_str(text: &str) -> Result<Self, DrainThenError> {
        match (text, text.strip_prefix("move:")) {
            ("keep", _) => Ok(Self::Keep),
            ("hold", _) => Ok(Self::Hold),
            (_, Some(queue)) => QueueName::new(queue).map(Self::Move).map_err(|_| DrainThenError),
            _ => Err(DrainThenError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_then_is_read_as_it_is_written() {
        for text in ["keep", "hold", "move:mail"] {
            assert_eq!(text.parse::<DrainThen>().map(|then| then.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "move", "move:", "move:A b", "drop"] {
            assert_eq!(text.parse::<DrainThen>(), Err(DrainThenError), "{text}");
        }
    }
}
