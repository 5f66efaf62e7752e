//! What a claim loop hears: the bell, and orders from afar.

use std::sync::atomic::Ordering;

use crate::clock;
use crate::domain::QueueName;

use super::super::listener::Heard;
use super::{ClaimLoop, LOOK_AGAIN};

impl ClaimLoop {
    /// It was told to be quiet, or to claim again.
    pub(super) async fn obey(&mut self) {
        self.hungry = true;
        if self.keeper.orders.quiet() {
            self.pass_token_on().await;
        }
    }

    pub(super) fn may_claim(&self) -> bool {
        self.keeper.registered(self.shard) && !self.keeper.orders.quiet()
    }

    /// The loop came around. The first time is told at once: whoever replaces workers waits for it.
    pub(super) fn turn(&mut self) {
        self.vitals.turn(self.shard);
        if !std::mem::replace(&mut self.turned, true) {
            self.vitals.loops.fetch_add(1, Ordering::Relaxed);
            self.keeper.nudge();
        }
    }

    pub(super) async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Rang(queue) if self.keeper.orders.quiet() => self.pass_on(&queue).await,
            // Passed on at once it could come back at once, over and over.
            Heard::Rang(queue) if self.free() == 0 && self.slots.shared() => {
                (self.token, self.hungry) = (Some((queue, clock::now() + LOOK_AGAIN)), true);
            }
            Heard::Rang(queue) if self.free() == 0 => self.pass_on(&queue).await,
            Heard::Rang(_) | Heard::Silence => {
                self.turn();
                self.hungry = true;
            }
            // A token may have been lost with the connection.
            Heard::Broken => self.hungry = true,
        }
    }

    /// A token that this worker cannot use wakes another.
    pub(super) async fn pass_on(&self, queue: &QueueName) {
        if let Err(error) = self.store.ring(queue).await {
            tracing::debug!(%error, "a wake-up token was dropped; idle workers look by themselves");
        }
    }

    pub(super) async fn pass_token_on(&mut self) {
        if let Some((queue, _)) = self.token.take() {
            self.pass_on(&queue).await;
        }
    }
}
