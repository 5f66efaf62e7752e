//! The end of a worker: it claims nothing more and leaves nothing behind.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock::{self, Instant};

use super::super::lease::Stop;
use super::super::listener::{BellListener, Heard};
use super::{ClaimLoop, LOOK_AGAIN, until};

/// How long the reports of a stopping worker are repeated while Redis is away.
const LAST_REPORTS: Duration = Duration::from_secs(5);

impl ClaimLoop {
    /// Claims nothing more, lets running jobs finish within the grace, gives the rest back.
    pub(super) async fn drain(mut self, mut listener: BellListener) {
        self.vitals.draining.store(true, Ordering::Relaxed);
        self.keeper.nudge();
        let mut grace = Some(clock::now() + self.options.drain_grace);
        let mut give_up: Option<Instant> = None;
        while self.running > 0 || self.has_reports() {
            if self.has_reports() {
                self.exchange(false).await;
            }
            if self.running == 0 {
                let limit = *give_up.get_or_insert_with(|| clock::now() + LAST_REPORTS);
                if self.failures > 0 && clock::now() >= limit {
                    tracing::error!("Redis is away: the last reports are dropped and their leases run out");
                    break;
                }
                continue;
            }
            tokio::select! {
                Some(report) = self.inbox.recv() => self.take(report),
                () = until(grace) => {
                    tracing::info!(running = self.running, "the grace is over: running jobs are given back");
                    self.keeper.end_all(Stop::Shutdown);
                    grace = None;
                }
                heard = listener.heard() => if let Heard::Rang(queue) = heard {
                    self.pass_on(&queue).await;
                },
                () = tokio::time::sleep(LOOK_AGAIN), if self.has_reports() => {}
            }
        }
        if let Some(queue) = listener.last_token() {
            self.pass_on(&queue).await;
        }
    }
}
