//! What happens to our processes, and to a worker around an effect.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::dice::Dice;
use crate::fleet::Slot;
use crate::pace;
use crate::sinks::Strike;

use super::Stage;

pub(super) const KINDS: &[&str] = &[
    "worker_kill",
    "worker_stop",
    "worker_term",
    "api_kill",
    "api_stop",
    "api_term",
    "all_workers_kill",
    "clock_skew",
];

pub(super) const EFFECTS: &[&str] = &[
    "effect_kill_before",
    "effect_kill_after",
    "effect_kill_before_ack",
    "effect_freeze_inside",
    "effect_refuse",
    "effect_cut",
];

/// The library that shifts a process' clock, where it is installed.
pub(crate) fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|folder| folder.path());
    let inside = folders.chain([PathBuf::from("/usr/lib")]);
    inside.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

impl Stage {
    pub(super) async fn strike_process(&self, kind: &str, dice: &mut Dice) {
        let slots = if kind.starts_with("api") { &self.fleet.apis } else { &self.fleet.workers };
        let slot = Arc::clone(dice.pick(slots));
        match kind {
            "worker_kill" | "api_kill" => self.send(kind, &slot, Signal::SIGKILL, dice).await,
            "worker_term" | "api_term" => self.send(kind, &slot, Signal::SIGTERM, dice).await,
            "worker_stop" | "api_stop" => {
                // Longer than the lease, so that the process comes back to jobs that others have.
                let ms = self.lease_ms + dice.between(300, self.lease_ms);
                let begun = self.begin(kind, "S", &slot.name, json!({"ms": ms}));
                slot.signal(Signal::SIGSTOP);
                pace::pause_ms(ms).await;
                slot.signal(Signal::SIGCONT);
                self.end(begun, json!(null));
            }
            "all_workers_kill" => {
                let begun = self.begin(kind, "S", "workers", json!({}));
                self.fleet.workers.iter().for_each(|slot| slot.signal(Signal::SIGKILL));
                self.back(&self.fleet.workers).await;
                self.end(begun, json!(null));
            }
            _ => self.skew(&slot, dice).await,
        }
    }

    async fn send(&self, kind: &str, slot: &Arc<Slot>, signal: Signal, dice: &mut Dice) {
        let begun = self.begin(kind, "S", &slot.name, json!({}));
        slot.signal(signal);
        // A second SIGTERM ends a drain at once.
        if signal == Signal::SIGTERM && dice.chance(30) {
            pace::pause_ms(300).await;
            slot.signal(signal);
        }
        self.back(std::slice::from_ref(slot)).await;
        self.end(begun, json!(null));
    }

    /// Waits until the slots have processes that are ready; a network fault may keep them from it.
    async fn back(&self, slots: &[Arc<Slot>]) {
        pace::pause_ms(100).await;
        pace::until!(Duration::from_secs(6), slots.iter().all(|slot| slot.is_ready()));
    }

    /// A worker whose wall clock is wrong; its monotonic one is not.
    async fn skew(&self, slot: &Arc<Slot>, dice: &mut Dice) {
        let Some(library) = &self.faketime else {
            return self.history.note("clock_skew is left out: libfaketime is not installed");
        };
        let shift = *dice.pick(&["+3600s", "-3600s", "+86400s", "-30s", "+30s"]);
        let begun = self.begin("clock_skew", "S", &slot.name, json!({"shift": shift}));
        let variables =
            [("LD_PRELOAD", &*library.display().to_string()), ("FAKETIME", shift), ("DONT_FAKE_MONOTONIC", "1")];
        slot.set_extra(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec());
        slot.signal(Signal::SIGKILL);
        self.back(std::slice::from_ref(slot)).await;
        pace::pause_ms(self.lease_ms * 2).await;
        slot.set_extra(Vec::new());
        slot.signal(Signal::SIGKILL);
        self.end(begun, json!(null));
    }

    /// Strikes whichever worker has the next effect.
    pub(super) async fn strike_effect(&self, kind: &str, dice: &mut Dice) {
        let strike = match kind {
            "effect_kill_before" => Strike::KillBefore,
            "effect_kill_after" => Strike::KillAfter,
            "effect_kill_before_ack" => Strike::KillBeforeAck,
            "effect_freeze_inside" => Strike::FreezeInside(self.lease_ms + dice.between(300, self.lease_ms)),
            "effect_refuse" => Strike::Refuse(*dice.pick(&[429, 500, 503])),
            _ => Strike::Cut,
        };
        let begun = self.begin(kind, "S", "worker", json!({}));
        self.sinks.arm(strike);
        let struck = pace::until!(Duration::from_secs(6), self.sinks.armed() == 0);
        self.sinks.disarm();
        if let Strike::FreezeInside(ms) = strike {
            pace::pause_ms(if struck { ms } else { 0 }).await;
        }
        self.end(begun, json!({"struck": struck}));
    }
}
