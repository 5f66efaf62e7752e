//! How far an operation is: a bar on a terminal, plain lines elsewhere.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};

use crate::api::operation::OperationView;
use crate::clock::{self, Instant};

/// Between plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// The speed is that of this time.
const WINDOW: Duration = Duration::from_secs(10);

/// Shows progress on stderr.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
    seen: VecDeque<(Instant, u64)>,
}

impl Progress {
    pub(super) fn start() -> Self {
        let style = ProgressStyle::with_template("{bar:24} {wide_msg}").ok();
        let bar = style.filter(|_| std::io::stderr().is_terminal()).map(|style| {
            let bar = ProgressBar::new(0);
            bar.set_style(style);
            bar
        });
        Self { bar, last_line: None, seen: VecDeque::new() }
    }

    /// Where the operation stands.
    pub(super) fn show(&mut self, operation: &OperationView) {
        let now = clock::now();
        self.seen.push_back((now, operation.matched));
        while self.seen.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) && self.seen.len() > 2 {
            self.seen.pop_front();
        }
        let text = line(operation, self.speed());
        match &self.bar {
            Some(bar) => {
                bar.set_length(operation.expected.unwrap_or_default().max(operation.matched).max(1));
                bar.set_position(operation.matched);
                bar.set_message(text);
            }
            None if self.last_line.is_none_or(|at| now.duration_since(at) >= LINE_EVERY) => {
                self.last_line = Some(now);
                // A reader that left does not stop the watch, which has an answer to give.
                let _ = writeln!(std::io::stderr().lock(), "{text}");
            }
            None => {}
        }
    }

    /// Jobs a second, lately; `None` before it can be known.
    fn speed(&self) -> Option<f64> {
        let ((from, before), (to, after)) = (self.seen.front()?, self.seen.back()?);
        let seconds = to.duration_since(*from).as_secs_f64();
        let jobs = u32::try_from(after.saturating_sub(*before)).map_or(f64::from(u32::MAX), f64::from);
        (seconds >= 1.0).then(|| jobs / seconds)
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(operation: &OperationView, speed: Option<f64>) -> String {
    let expected = operation.expected.unwrap_or_default();
    let skipped: u64 = operation.skipped.values().sum();
    let mut text = HumanCount(operation.matched).to_string();
    if expected >= operation.matched {
        text.push_str(&format!(" of {}", HumanCount(expected)));
    }
    text.push_str(&format!(": {} done, {} skipped", HumanCount(operation.done), HumanCount(skipped)));
    if let Some(speed) = speed {
        text.push_str(&format!(", {speed:.0}/s"));
        if let Some(left) = left(expected.saturating_sub(operation.matched), speed) {
            text.push_str(&format!(", {} left", HumanDuration(left)));
        }
    }
    text
}

fn left(jobs: u64, speed: f64) -> Option<Duration> {
    let jobs = u32::try_from(jobs).ok().filter(|jobs| *jobs > 0)?;
    Duration::try_from_secs_f64(f64::from(jobs) / speed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_the_speed() {
        assert_eq!(left(300, 50.0), Some(Duration::from_secs(6)));
        assert_eq!((left(0, 50.0), left(300, 0.0)), (None, None));
    }
}
