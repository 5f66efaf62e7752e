//! One held lease inside a worker: until when it is certainly held, and why its attempt must stop.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::{self, Instant};
use crate::store::LeaseRef;

use super::EffectGate;

/// Why an attempt is stopped from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The lease is gone: nothing the attempt says counts any more.
    Lost,
    /// The lease could not be renewed and may end: the attempt must not go on.
    Doubt,
    /// The job was cancelled.
    Cancelled,
    /// The worker shuts down and its grace is over: the job is given back.
    Shutdown,
}

/// A lease as its worker sees it.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) of: LeaseRef,
    /// Fires once, for whichever reason came first.
    pub(super) stop: CancellationToken,
    why: AtomicU8,
    renewed: Mutex<Instant>,
    hold: Duration,
}

impl Lease {
    /// A lease claimed by a call that was sent at `sent`.
    pub(super) fn new(of: LeaseRef, sent: Instant, hold: Duration) -> Arc<Self> {
        let stop = CancellationToken::new();
        Arc::new(Self { of, stop, why: AtomicU8::new(0), renewed: Mutex::new(sent), hold })
    }

    /// A renewal that was sent at `sent` was granted.
    pub(super) fn renew(&self, sent: Instant) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = sent;
    }

    /// Whether the holder has to assume that the lease may end.
    pub(super) fn in_doubt(&self) -> bool {
        let renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        clock::now().duration_since(renewed) >= self.hold
    }

    /// Stops the attempt; the first reason stands.
    pub(super) fn end(&self, why: Stop) {
        let code = match why {
            Stop::Lost => 1,
            Stop::Cancelled => 2,
            Stop::Shutdown => 3,
            Stop::Doubt => 4,
        };
        if self.why.compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        self.stop.cancel();
    }

    /// Why it was stopped; `Lost` unless said otherwise.
    pub(super) fn why(&self) -> Stop {
        match self.why.load(Ordering::Relaxed) {
            2 => Stop::Cancelled,
            3 => Stop::Shutdown,
            4 => Stop::Doubt,
            _ => Stop::Lost,
        }
    }
}

impl EffectGate for Lease {
    fn is_open(&self) -> bool {
        !self.stop.is_cancelled() && !self.in_doubt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AttemptId, JobId, QueueName};

    fn lease(hold: Duration) -> Arc<Lease> {
        let of = LeaseRef { queue: QueueName::default_queue(), job: JobId::new(1, 0), attempt_id: AttemptId::random() };
        Lease::new(of, clock::now(), hold)
    }

    #[test]
    fn no_effect_starts_on_a_lease_in_doubt_or_stopped() {
        assert!(lease(Duration::from_secs(10)).is_open());
        assert!(!lease(Duration::ZERO).is_open());
        let stopped = lease(Duration::from_secs(10));
        stopped.end(Stop::Cancelled);
        assert!(!stopped.is_open());
    }

    #[test]
    fn the_first_reason_to_stop_stands() {
        let lease = lease(Duration::from_secs(10));
        lease.end(Stop::Shutdown);
        lease.end(Stop::Lost);
        assert_eq!(lease.why(), Stop::Shutdown);
    }
}
