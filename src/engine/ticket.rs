//! Whether an enqueue that waits for its turn was sent: what its client is told when it has waited long enough.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::store::{StoreError, StoreOptions};

/// Beyond the timeout of a command: room for the repeats of a call whose connection broke.
const GRACE: Duration = Duration::from_secs(1);

const WAITS: u8 = 0;
const SENT: u8 = 1;
const GIVEN_UP: u8 = 2;

/// How long an enqueue is waited for, its turn and its repeats included: the timeout of a command, what `strict` waits
/// for replicas, and a second.
pub(super) fn patience(options: &StoreOptions) -> Duration {
    options.command_timeout + options.strict.map(|strict| strict.wait).unwrap_or_default() + GRACE
}

/// Shared by who waits for an enqueue and who sends it. Only one of them can be first.
#[derive(Debug, Default)]
pub(super) struct Ticket(AtomicU8);

impl Ticket {
    /// Says that it is sent now; `false` when nobody waits for it any more and it must not be.
    pub(super) fn send(&self) -> bool {
        self.0.compare_exchange(WAITS, SENT, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Ends the wait, and says what is known then.
    pub(super) fn give_up(&self) -> StoreError {
        match self.0.compare_exchange(WAITS, GIVEN_UP, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => StoreError::Unavailable("its turn did not come in time".to_owned()),
            Err(_) => StoreError::Unknown("no answer in time".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_up_is_never_sent_and_what_was_sent_is_never_refused() {
        let (waits, sent) = (Ticket::default(), Ticket::default());
        assert!(matches!(waits.give_up(), StoreError::Unavailable(_)));
        assert!(!waits.send());
        assert!(sent.send());
        assert!(matches!(sent.give_up(), StoreError::Unknown(_)));
    }
}
