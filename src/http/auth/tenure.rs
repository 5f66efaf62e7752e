//! How long the key behind an answer without an end is believed.

use super::cache::LIFE;
use super::{Auth, Caller};
use crate::clock::{self, Instant};

/// The key of a stream, and until when nobody has to look whether it was revoked.
pub(in crate::http) struct Tenure {
    caller: Caller,
    until: Instant,
}

impl Tenure {
    /// Of a caller that was let in just now.
    pub(in crate::http) fn of(caller: Caller) -> Self {
        Self { caller, until: clock::now() + LIFE }
    }

    /// Whose key it is.
    pub(in crate::http) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// When the key has to be looked at again.
    pub(in crate::http) fn until(&self) -> Instant {
        self.until
    }

    /// Whether the key is certainly gone; asks when it is time. Not for an arm of `select!`: where something else always
    /// comes first, a look that is dropped for it would never be made.
    pub(in crate::http) async fn is_over(&mut self, auth: &Auth) -> bool {
        if clock::now() < self.until {
            return false;
        }
        let gone = self.caller.is_revoked(auth).await;
        self.until = clock::now() + LIFE;
        gone
    }
}
