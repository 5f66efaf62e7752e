//! Names that clients choose. Each is checked once, at the edge, and is safe in a Redis key after.

use std::fmt;
use std::sync::Arc;

/// A name that breaks its rule; the message says which rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not `[a-z0-9][a-z0-9._-]{0,63}`.
    #[error("must match [a-z0-9][a-z0-9._-]{{0,63}}")]
    Pattern,
    /// A `client_request_id` of 0 or more than 255 bytes.
    #[error("must be 1 to 255 bytes long")]
    Length,
    /// A control character in a `client_request_id`.
    #[error("must not contain control characters")]
    Control,
}

fn check_pattern(text: &str) -> Result<(), NameError> {
    let bytes = text.as_bytes();
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ok = (1..=64).contains(&bytes.len())
        && bytes.first().is_some_and(plain)
        && bytes.iter().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'));
    ok.then_some(()).ok_or(NameError::Pattern)
}

fn check_request_id(text: &str) -> Result<(), NameError> {
    if !(1..=255).contains(&text.len()) {
        return Err(NameError::Length);
    }
    if text.chars().any(char::is_control) {
        return Err(NameError::Control);
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` against the rule of this name.
            ///
            /// # Errors
            /// The rule that `text` breaks.
            pub fn new(text: &str) -> Result<Self, NameError> {
                $check(text).map(|()| Self(text.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
    };
}

name! {
    /// A tenant. No workspace reads, names, starves or outspends another.
    Workspace, check_pattern
}
name! {
    /// A line of jobs with its own workers, pause switch and gauges.
    QueueName, check_pattern
}
name! {
    /// What a job does, such as `llm.chat`; an executor is registered under it.
    JobType, check_pattern
}
name! {
    /// The client's own id of a job, unique in its workspace: 1–255 bytes without control
    /// characters, compared as bytes (no Unicode normalisation).
    RequestId, check_request_id
}

name! {
    /// A configured provider of language models.
    ProviderName, check_pattern
}

name! {
    /// A credential of a workspace.
    CredentialName, check_pattern
}

impl QueueName {
    /// The queue of jobs that name none.
    #[must_use]
    pub fn default_queue() -> Self {
        Self("default".into())
    }
}

impl ProviderName {
    /// The server of one's own, of settings that name only an address.
    #[must_use]
    pub fn local() -> Self {
        Self("local".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_their_alphabet() {
        for good in ["a", "0", "llm.chat", "ws-1_x", &"a".repeat(64)] {
            assert!(Workspace::new(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "-a", "a:b", "a b", "a{b}", "ä", "a*", &"a".repeat(65)] {
            assert_eq!(Workspace::new(bad), Err(NameError::Pattern), "{bad}");
        }
    }

    #[test]
    fn request_ids_are_bytes_without_controls() {
        assert!(RequestId::new("req 1:é").is_ok());
        assert_eq!(RequestId::new(""), Err(NameError::Length));
        assert_eq!(RequestId::new(&"x".repeat(256)), Err(NameError::Length));
        assert_eq!(RequestId::new("a\tb"), Err(NameError::Control));
        assert_eq!(RequestId::new("a\u{85}"), Err(NameError::Control));
    }
}
