//! What operators told this worker process from afar.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::{Order, WorkerId};

/// The orders in force. The latest of quiet and resume counts; a stop is not taken back.
#[derive(Debug)]
pub(super) struct Orders {
    /// Who told it to be quiet, while it is to be.
    quiet: watch::Sender<Option<String>>,
    /// Who told it to stop.
    stop: watch::Sender<Option<String>>,
    stopped: CancellationToken,
}

impl Default for Orders {
    fn default() -> Self {
        Self { quiet: watch::channel(None).0, stop: watch::channel(None).0, stopped: CancellationToken::new() }
    }
}

impl Orders {
    /// Obeys an order of an operator of this name.
    pub(super) fn take(&self, worker: WorkerId, order: Order, by: &str) {
        let ignored = self.stopped.is_cancelled();
        tracing::info!(worker_id = %worker, %order, by, ignored, "an order from afar");
        match order {
            _ if ignored => {}
            Order::Quiet => drop(self.quiet.send_replace(Some(by.to_owned()))),
            Order::Resume => drop(self.quiet.send_replace(None)),
            Order::Stop => {
                self.stop.send_replace(Some(by.to_owned()));
                self.stopped.cancel();
            }
        }
    }

    /// Changes of being quiet.
    pub(super) fn changes(&self) -> watch::Receiver<Option<String>> {
        self.quiet.subscribe()
    }

    /// Whether it is to claim nothing.
    pub(super) fn quiet(&self) -> bool {
        self.quiet.borrow().is_some()
    }

    /// Fires when it is to stop.
    pub(super) fn stopped(&self) -> CancellationToken {
        self.stopped.clone()
    }

    /// Who told it to stop, or else to be quiet.
    pub(super) fn by(&self) -> Option<String> {
        self.stop.borrow().clone().or_else(|| self.quiet.borrow().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_order_counts_until_it_is_told_to_stop() {
        let (orders, id) = (Orders::default(), WorkerId::fresh());
        orders.take(id, Order::Quiet, "alice");
        assert!(orders.quiet() && orders.by().as_deref() == Some("alice"));
        orders.take(id, Order::Resume, "bob");
        assert!(!orders.quiet() && orders.by().is_none());
        orders.take(id, Order::Stop, "carol");
        orders.take(id, Order::Resume, "bob");
        assert!(orders.stopped().is_cancelled() && orders.by().as_deref() == Some("carol"));
    }
}
