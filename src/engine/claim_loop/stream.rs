//! A long line: two exchanges with Redis under way, so that each side works while the other does.

use futures_util::stream::{FuturesOrdered, StreamExt as _};
use tokio_util::sync::CancellationToken;

use crate::domain::bounds;

use super::ClaimLoop;

/// Exchanges under way at once. Measured: a third waits in Redis and gains nothing.
const FLIGHTS: usize = 2;

impl ClaimLoop {
    /// Goes on as long as claims come back full: reports and claims of 100 jobs, two at once. What is
    /// under way at its end has landed.
    pub(super) async fn stream(&mut self, shutdown: &CancellationToken) {
        let mut flights = FuturesOrdered::new();
        loop {
            while let Ok(report) = self.inbox.try_recv() {
                self.take(report);
            }
            self.long_line &= !shutdown.is_cancelled() && self.keeper.registered() && !self.unconfirmed;
            // A call for a few jobs costs Redis more by the job: the loop makes it when there is no other.
            let want = bounds::SCRIPT_ITEMS;
            if self.long_line && flights.len() < FLIGHTS && self.free() >= want * (flights.len() + 1) {
                let Some(queue) = self.options.queue_order().into_iter().next() else { return };
                let batch = self.next_batch(&queue);
                // Of two claims under way only one may bring a suspect.
                flights.push_back(self.flight(queue, batch, want, flights.is_empty()));
                continue;
            }
            if flights.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                Some(landed) = flights.next() => match self.land(landed).await {
                    Some(seen) => {
                        let ends = !self.long_line;
                        self.conclude(&seen, true).await;
                        self.long_line &= !ends;
                    }
                    None => self.long_line = false,
                },
                Some(report) = self.inbox.recv() => self.take(report),
            }
        }
    }
}
