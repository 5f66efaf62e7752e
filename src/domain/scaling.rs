//! How many worker processes a queue wants.
//!
//! Little's law: jobs that arrive at a rate λ and hold a slot for a time W keep λ·W slots busy. A backlog of N that is to
//! be gone within T takes N·W/T slots more. Divided by the slots of one process, and never below what runs now needs.

use std::time::Duration;

/// What the number follows from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Jobs taken in per second.
    pub arrivals: f64,
    /// How long an attempt holds its slot.
    pub run: Duration,
    /// Jobs in line that a worker could take now.
    pub waiting: u64,
    /// Jobs under a lease.
    pub running: u64,
    /// Slots of one process; 0 counts as 1.
    pub slots: u32,
    /// The time within which the backlog is to be gone; under a second counts as one.
    pub drain: Duration,
}

/// The most that is ever suggested, unless more already run something.
pub const MOST_WORKERS: u64 = 1000;

/// An attempt is taken to last this long before any was seen.
pub const ASSUMED_RUN: Duration = Duration::from_secs(1);

/// A worker is taken to have this many slots before any was seen: the default of an embedded one.
pub const ASSUMED_SLOTS: u32 = 8;

impl Load {
    /// Slots that the load would keep busy.
    #[must_use]
    pub fn slots_wanted(&self) -> f64 {
        let run = self.run.as_secs_f64();
        let drain = self.drain.as_secs_f64().max(1.0);
        let arrivals = if self.arrivals.is_finite() { self.arrivals.max(0.0) } else { 0.0 };
        #[expect(clippy::cast_precision_loss, reason = "a queue holds far fewer than 2^53 jobs")]
        let waiting = self.waiting as f64;
        run * (arrivals + waiting / drain)
    }

    /// Worker processes, 0 to [`MOST_WORKERS`]: at least one while a job waits, and never fewer than hold what runs, so
    /// that no running job is interrupted by it.
    #[must_use]
    pub fn workers(&self) -> u64 {
        workers_for(self.slots_wanted(), self.waiting, self.running, self.slots)
    }
}

/// The same for slots that are already added up, over several queues.
#[must_use]
pub fn workers_for(slots_wanted: f64, waiting: u64, running: u64, slots: u32) -> u64 {
    let slots = u64::from(slots.max(1));
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    #[expect(clippy::as_conversions, reason = "clamped to a thousand before")]
    let wanted = (slots_wanted / slots as f64).ceil().clamp(0.0, MOST_WORKERS as f64) as u64;
    wanted.max(u64::from(waiting > 0)).max(running.div_ceil(slots))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn load() -> impl Strategy<Value = Load> {
        (0.0..1e6_f64, 1_u64..3_600_000, 0_u64..1_000_000, 0_u64..100_000, 0_u32..256, 0_u64..86_400).prop_map(
            |(arrivals, run, waiting, running, slots, drain)| Load {
                arrivals,
                run: Duration::from_millis(run),
                waiting,
                running,
                slots,
                drain: Duration::from_secs(drain),
            },
        )
    }

    /// Loads that fewer workers than the most can bear.
    fn bearable() -> impl Strategy<Value = Load> {
        (0.0..100.0_f64, 1_u64..10_000, 0_u64..10_000, 0_u64..1000, 8_u32..256, 60_u64..86_400).prop_map(
            |(arrivals, run, waiting, running, slots, drain)| Load {
                arrivals,
                run: Duration::from_millis(run),
                waiting,
                running,
                slots,
                drain: Duration::from_secs(drain),
            },
        )
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_never_below_what_runs(load in load()) {
            let held = load.running.div_ceil(u64::from(load.slots.max(1)));
            let workers = load.workers();
            prop_assert!(workers >= held);
            prop_assert!(workers <= MOST_WORKERS.max(held));
            prop_assert!(load.waiting == 0 || workers >= 1);
        }

        #[test]
        fn more_of_anything_never_wants_fewer(load in load(), more in 1_u64..1000) {
            let workers = load.workers();
            let waiting = Load { waiting: load.waiting + more, ..load }.workers();
            let running = Load { running: load.running + more, ..load }.workers();
            let longer = Load { run: load.run + Duration::from_millis(more), ..load }.workers();
            let roomier = Load { slots: load.slots.max(1) + 1, ..load }.workers();
            prop_assert!(waiting >= workers && running >= workers && longer >= workers && roomier <= workers);
        }

        #[test]
        fn what_it_suggests_keeps_up_and_drains_in_time(load in bearable()) {
            let (slots, drain) = (f64::from(load.slots.max(1)), load.drain.as_secs_f64().max(1.0));
            let served = load.workers() as f64 * slots / load.run.as_secs_f64().max(1e-9) * drain;
            prop_assert!(served * (1.0 + 1e-9) >= load.arrivals * drain + load.waiting as f64);
        }
    }

    #[test]
    fn an_idle_queue_wants_none_and_one_job_wants_one() {
        let idle =
            Load { arrivals: 0.0, run: ASSUMED_RUN, waiting: 0, running: 0, slots: 8, drain: Duration::from_secs(60) };
        assert_eq!(idle.workers(), 0);
        assert_eq!(Load { waiting: 1, ..idle }.workers(), 1);
        // 10/s of 4 s each keep 40 slots busy; 600 waiting, gone in a minute, 40 more.
        assert_eq!(Load { arrivals: 10.0, run: Duration::from_secs(4), waiting: 600, ..idle }.workers(), 10);
        assert_eq!(Load { running: 17, ..idle }.workers(), 3, "what runs is not interrupted");
        assert_eq!(Load { arrivals: f64::NAN, ..idle }.workers(), 0);
    }
}
