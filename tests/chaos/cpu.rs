//! How much of the machine others leave to the run. Throughput is compared before and after the faults, and on a
//! machine that someone else began to use in between it would say nothing about the engine.

use std::collections::HashMap;

/// Processor time until a moment, in ticks. Empty where there is no `/proc`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cpu {
    total: u64,
    idle: u64,
    /// By process of the run.
    ours: HashMap<u32, u64>,
}

impl Cpu {
    /// Now, for these processes and the harness.
    pub(crate) fn now(pids: &[u32]) -> Self {
        let whole = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let ticks = whole.lines().next().unwrap_or_default().split_whitespace().skip(1);
        // Time of guests is in the first two already.
        let ticks: Vec<u64> = ticks.take(8).filter_map(|field| field.parse().ok()).collect();
        let idle = ticks.iter().skip(3).take(2).sum();
        let own = [std::process::id()];
        let ours = pids.iter().chain(&own).filter_map(|pid| Some((*pid, of_process(*pid)?))).collect();
        Self { total: ticks.iter().sum(), idle, ours }
    }

    /// The part of the machine that others left since an earlier moment, 0 to 1.
    pub(crate) fn left_since(&self, before: &Self) -> f64 {
        let total = self.total.saturating_sub(before.total);
        if total == 0 {
            return 1.0;
        }
        let busy = total.saturating_sub(self.idle.saturating_sub(before.idle));
        let used = |(pid, ticks): (&u32, &u64)| ticks.saturating_sub(before.ours.get(pid).copied().unwrap_or(0));
        let ours: u64 = self.ours.iter().map(used).sum();
        (1.0 - busy.saturating_sub(ours) as f64 / total as f64).clamp(0.05, 1.0)
    }
}

/// User and system time of a process.
fn of_process(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold anything, blanks and brackets included.
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}
