//! An operation's way through the jobs of one shard.

use std::time::Duration;

use crate::clock;
use crate::domain::{JobId, Operation, OperationCounts};
use crate::store::{LAST_PASS, OperationPart, PLACE_END, PartPlace, Step, Store, StoreError, Survey};

/// Jobs looked at in one call.
pub(super) const LOOK: usize = 500;

/// Calls that found nothing before how far the walk is goes on record.
const UNRECORDED: usize = 20;

/// The way through one shard. What it did is in Redis; this is where it is.
#[derive(Debug)]
pub(super) struct Walk {
    store: Store,
    /// As it was last seen in Redis.
    part: OperationPart,
    /// How far it is; ahead of `part` by what had nothing to do.
    place: PartPlace,
    /// The longest call of the step before.
    slowest: Duration,
}

impl Walk {
    /// Goes on from what is on record; from then on nobody does who carried it on before.
    pub(super) async fn open(store: &Store, operation: &Operation) -> Result<Self, StoreError> {
        let part = store.fence_operation(operation.id, operation.fence).await?;
        Ok(Self { store: store.clone(), place: part.place.clone(), part, slowest: Duration::ZERO })
    }

    /// Whether it is through.
    pub(super) fn is_over(&self) -> bool {
        self.part.place == PartPlace::End
    }

    /// Steps under a smaller fence are refused here.
    pub(super) fn fence(&self) -> u64 {
        self.part.fence
    }

    /// What the operation did on this shard.
    pub(super) fn counts(&self) -> &OperationCounts {
        &self.part.counts
    }

    /// How long the longest call of the last step took, round trip included.
    pub(super) fn slowest(&self) -> Duration {
        self.slowest
    }

    /// A step: up to `want` jobs. Some have none, since a call looks at a bounded number of jobs.
    pub(super) async fn step(&mut self, operation: &Operation, want: usize) -> Result<(), StoreError> {
        self.slowest = Duration::ZERO;
        let outcome = self.try_step(operation, want).await;
        if outcome.is_err() {
            // Nobody knows whether it was done: it is made again from what is on record, and refused if it was.
            self.place = self.part.place.clone();
        }
        outcome
    }

    async fn try_step(&mut self, operation: &Operation, want: usize) -> Result<(), StoreError> {
        for _ in 0..UNRECORDED {
            let PartPlace::At(place, position) = &self.place else {
                self.turn(operation).await?;
                if self.place == PartPlace::End {
                    break;
                }
                continue;
            };
            if position == PLACE_END {
                self.turn(operation).await?;
                continue;
            }
            let what =
                Survey { plan: &operation.plan, cut: Some(operation.created_at), look: LOOK, want, count: false };
            let begun = clock::now();
            let page = self.store.survey(place, position, what).await?;
            self.slowest = self.slowest.max(begun.elapsed());
            let next = page.next.unwrap_or_else(|| PLACE_END.to_owned());
            self.place = PartPlace::At(place.clone(), next);
            if !page.found.is_empty() {
                return self.record(operation, &page.found).await;
            }
        }
        self.record(operation, &[]).await
    }

    async fn record(&mut self, operation: &Operation, ids: &[JobId]) -> Result<(), StoreError> {
        let step = Step { operation, part: &self.part, to: &self.place, ids };
        let begun = clock::now();
        self.part = self.store.operate(step).await?;
        self.slowest = self.slowest.max(begun.elapsed());
        self.place = self.part.place.clone();
        Ok(())
    }

    /// To the next place, of this pass or of the next one; [`PartPlace::End`] behind the last.
    async fn turn(&mut self, operation: &Operation) -> Result<(), StoreError> {
        let (mut pass, mut behind) = match &self.place {
            PartPlace::Start => (0, None),
            PartPlace::At(place, _) => (place.pass, Some(place.clone())),
            PartPlace::End => return Ok(()),
        };
        loop {
            // Asked anew each time: a claim may have parked jobs behind what blocked none before.
            let places = self.store.places(&operation.plan, pass, operation.created_at).await?;
            if let Some(next) = places.into_iter().find(|place| behind.as_ref().is_none_or(|at| *place > *at)) {
                self.place = PartPlace::At(next, String::new());
                return Ok(());
            }
            // Jobs move between the sets of a pass behind its back: it is repeated while it finds some.
            if pass > 0 && (self.part.found == 0 || pass == LAST_PASS) {
                self.place = PartPlace::End;
                return Ok(());
            }
            (pass, behind) = (pass + 1, None);
            if pass == 1 && self.store.places(&operation.plan, 1, operation.created_at).await?.is_empty() {
                self.place = PartPlace::End;
                return Ok(());
            }
        }
    }
}
