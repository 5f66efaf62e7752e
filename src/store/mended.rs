//! One connection to Redis that is made anew when it is of no more use.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fred::interfaces::{ClientLike, EventInterface};
use fred::prelude::Client;
use futures_util::FutureExt;

use crate::clock::{self, Instant};

/// Longer than fred takes to begin with an order to replace a connection.
const ORDERED: Duration = Duration::from_secs(2);

/// A client whose connection is replaced when it does not answer. fred's own check looks at the time
/// since the latest write, so that it never finds a silent connection that is still written to, and
/// passes over blocked ones.
pub(super) struct Mended {
    client: Client,
    /// Since when it is being replaced.
    replacing: Arc<Mutex<Option<Instant>>>,
}

impl Mended {
    pub(super) fn new(client: Client) -> Self {
        let replacing = Arc::<Mutex<Option<Instant>>>::default();
        let since = Arc::clone(&replacing);
        drop(client.on_reconnect(move |_| {
            *since.lock().unwrap_or_else(PoisonError::into_inner) = None;
            std::future::ready(Ok(()))
        }));
        Self { client, replacing }
    }

    /// Ends the connection and its task.
    pub(super) fn close(&self) {
        // The first poll hands the order to the client's own task.
        drop(self.client.quit().now_or_never());
    }

    /// Whether what is sent over it now is sent at once. fred calls a client connected until it looks after the order
    /// to replace its connection, and what it is given in between waits for the new one, however long that takes.
    pub(super) fn stands(&self) -> bool {
        let replacing = *self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        self.client.is_connected() && !self.is_under_way(replacing)
    }

    /// Whether an order to replace the connection is not carried out yet. fred looks after it at once; a client that is
    /// connected long after it has its new connection.
    fn is_under_way(&self, ordered: Option<Instant>) -> bool {
        ordered.is_some_and(|at| !self.client.is_connected() || at.elapsed() <= ORDERED)
    }

    /// Drops the connection and makes a new one, in the background. Commands under way on it end as
    /// unknown. `false` when it is being replaced already.
    pub(super) fn replace(&self, why: &str) -> bool {
        let mut replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_under_way(*replacing) {
            return false;
        }
        *replacing = Some(clock::now());
        tracing::warn!(why, "a connection to Redis is replaced");
        // The first poll hands the order to the client's own task.
        drop(self.client.force_reconnection().now_or_never());
        true
    }
}

impl std::ops::Deref for Mended {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
