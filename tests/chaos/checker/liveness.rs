//! How the fleet came back when the faults had ended.

use super::findings::Findings;
use super::gauges::Snapshot;
use super::history::{Loss, Nemesis};

/// Throughput has to be back within this, unless the run says otherwise.
const RECOVERY_MS: u64 = 10_000;

/// Figures for the report.
#[derive(Default)]
pub(super) struct Liveness {
    pub(super) baseline_per_s: u64,
    /// From the end of the last fault to 90 % of the throughput before the first; `None` when it did not come back.
    pub(super) recovered_ms: Option<u64>,
    pub(super) quiet_ms: Option<u64>,
}

/// Judges what the harness measured after the faults.
pub(super) fn check(nemesis: &Nemesis, limit_ms: Option<u64>, found: &mut Findings) -> Liveness {
    let (mut live, limit) = (Liveness::default(), limit_ms.unwrap_or(RECOVERY_MS));
    for (t, mark) in &nemesis.marks {
        match mark.word("metric") {
            "throughput" => {
                live.baseline_per_s = mark.number("baseline_per_s").unwrap_or(0);
                live.recovered_ms = mark.number("recovered_ms");
                if live.recovered_ms.is_none_or(|ms| ms > limit) {
                    let detail = format!("90 % of {} jobs/s not within {limit} ms", live.baseline_per_s);
                    found.add("slow_recovery", *t, None, detail);
                }
            }
            "healed" if !mark.is("all_up") => {
                found.add("slow_recovery", *t, None, "not every process came back by itself");
            }
            "quiesce" => live.quiet_ms = mark.number("ms").filter(|_| mark.is("reached")),
            _ => {}
        }
    }
    live
}

/// The engine looks for losses every few seconds; it has this long, in microseconds.
const NOTICED_US: u64 = 10_000_000;

/// Whether the engine noticed each loss that took something a client had been told of. One whose time was cut short by
/// the next is not judged, nor one around which the processes that had been told were struck themselves.
pub(super) fn check_noticed(
    losses: &[Loss],
    acked: &[u64],
    snapshots: &[Snapshot],
    nemesis: &Nemesis,
    found: &mut Findings,
) {
    for (at, loss) in losses.iter().enumerate().filter(|(at, _)| acked[*at] > 0) {
        let until = losses.get(at + 1).map_or(u64::MAX, |next| next.t);
        let before = snapshots.iter().rev().find(|s| s.t < loss.last_t()).map_or("", |s| s.epoch.as_str());
        let mut after = snapshots.iter().filter(|s| s.t > loss.t && s.t < until);
        let struck = |f: &&super::history::Fault| f.kind.starts_with("api_") && f.begin < loss.t + NOTICED_US;
        let blind = nemesis.faults.iter().filter(struck).any(|f| f.end > loss.last_t());
        let long = snapshots.last().is_some_and(|last| last.t.min(until) > loss.t + NOTICED_US);
        if long && !blind && !before.is_empty() && after.all(|s| s.epoch == before) {
            let detail = format!("{}: {} acknowledged jobs were gone, the epoch stayed {before}", loss.why, acked[at]);
            found.add("loss_not_detected", loss.t, None, detail);
        }
    }
}
