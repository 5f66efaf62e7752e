//! Watches whether Redis may be trusted with acknowledged jobs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::metrics;
use crate::store::Shards;

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

    /// Looks now, beside the regular looks.
    pub async fn look(&self) -> Findings {
        let asked = clock::now();
        let mut findings = match self.store.server_facts().await {
            Ok(facts) => judge(&facts, self.store.options().strict),
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

fn publish(findings: &Findings) {
    let flag = |on: bool| if on { 1.0 } else { 0.0 };
    let up = findings.checks.get("redis").is_some_and(|c| c.level == Level::Ok);
    ::metrics::gauge!(metrics::REDIS_UP.name).set(flag(up));
    for (name, check) in &findings.checks {
        ::metrics::gauge!(metrics::REDIS_UNSAFE.name, "check" => *name).set(flag(check.level == Level::Failed));
        ::metrics::gauge!(metrics::REDIS_DEGRADED.name, "check" => *name).set(flag(check.level == Level::Degraded));
    }
}
