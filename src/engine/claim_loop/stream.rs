//! A long line: several exchanges with Redis under way, so that each side works while the other does.

use std::collections::VecDeque;

use futures_util::stream::{FuturesOrdered, StreamExt as _};
use tokio_util::sync::CancellationToken;

use crate::domain::bounds;

use super::ClaimLoop;

/// Exchanges under way at once. Measured: with two Redis sleeps for a quarter of the time, because a reply passes
/// several tasks that queue behind handlers (benches/README.md).
const FLIGHTS: usize = 3;

impl ClaimLoop {
    /// Goes on as long as claims come back full: reports and claims of 100 jobs, [`FLIGHTS`] at once. What is
    /// under way at its end has landed.
    pub(super) async fn stream(&mut self, shutdown: &CancellationToken) {
        let mut flights = FuturesOrdered::new();
        let mut grants = VecDeque::new();
        loop {
            while let Ok(report) = self.inbox.try_recv() {
                self.take(report);
            }
            self.long_line &= !shutdown.is_cancelled() && self.may_claim() && !self.unconfirmed;
            // A call for a few jobs costs Redis more by the job: the loop makes it when there is no other.
            let want = bounds::SCRIPT_ITEMS;
            if self.long_line && flights.len() < FLIGHTS && self.free() >= want {
                let Some(queue) = self.options.queue_order().into_iter().next() else { return };
                let batch = self.next_batch(&queue);
                let grant = self.slots.take(self.shard, want);
                grants.push_back(grant);
                flights.push_back(self.flight(queue, batch, want, grant.suspect));
                continue;
            }
            if flights.is_empty() {
                return self.rest().await;
            }
            tokio::select! {
                biased;
                Some(landed) = flights.next() => {
                    let before = (self.running, self.suspects);
                    let seen = self.land(landed).await;
                    self.settle_grant(grants.pop_front().unwrap_or_default(), before);
                    let goes_on = self.long_line && seen.is_some();
                    if let Some(seen) = seen {
                        self.conclude(&seen, true);
                    }
                    self.long_line &= goes_on;
                }
                Some(report) = self.inbox.recv() => self.take(report),
            }
        }
    }
}
