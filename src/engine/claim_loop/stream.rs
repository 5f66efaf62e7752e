//! A long line: two exchanges with Redis under way, so that each side works while the other does.

use std::collections::VecDeque;

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
        let (mut flights, mut grants, mut failed) = (FuturesOrdered::new(), VecDeque::new(), false);
        loop {
            while let Ok(report) = self.inbox.try_recv() {
                self.take(report);
            }
            self.long_line &= !shutdown.is_cancelled() && self.keeper.registered(self.shard) && !failed;
            // A call for a few jobs costs Redis more by the job: the loop makes it when there is no other.
            if self.long_line && flights.len() < FLIGHTS && self.free() >= bounds::SCRIPT_ITEMS {
                let Some(queue) = self.options.queue_order().into_iter().next() else { return };
                let grant = self.slots.take(self.shard, bounds::SCRIPT_ITEMS);
                let batch = self.next_batch(&queue);
                flights.push_back(self.flight(queue, batch, grant.slots, grant.suspect && self.suspects == 0));
                grants.push_back(grant);
                continue;
            }
            if flights.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                Some(landed) = flights.next() => {
                    let seen = self.land(landed).await;
                    let (came, suspects) = seen.as_ref().map_or((0, 0), |seen| (seen.came, seen.suspects));
                    self.slots.settle(self.shard, grants.pop_front().unwrap_or_default(), came, suspects);
                    self.show_busy();
                    let ends = !self.long_line;
                    failed |= !seen.is_some_and(|seen| self.conclude(&seen, true, 0));
                    self.long_line &= !ends;
                }
                Some(report) = self.inbox.recv() => self.take(report),
            }
        }
        if failed {
            self.back_off().await;
        }
    }
}
