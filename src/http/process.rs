//! What this process uses of its machine.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

use crate::api::health::{CpuView, MemoryView};
use crate::clock;

/// Over which the use of the CPU is measured.
const SPAN: Duration = Duration::from_millis(100);

/// Memory, of which the system says nothing on some platforms.
pub(super) fn memory() -> MemoryView {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kb| kb * 1024)
    };
    MemoryView { resident_bytes: bytes("VmRSS"), peak_bytes: bytes("VmHWM") }
}

/// The CPU over the next tenth of a second.
pub(super) async fn cpu() -> CpuView {
    let (before, began) = (used(), clock::now());
    tokio::time::sleep(SPAN).await;
    let (used, span) = (used(), clock::now().duration_since(began));
    let share = used.saturating_sub(before).as_secs_f64() / span.as_secs_f64();
    CpuView {
        percent: (share * 1000.0).round() / 10.0,
        seconds: used.as_secs_f64(),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    }
}

/// CPU time since the process started.
fn used() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Duration::ZERO };
    [usage.user_time(), usage.system_time()]
        .map(|time| {
            let micros = time.tv_sec().saturating_mul(1_000_000).saturating_add(time.tv_usec());
            Duration::from_micros(u64::try_from(micros).unwrap_or_default())
        })
        .into_iter()
        .sum()
}
