//! Watches whether Redis may be trusted with acknowledged jobs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::metrics;
use crate::store::{ServerFacts, Shards};

use super::findings::{Findings, Level, judge, unreachable_redis};
use super::tasks;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(4);
/// Between two looks while Redis does not answer.
const INTERVAL_DOWN: Duration = Duration::from_millis(250);

/// Keeps the findings fresh: every 4 s (four commands each), four times a second while Redis is
/// away; cheap to clone.
#[derive(Clone, Debug)]
pub struct Guard {
    latest: watch::Receiver<Findings>,
    store: Shards,
    /// The epoch seen last.
    epoch: Arc<Mutex<String>>,
}

impl Guard {
    /// Starts watching; ends with `shutdown`.
    #[must_use]
    pub fn start(store: impl Into<Shards>, shutdown: CancellationToken) -> Self {
        let (sender, latest) = watch::channel(Findings::default());
        // Exists at 0, or the first loss would be no increase.
        ::metrics::counter!(metrics::STATE_LOSSES.name).increment(0);
        ::metrics::counter!(metrics::REDIS_RESENT.name).increment(0);
        ::metrics::counter!(metrics::REDIS_BREAKS.name).increment(0);
        let guard = Self { latest, store: store.into(), epoch: Arc::default() };
        tasks::spawn("guard", guard.clone().watch(sender, shutdown));
        guard
    }

    /// The latest findings; empty (and so not ready) before the first look.
    #[must_use]
    pub fn findings(&self) -> Findings {
        self.latest.borrow().clone()
    }

    /// Looks at the latest findings without a copy of them.
    pub(super) fn judge<T>(&self, how: impl FnOnce(&Findings) -> T) -> T {
        how(&self.latest.borrow())
    }

    /// Waits for the first look, and returns its findings.
    pub async fn first_look(&self) -> Findings {
        let mut latest = self.latest.clone();
        match latest.wait_for(|findings| !findings.checks.is_empty()).await {
            Ok(findings) => findings.clone(),
            Err(_) => Findings::default(),
        }
    }

    /// Waits until Redis was seen and its data have a layout that this build knows. Whoever moves jobs by itself goes
    /// by it: misread jobs would be worse than jobs that wait.
    pub async fn known_layout(&self) {
        let level = |findings: &Findings| findings.checks.get("layout").map(|check| check.level);
        let mut latest = self.latest.clone();
        if latest.wait_for(|findings| level(findings).is_some()).await.is_ok_and(|f| level(&f) == Some(Level::Failed)) {
            tracing::warn!("the data in Redis have another layout: waits until it is one that this build knows");
            // Fails when the watch ends, and so does this process.
            drop(latest.wait_for(|findings| level(findings).is_some_and(|level| level != Level::Failed)).await);
        }
    }

    /// Looks now, beside the regular looks.
    pub async fn look(&self) -> Findings {
        let asked = clock::now();
        let mut findings = match self.store.server_facts().await {
            Ok(facts) => {
                measure(&facts);
                judge(&facts, self.store.options().strict)
            }
            Err(error) => unreachable_redis(&error),
        };
        findings.took = asked.elapsed();
        self.notice_lost_state(&findings);
        findings
    }

    async fn watch(self, sender: watch::Sender<Findings>, shutdown: CancellationToken) {
        loop {
            let findings = self.look().await;
            publish(&findings);
            let down = findings.checks.get("redis").is_none_or(|c| c.level == Level::Failed);
            let before = sender.send_replace(findings.clone());
            match (before.ready(), findings.ready()) {
                (false, true) => tracing::info!("Redis is ready"),
                (true, false) => tracing::warn!(reason = findings.unsafe_reason(), "Redis is not ready"),
                _ => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(if down { INTERVAL_DOWN } else { INTERVAL }) => {}
            }
        }
    }

    fn notice_lost_state(&self, findings: &Findings) {
        if findings.epoch.is_empty() {
            return;
        }
        let mut known = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.is_empty() && *known != findings.epoch {
            ::metrics::counter!(metrics::STATE_LOSSES.name).increment(1);
            tracing::error!(
                event = "state_loss_suspected", before = %known, epoch = %findings.epoch,
                "Redis lost state: its epoch changed; acknowledged jobs may be gone"
            );
        }
        known.clone_from(&findings.epoch);
    }
}

/// Shows what the judgement does not: how far replicas are behind, and which state this is.
#[expect(clippy::cast_precision_loss, reason = "a metric is a double; these stay below 2^53")]
fn measure(facts: &ServerFacts) {
    ::metrics::gauge!(metrics::REDIS_REPLICAS.name).set(f64::from(facts.replicas));
    ::metrics::gauge!(metrics::REDIS_REPLICA_LAG.name).set(facts.replica_lag.as_secs_f64());
    ::metrics::gauge!(metrics::REDIS_REPLICA_BEHIND.name).set(facts.replica_behind as f64);
    // An epoch that could not be read, with a shard away, is no other one.
    if !facts.epoch.is_empty() && facts.shards_away == 0 {
        ::metrics::gauge!(metrics::REDIS_EPOCH.name).set(fingerprint(&facts.epoch) as f64);
    }
}

/// 48 bits of FNV-1a (draft-eastlake-fnv), the same in every process and version: a double holds them.
fn fingerprint(text: &str) -> u64 {
    let mixed = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    mixed >> 16
}

fn publish(findings: &Findings) {
    let flag = |on: bool| if on { 1.0 } else { 0.0 };
    let up = findings.checks.get("redis").is_some_and(|c| c.level == Level::Ok);
    ::metrics::gauge!(metrics::REDIS_UP.name).set(flag(up));
    for (name, check) in &findings.checks {
        ::metrics::gauge!(metrics::REDIS_UNSAFE.name, "check" => *name).set(flag(check.level == Level::Failed));
        ::metrics::gauge!(metrics::REDIS_DEGRADED.name, "check" => *name).set(flag(check.level == Level::Degraded));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_epoch_is_another_number_and_the_same_in_every_process() {
        // FNV-1a of "a" is af63dc4c8601ec8c.
        assert_eq!(fingerprint("a"), 0xaf63_dc4c_8601);
        assert_ne!(fingerprint("a"), fingerprint("b"));
    }
}
