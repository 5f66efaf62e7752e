//! How the fleet came back when the faults had ended.

use super::findings::Findings;
use super::history::Nemesis;

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
            "loss" if !mark.is("detected") => {
                let detail = format!("fault {} ({})", mark.number("n").unwrap_or(0), mark.word("fault"));
                found.add("loss_not_detected", *t, None, detail);
            }
            _ => {}
        }
    }
    live
}
