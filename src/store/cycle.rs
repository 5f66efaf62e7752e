//! Verb `cycle`: end a batch of attempts and claim the next jobs, in one call.

use std::time::Duration;

use fred::prelude::Value;

use crate::domain::{Failure, HeldReason, RawJson, Timestamp};

use super::claim::{ClaimRequest, Claimed, Claims, claim_args, read_claims};
use super::{Store, StoreError, codec};

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// With a result.
    Succeeded {
        /// The result.
        result: RawJson,
        /// The last progress stored.
        progress: Option<RawJson>,
    },
    /// To be repeated.
    Retry {
        /// After this long.
        after: Duration,
        /// Why.
        failure: Failure,
        /// Whether the attempt counts.
        charged: bool,
    },
    /// Given back without a failure: a shutdown.
    Released,
    /// Given up on.
    Dead {
        /// Why.
        failure: Failure,
    },
    /// Set aside. Whether the attempt counts, the reason says.
    Held {
        /// Until what.
        reason: HeldReason,
        /// Why.
        failure: Failure,
    },
    /// One of the others, of an attempt whose intents may go: what they meant certainly did not happen.
    Cleared(Box<Ending>),
}

impl Ending {
    /// How it ended, whatever becomes of its intents.
    #[must_use]
    pub fn plain(&self) -> &Self {
        match self {
            Self::Cleared(inner) => inner.plain(),
            other => other,
        }
    }
}

/// An attempt and how it ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What was claimed.
    pub claimed: Claimed,
    /// How it ended.
    pub ending: Ending,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Written now.
    Done,
    /// Written before by this attempt: the reply was lost.
    DoneBefore,
    /// Written, now or before, and not known to be durable: repeat the report.
    Unconfirmed,
    /// The attempt no longer held the job; nothing was written.
    Stale,
}

/// What the scripts' `finish` reads.
pub(super) fn finish_args(store: &Store, args: &mut Vec<Value>, finished: &[Finished]) {
    let begun = finished.iter().filter_map(|f| f.claimed.job.started_at).max().unwrap_or_default();
    let ended = store.now_estimate().max(begun);
    args.extend([finished.len().to_string().into(), ended.unix_ms().to_string().into()]);
    for f in finished {
        let job = &f.claimed.job;
        let (letter, one, two, attempt) = ending(f, ended);
        let drops = if matches!(f.ending, Ending::Cleared(_)) && letter != 's' { "x" } else { "" };
        args.extend([
            format!("{}:{}", job.id, f.claimed.attempt_id).into(),
            format!("{letter}{attempt}{drops}").into(),
            store.inner.keys.idempotency(job.workspace.as_str(), job.request_id.as_str()).into(),
            one.into(),
            two.into(),
        ]);
    }
}

/// Letter, what belongs to it, the rest, and the attempt count to keep.
fn ending(f: &Finished, ended: Timestamp) -> (char, String, String, u32) {
    let job = &f.claimed.job;
    let facts = |attempt| codec::facts(attempt, job.crashes, job.started_at.unwrap_or_default(), f.claimed.attempt_id);
    let with = |letter, one, failure: Option<&Failure>, attempt| {
        let failure = failure.map(codec::failure_to).unwrap_or_default();
        (letter, one, format!("{}\n{failure}", facts(attempt)), attempt)
    };
    let uncharged = job.attempt.saturating_sub(1);
    match f.ending.plain() {
        Ending::Succeeded { result, progress } => {
            let facts = facts(job.attempt);
            let done = codec::succeeded(ended, &facts, progress.as_ref(), result, &f.claimed.head);
            ('s', String::new(), done, job.attempt)
        }
        Ending::Retry { after, failure, charged } => {
            let (letter, attempt) = if *charged { ('r', job.attempt) } else { ('u', uncharged) };
            with(letter, after.as_millis().to_string(), Some(failure), attempt)
        }
        Ending::Released => with('u', "0".to_owned(), job.failure.as_ref(), uncharged),
        Ending::Dead { failure } => {
            let label = format!("{}\t{}\t{}", job.job_type, failure.fingerprint, failure.reason);
            with('d', label, Some(failure), job.attempt)
        }
        Ending::Held { reason, failure } => {
            let attempt = if reason.is_charged() { job.attempt } else { uncharged };
            with('h', reason.to_string(), Some(failure), attempt)
        }
        // Its inside, never this itself.
        Ending::Cleared(_) => with('u', "0".to_owned(), job.failure.as_ref(), uncharged),
    }
}

pub(super) fn answers(codes: &[i64], durable: &Result<(), StoreError>) -> Vec<Answer> {
    if let Err(error) = durable {
        tracing::warn!(reports = codes.len(), %error, "reports have to be repeated");
    }
    let answer = |code: &i64| match code {
        1 | 2 if durable.is_err() => Answer::Unconfirmed,
        1 => Answer::Done,
        2 => Answer::DoneBefore,
        _ => Answer::Stale,
    };
    codes.iter().map(answer).collect()
}

impl Store {
    /// Ends `finished` (at most 100, all of the request's queue) and claims the next jobs.
    ///
    /// # Errors
    /// `Unknown`: repeat with the same reports; those that were written answer `DoneBefore`.
    pub async fn cycle(
        &self,
        finished: &[Finished],
        request: &ClaimRequest<'_>,
    ) -> Result<(Vec<Answer>, Claims), StoreError> {
        let mut args = claim_args(self, request);
        finish_args(self, &mut args, finished);
        // What was claimed is leased, durable or not: the claims must reach the worker.
        let (value, durable) = self.run_reporting(&self.inner.scripts.cycle, args).await?;
        let (claims, codes) = read_claims(self, value, request.attempt_id)?;
        Ok((answers(&codes, &durable), claims))
    }
}
