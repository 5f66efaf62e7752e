//! The flags of bulk operations: the words of the API's filter.

use clap::Args;

use crate::api::filter::{FilterView, fingerprint};
use crate::api::operation::MAX_RATE;
use crate::domain::{FailureReason, HeldReason, JobState, JobType, QueueName, Timestamp, Workspace, parse_age};

const WHICH: &str = "Which jobs (all that is given has to hold)";
const PACE: &str = "How";

/// Which states.
#[derive(Debug, Args)]
pub(in crate::cli) struct States {
    /// In this state; may be repeated [default: all that the command applies to]
    #[arg(long, help_heading = WHICH, value_parser = JobState::ALL.iter().map(|s| s.as_str()).collect::<Vec<_>>())]
    state: Vec<String>,
    /// Held for this
    #[arg(long, help_heading = WHICH, value_name = "REASON",
          value_parser = HeldReason::ALL.iter().map(|r| r.as_str()).collect::<Vec<_>>())]
    held_reason: Option<String>,
}

impl States {
    pub(super) fn add_to(&self, view: &mut FilterView) {
        view.state.clone_from(&self.state);
        view.held_reason.clone_from(&self.held_reason);
    }
}

/// Which jobs.
#[derive(Debug, Args)]
pub(in crate::cli) struct Filter {
    /// In this queue
    #[arg(long, help_heading = WHICH)]
    queue: Option<QueueName>,
    /// Of this type
    #[arg(long = "type", help_heading = WHICH, value_name = "TYPE")]
    job_type: Option<JobType>,
    /// Of this workspace
    #[arg(long, help_heading = WHICH)]
    workspace: Option<Workspace>,
    /// Whose last failure has this fingerprint, as `windlass dead list` shows it
    #[arg(long, help_heading = WHICH, value_name = "HEX", value_parser = fingerprint)]
    fingerprint: Option<String>,
    /// Whose last failure has this reason
    #[arg(long, help_heading = WHICH, value_parser = FailureReason::ALL.iter().map(|r| r.as_str()).collect::<Vec<_>>(),
          hide_possible_values = true)]
    reason: Option<String>,
    /// In their state for longer than this, such as 90m or 2d; waiting and running ones: created longer ago
    #[arg(long, help_heading = WHICH, value_name = "AGE", value_parser = age)]
    older_than: Option<String>,
    /// In their state for this long at most
    #[arg(long, help_heading = WHICH, value_name = "AGE", value_parser = age)]
    newer_than: Option<String>,
    /// In their state since before this time (RFC 3339)
    #[arg(long, help_heading = WHICH, value_name = "TIME", value_parser = Timestamp::parse)]
    before: Option<Timestamp>,
    /// In their state since this time or later (RFC 3339)
    #[arg(long, help_heading = WHICH, value_name = "TIME", value_parser = Timestamp::parse)]
    after: Option<Timestamp>,
    /// With this note; may be repeated
    #[arg(long, help_heading = WHICH, value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// Every job that the command applies to
    #[arg(long, help_heading = WHICH)]
    pub(super) all: bool,
}

impl Filter {
    pub(super) fn view(&self) -> FilterView {
        FilterView {
            queue: self.queue.as_ref().map(ToString::to_string),
            job_type: self.job_type.as_ref().map(ToString::to_string),
            workspace: self.workspace.as_ref().map(ToString::to_string),
            fingerprint: self.fingerprint.clone(),
            reason: self.reason.clone(),
            older_than: self.older_than.clone(),
            newer_than: self.newer_than.clone(),
            before: self.before.map(|moment| moment.to_string()),
            after: self.after.map(|moment| moment.to_string()),
            metadata: self.metadata.iter().cloned().collect(),
            ..FilterView::default()
        }
    }
}

/// How an operation is carried out.
#[derive(Debug, Args)]
pub(in crate::cli) struct How {
    /// Jobs at most in a time: 50, 50/s or 3000/m [default: 50/s]
    #[arg(long, help_heading = PACE, value_parser = parse_rate)]
    pub(super) rate: Option<u32>,
    /// Why, for the record
    #[arg(long, help_heading = PACE)]
    pub(super) note: Option<String>,
    /// Only count the jobs and show some
    #[arg(long, help_heading = PACE)]
    pub(super) dry_run: bool,
    /// Do not ask
    #[arg(long, short, help_heading = PACE)]
    pub(super) yes: bool,
    /// Do not watch it to its end
    #[arg(long, help_heading = PACE)]
    pub(super) detach: bool,
}

fn age(text: &str) -> Result<String, String> {
    parse_age(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or("must be KEY=VALUE")
}

/// Jobs per second, as people write it; parts of a job per second are cut off, so that it is never more.
pub(in crate::cli) fn parse_rate(text: &str) -> Result<u32, String> {
    let wrong = || format!("must be a number such as 50, 50/s or 3000/m, from 1 to {MAX_RATE} a second");
    let (number, seconds) = match text.split_once('/') {
        None | Some((_, "s")) => (text.trim_end_matches("/s"), 1),
        Some((number, "m")) => (number, 60),
        Some(_) => return Err(wrong()),
    };
    let count: u32 = number.parse().map_err(|_| wrong())?;
    Some(count / seconds).filter(|rate| (1..=MAX_RATE).contains(rate)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second_or_per_minute() {
        for (text, rate) in [("50", 50), ("50/s", 50), ("3000/m", 50), ("100/m", 1), ("100000", 100_000)] {
            assert_eq!(parse_rate(text), Ok(rate), "{text}");
        }
        for bad in ["", "0", "0/s", "59/m", "-1", "50/h", "50/", "/s", "100001", "1.5", "50 /s", "50/s/s"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }
}
