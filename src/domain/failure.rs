//! Why an attempt or a job failed, as data. A job's failure is never a Rust `Error`.

use sha2::{Digest, Sha256};

use super::Timestamp;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word used in the API, in metrics and in Redis.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The value of a word; `None` for a word this version does not know.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// The kind of a failure. A job's last failure keeps the kind of its last attempt, unless the
    /// queue itself gave up on it.
    FailureReason {
        /// The attempt failed in a way that a later one may not.
        Error = "error",
        /// The last allowed attempt failed.
        RetriesExhausted = "retries_exhausted",
        /// Trying again cannot help.
        Permanent = "permanent",
        /// The attempt passed its run deadline.
        Timeout = "timeout",
        /// The job crashed its worker process again and again.
        Poison = "poison",
        /// The input does not fit its type's schema.
        Invalid = "invalid",
        /// The type is not allow-listed for this worker.
        NotAllowed = "not_allowed",
        /// The handler panicked.
        Panic = "panic",
        /// A provider asked for patience.
        RateLimited = "rate_limited",
        /// A provider's answer ended before it was complete.
        Truncated = "truncated",
        /// A provider withheld its answer.
        ContentFilter = "content_filter",
        /// The worker process died while it ran the job.
        Crashed = "crashed",
        /// An effect may have happened, and nobody can tell.
        OutcomeUnknown = "outcome_unknown",
        /// A credential is no longer accepted: someone has to renew it.
        NeedsReauth = "needs_reauth",
        /// The rules for this action want someone to approve it first.
        ApprovalRequired = "approval_required",
        /// Someone was asked to approve it, and said no.
        Rejected = "rejected",
    }
}

/// The longest failure message that is kept, in bytes.
const MESSAGE_LIMIT: usize = 2 * 1024;

/// One failure as operators and clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub reason: FailureReason,
    /// For people: at most 2 KiB, no control characters but newline and tab.
    pub message: String,
    /// The same for failures of the same cause, so that dead letters group.
    pub fingerprint: String,
    /// When.
    pub at: Timestamp,
}

impl Failure {
    /// Builds a failure, clipping the message and computing the fingerprint.
    #[must_use]
    pub fn new(reason: FailureReason, message: &str, at: Timestamp) -> Self {
        let message = clip_text(message, MESSAGE_LIMIT);
        let fingerprint = fingerprint(reason, &message);
        Self { reason, message, fingerprint, at }
    }
}

/// Cuts `text` to at most `limit` bytes on a character boundary and replaces control characters
/// (newline and tab excepted), so that it is safe in a log line and a terminal.
#[must_use]
pub fn clip_text(text: &str, limit: usize) -> String {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end]
        .chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c })
        .collect::<String>()
        .trim_end()
        .to_owned()
}

/// A 12-digit hash of the reason and of the message with its variable parts (digits, quoted text,
/// long hex or id-like words) taken out, in the spirit of how error trackers group events.
#[must_use]
pub fn fingerprint(reason: FailureReason, message: &str) -> String {
    let mut shape = String::from(reason.as_str());
    let first_line = message.lines().next().unwrap_or_default();
    for word in first_line.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '=' | ',' | '(' | ')')) {
        let variable = word.chars().any(|c| c.is_ascii_digit()) || word.len() > 32;
        shape.push(' ');
        shape.push_str(if variable { "#" } else { word });
    }
    Sha256::digest(shape.as_bytes()).iter().take(6).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_split_a_group() {
        let a = fingerprint(FailureReason::Error, "host 10.0.0.1 refused after 31 ms");
        let b = fingerprint(FailureReason::Error, "host 10.0.0.2 refused after 7 ms");
        assert_eq!(a, b);
        assert_ne!(a, fingerprint(FailureReason::Timeout, "host 10.0.0.1 refused after 31 ms"));
    }

    #[test]
    fn messages_are_clipped_on_characters_and_cleaned() {
        assert_eq!(clip_text("äää", 3), "ä");
        assert_eq!(clip_text("a\u{1b}[2Jb\n", 10), "a\u{fffd}[2Jb");
    }

    #[test]
    fn words_round_trip() {
        for reason in FailureReason::ALL {
            assert_eq!(FailureReason::from_word(reason.as_str()), Some(*reason));
        }
    }
}
