//! Verb `cycle`: end a batch of attempts and claim the next jobs, in one call.

use std::time::Duration;

use fred::prelude::Value;

use crate::domain::{Failure, HeldReason, RawJson};

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
    /// Set aside.
    Held {
        /// Until what.
        reason: HeldReason,
        /// Why.
        failure: Failure,
    },
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
    /// The attempt no longer held the job; nothing was written.
    Stale,
}

/// The items that the scripts' `finish` reads.
pub(super) fn finish_args(store: &Store, args: &mut Vec<Value>, finished: &[Finished]) {
    args.push(finished.len().to_string().into());
    for f in finished {
        let job = &f.claimed.job;
        let (letter, one, rest, charged) = ending(f);
        let attempt = if charged { job.attempt } else { job.attempt.saturating_sub(1) };
        let facts = codec::facts(attempt, job.crashes, job.started_at.unwrap_or_default(), f.claimed.attempt_id);
        args.extend([
            format!("{}:{}", job.id, f.claimed.attempt_id).into(),
            format!("{letter}{attempt}").into(),
            store.inner.keys.idempotency(job.workspace.as_str(), job.request_id.as_str()).into(),
            one.into(),
            format!("{facts}\n{rest}").into(),
        ]);
    }
}

/// Letter, what belongs to it, the rest, and whether the attempt counts.
fn ending(f: &Finished) -> (char, String, String, bool) {
    let job = &f.claimed.job;
    match &f.ending {
        Ending::Succeeded { result, progress } => {
            ('s', String::new(), codec::success_tail(progress.as_ref(), result, &f.claimed.record), true)
        }
        Ending::Retry { after, failure, charged } => {
            let letter = if *charged { 'r' } else { 'u' };
            (letter, after.as_millis().to_string(), codec::failure_to(failure), *charged)
        }
        Ending::Released => {
            ('u', "0".to_owned(), job.failure.as_ref().map(codec::failure_to).unwrap_or_default(), false)
        }
        Ending::Dead { failure } => {
            let label = format!("{}\t{}\t{}", job.job_type, failure.fingerprint, failure.reason);
            ('d', label, codec::failure_to(failure), true)
        }
        Ending::Held { reason, failure } => ('h', reason.to_string(), codec::failure_to(failure), true),
    }
}

pub(super) fn answers(codes: &[i64]) -> Vec<Answer> {
    let answer = |code: &i64| match code {
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
        let value = self.run(&self.inner.scripts.cycle, args).await?;
        let (claims, codes) = read_claims(self, value, request.attempt_id)?;
        Ok((answers(&codes), claims))
    }
}
