//! One exchange with Redis: on its way, landed, and what it says of the line.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{self, Instant};
use crate::domain::{AttemptId, QueueName, bounds};
use crate::store::{Answer, ClaimRequest, Claims, Finished, StoreError};

use super::{ClaimLoop, LOOK_AGAIN, NOT_YET};

/// A call that came back.
pub(super) struct Landed {
    queue: QueueName,
    batch: Vec<Finished>,
    want: usize,
    /// When it was sent: its leases are as old.
    sent: Instant,
    outcome: Result<(Vec<Answer>, Claims), StoreError>,
}

/// What calls said of the line.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Jobs that came.
    pub(super) came: usize,
    /// As many as were asked for.
    full: bool,
    /// As many as one call can bring.
    long: bool,
    /// Work waits that this worker cannot take.
    declined: bool,
    /// Until something else becomes due.
    due: Option<Duration>,
}

impl Seen {
    pub(super) fn add(&mut self, other: &Self) {
        self.came += other.came;
        self.full |= other.full;
        self.long |= other.long;
        self.declined |= other.declined;
        self.due = self.due.into_iter().chain(other.due).min();
    }
}

impl ClaimLoop {
    /// A call on its way: it holds no part of the loop. `may_suspect`: whether this process runs none.
    pub(super) fn flight(
        &self,
        queue: QueueName,
        batch: Vec<Finished>,
        want: usize,
        may_suspect: bool,
    ) -> impl Future<Output = Landed> + use<> {
        let (store, types, worker, lease) =
            (self.store.clone(), Arc::clone(&self.offered.borrow()), self.worker, self.options.timing.lease);
        let (may_suspect, may_reap) = (may_suspect && self.suspects == 0, self.keeper.may_reap(self.shard));
        async move {
            let attempt_id = AttemptId::random();
            let request =
                ClaimRequest { queue: &queue, want, worker, attempt_id, lease, may_suspect, may_reap, types: &types };
            let sent = clock::now();
            let outcome = match &batch[..] {
                [] => store.claim(&request).await.map(|claims| (Vec::new(), claims)),
                _ => store.cycle(&batch, &request).await,
            };
            Landed { queue, batch, want, sent, outcome }
        }
    }

    /// Takes in what a call brought; nothing when Redis did not do it.
    pub(super) async fn land(&mut self, landed: Landed) -> Option<Seen> {
        let Landed { queue, batch, want, sent, outcome } = landed;
        match outcome {
            Ok((answers, claims)) => {
                let repeat = self.settle(batch, &answers);
                self.keep(repeat);
                let came = claims.jobs.len();
                let (due, declined, full) = (claims.next_due, claims.declined, want > 0 && came == want);
                self.start_all(claims, sent);
                Some(Seen { came, full, long: came == bounds::SCRIPT_ITEMS, declined, due })
            }
            Err(error) => {
                self.failed(&queue, batch, &error).await;
                None
            }
        }
    }

    /// Goes by what was seen of the line.
    pub(super) fn conclude(&mut self, seen: &Seen, may_claim: bool) {
        self.turn();
        if self.unconfirmed {
            self.failures += 1;
            self.long_line = false;
            (self.hungry, self.tired) = (true, true);
            return;
        }
        self.failures = 0;
        self.hungry = (seen.full || !may_claim) && (self.free() > 0 || self.slots.shared());
        self.long_line = seen.long;
        // What is overdue and may not be reaped yet must not make this a busy loop.
        let floor = if self.keeper.may_reap(self.shard) { LOOK_AGAIN } else { NOT_YET };
        self.look_at = seen.due.map(|wait| clock::now() + wait.max(floor));
        self.quiet_until = seen.declined.then(|| clock::now() + LOOK_AGAIN);
    }
}
