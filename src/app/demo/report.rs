//! The table at the end of the demo, and whether it says what it should.

use std::time::Duration;

use super::approval::Approved;
use super::stall::Stalled;
use super::streamed::Streamed;
use crate::api::job::JobView;
use crate::cli::render;
use crate::domain::Timestamp;

/// What was counted.
#[derive(Debug)]
pub(super) struct Figures {
    /// Jobs submitted.
    pub(super) submitted: usize,
    /// Jobs submitted again.
    pub(super) replays_sent: usize,
    /// Of these, answered with the same job.
    pub(super) replayed: usize,
    /// Whether an id with another body was refused.
    pub(super) conflicts_refused: bool,
    /// Leases that ran out and whose jobs went back in line.
    pub(super) recovered: u64,
    /// Jobs that send a webhook.
    pub(super) webhook_jobs: usize,
    /// Webhooks received.
    pub(super) deliveries: u64,
    /// Distinct ids among them.
    pub(super) distinct: usize,
    /// The answer that was shown while it was written.
    pub(super) streamed: Streamed,
    /// The mail that waited for an approval.
    pub(super) approved: Approved,
    /// The stall at the end.
    pub(super) stalled: Stalled,
    /// Every job at the end; `None` for one that is gone.
    pub(super) ends: Vec<Option<JobView>>,
}

impl Figures {
    fn in_state(&self, state: &str) -> usize {
        self.ends.iter().flatten().filter(|job| job.state == state).count()
    }

    /// Jobs that are gone, or that did not end.
    fn lost(&self) -> usize {
        let ended = |job: &JobView| matches!(job.state.as_str(), "succeeded" | "dead" | "cancelled" | "expired");
        self.ends.iter().filter(|job| !job.as_ref().is_some_and(ended)).count()
    }

    /// Whether everything went as it should.
    fn is_clean(&self) -> bool {
        self.lost() == 0
            && self.in_state("succeeded") == self.submitted
            && self.replayed == self.replays_sent
            && self.conflicts_refused
            && self.distinct == self.webhook_jobs
            && self.streamed.whole
            && self.approved.held
            && self.approved.succeeded
            && self.approved.mails == 1
            && self.stalled.is_mended()
    }

    /// The table, and whether it says what it should.
    pub(super) fn table(&self) -> (String, bool) {
        let retried = self.ends.iter().flatten().filter(|job| job.attempt > 1).count();
        let (wait, total) =
            (self.times(|job| job.started_at.as_deref(), true), self.times(|job| job.finished_at.as_deref(), false));
        let count = |text: String, note: &str| (text, note.to_owned());
        let rows = [
            ("submitted", count(self.submitted.to_string(), "")),
            ("submitted again, same job returned", count(format!("{} of {}", self.replayed, self.replays_sent), "")),
            ("same id, another body: refused", count(yes(self.conflicts_refused), "")),
            ("succeeded", count(self.in_state("succeeded").to_string(), "")),
            ("failed for good", count(self.in_state("dead").to_string(), "")),
            ("needed more than one attempt", count(retried.to_string(), "some fail their first attempt on purpose")),
            ("recovered after the kill", count(self.recovered.to_string(), "their leases ran out, others took over")),
            ("lost", count(self.lost().to_string(), "")),
            (
                "webhooks delivered / distinct / wanted",
                count(
                    format!("{} / {} / {}", self.deliveries, self.distinct, self.webhook_jobs),
                    "a kill may repeat one; receivers see it by its id",
                ),
            ),
            (
                "streamed answer: pieces / complete",
                count(format!("{} / {}", self.streamed.pieces, yes(self.streamed.whole)), "shown while it was written"),
            ),
            (
                "mail: waited for approval / sent / arrived",
                count(
                    format!("{} / {} / {}", yes(self.approved.held), yes(self.approved.succeeded), self.approved.mails),
                    "approved by another key than the one that asked",
                ),
            ),
            (
                "stalled on purpose: cause named / mended / succeeded",
                count(self.stalled.told(), self.stalled.named.as_deref().unwrap_or("`why` named no command")),
            ),
            ("wait for the first start, p50 / p99", count(wait, "with the queue filled at once")),
            ("submit to end, p50 / p99", count(total, "the kill and the retries included")),
        ];
        let rows = rows.into_iter().map(|(name, (value, note))| vec![name.to_owned(), value, note]).collect();
        (format!("\n{}\n", render(&[], rows)), self.is_clean())
    }

    /// Median and 99th percentile from creation to a moment, for jobs that have it.
    fn times(&self, moment: impl Fn(&JobView) -> Option<&str>, first_attempts: bool) -> String {
        let time = |text: &str| Timestamp::parse(text).ok();
        let mut times: Vec<Duration> = self
            .ends
            .iter()
            .flatten()
            .filter(|job| !first_attempts || job.attempt == 1)
            .filter_map(|job| Some(time(moment(job)?)?.since(time(&job.created_at)?)))
            .collect();
        times.sort_unstable();
        match (percentile(&times, 50), percentile(&times, 99)) {
            (Some(half), Some(most)) => format!("{half:.2} s / {most:.2} s"),
            _ => "-".to_owned(),
        }
    }
}

pub(super) fn yes(yes: bool) -> String {
    if yes { "yes" } else { "NO" }.to_owned()
}

/// The nearest-rank percentile of sorted times, in seconds.
fn percentile(sorted: &[Duration], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map(Duration::as_secs_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_secs).collect();
        assert_eq!((percentile(&times, 50), percentile(&times, 99)), (Some(50.0), Some(99.0)));
        assert_eq!((percentile(&times[..1], 99), percentile(&[], 50)), (Some(1.0), None));
    }

    #[test]
    fn a_job_that_is_gone_or_did_not_end_is_lost() {
        let figures = Figures {
            submitted: 1,
            replays_sent: 0,
            replayed: 0,
            conflicts_refused: true,
            recovered: 1,
            webhook_jobs: 0,
            deliveries: 0,
            distinct: 0,
            streamed: Streamed::default(),
            approved: Approved::default(),
            stalled: Stalled::default(),
            ends: vec![None],
        };
        assert_eq!(figures.lost(), 1);
        assert!(!figures.table().1);
    }
}
