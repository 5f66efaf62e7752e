//! Verb `unhold`: a decision about a held job.

use crate::domain::{HeldReason, JobId, QueueName, RawJson, Timestamp, clip_text};

use super::effect::{checked, is_step};
use super::reply::{corrupt, text};
use super::{Store, StoreError, codec};

/// The longest name of who decided that is kept, in bytes.
const BY_LIMIT: usize = 200;

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unhold {
    /// What it waited for is there.
    Release,
    /// Its effect happened; the job ends with this receipt.
    Happened {
        /// Which of the job's effects.
        step: String,
        /// Who says so.
        by: String,
        /// What proves it, 4 KiB of JSON at most.
        receipt: RawJson,
    },
    /// None of the effects that it began and left open happened.
    NotHappened {
        /// Who says so.
        by: String,
    },
    /// It may go on.
    Approved {
        /// Who says so.
        by: String,
        /// What was approved: the digest of the facts that were shown.
        digest: String,
        /// Until when that holds.
        expires_at: Timestamp,
    },
}

/// What a decision found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheld {
    /// The job is in line again.
    Now,
    /// It is no held job of this queue: decided before, ended, or unknown.
    NotHeld,
    /// It is held for another reason, `None` for one that this version does not know; nothing was changed.
    OtherReason(Option<HeldReason>),
}

impl Store {
    /// Puts a held job back in line. With `reason`, only if it is held for that. The caller has checked that the job
    /// may be seen.
    ///
    /// # Errors
    /// `Unknown`, `NotDurable`: a repeat answers `NotHeld` when it was done. `Corrupt` for a receipt over 4 KiB.
    pub async fn unhold(
        &self,
        queue: &QueueName,
        id: JobId,
        reason: Option<HeldReason>,
        change: Unhold,
    ) -> Result<Unheld, StoreError> {
        let (word, by, one, two) = match change {
            Unhold::Release => ("release", String::new(), String::new(), String::new()),
            Unhold::Happened { step, by, receipt } => {
                checked(&receipt)?;
                ("happened", by, is_step(&step)?.to_owned(), receipt.as_str().to_owned())
            }
            Unhold::NotHappened { by } => ("not_happened", by, String::new(), String::new()),
            Unhold::Approved { by, digest, expires_at } => {
                ("approved", by, one_line(&digest), expires_at.unix_ms().max(0).to_string())
            }
        };
        let args = vec![
            queue.as_str().into(),
            self.inner.options.events_kept.to_string().into(),
            self.inner.options.idempotency_ttl.as_secs().to_string().into(),
            id.to_string().into(),
            reason.map(HeldReason::as_str).unwrap_or_default().into(),
            codec::USUAL_ATTEMPTS.to_string().into(),
            word.into(),
            one_line(&by).into(),
            one.into(),
            two.into(),
        ];
        let answer = text(self.run(&self.inner.scripts.unhold, args).await?)?;
        match answer.split_at_checked(1) {
            Some(("p", _)) => Ok(Unheld::Now),
            Some(("n", _)) => Ok(Unheld::NotHeld),
            Some(("r", found)) => Ok(Unheld::OtherReason(HeldReason::from_word(found))),
            _ => Err(corrupt("an unknown unhold answer")),
        }
    }
}

fn one_line(name: &str) -> String {
    clip_text(name, BY_LIMIT).replace(['\n', '\t'], " ")
}
