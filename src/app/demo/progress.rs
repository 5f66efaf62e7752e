//! What the demo shows while it runs: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock::{self, Instant};

/// Between plain lines.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Where things stand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    /// Jobs done.
    pub(super) done: u64,
    /// Jobs in all.
    pub(super) total: u64,
    /// Jobs running.
    pub(super) running: u64,
    /// Jobs in line.
    pub(super) waiting: u64,
    /// Live workers.
    pub(super) workers: u64,
}

/// Shows progress on stderr; the table goes there too, because it is for people.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    last_line: Mutex<Option<Instant>>,
}

impl Progress {
    /// Nothing is drawn before the first [`Self::show`].
    pub(super) fn start() -> Self {
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} done  {wide_msg}").ok();
        let bar = style.filter(|_| std::io::stderr().is_terminal()).map(|style| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
            bar.set_style(style);
            bar
        });
        Self { bar, last_line: Mutex::new(None) }
    }

    /// A line that stays. A terminal that went away does not stop the demo.
    pub(super) fn say(&self, text: &str) {
        let print = || {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Where things stand.
    pub(super) fn show(&self, standing: Standing) {
        let Standing { done, total, running, waiting, workers } = standing;
        let rest = format!("{running} running  {waiting} waiting  {workers} workers");
        match &self.bar {
            Some(bar) => {
                if bar.is_hidden() {
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                }
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(rest);
            }
            None if self.line_is_due() => self.say(&format!("  {done}/{total} done  {rest}")),
            None => {}
        }
    }

    fn line_is_due(&self) -> bool {
        let mut last = self.last_line.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let due = last.is_none_or(|at| clock::now().duration_since(at) >= LINE_EVERY);
        if due {
            *last = Some(clock::now());
        }
        due
    }

    /// Leaves the bar as it is and stops drawing.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
