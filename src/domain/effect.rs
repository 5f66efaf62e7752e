//! Effects outside: what can be known of one, and what is on record of it.

use super::failure::words;
use super::{JobId, RawJson, Timestamp};

words! {
    /// What can be known of an effect whose answer was lost, and so what a later attempt may do.
    EffectClass {
        /// A second one does no harm: it is done again.
        Repeatable = "repeatable",
        /// The other side honours a key and acts once: it is done again with the same key.
        Keyed = "keyed",
        /// The other side can be asked whether it happened.
        Reconcilable = "reconcilable",
        /// Nobody can tell: the job is held for a person to decide.
        Once = "once",
    }
}

words! {
    /// How far an effect is on record.
    EffectState {
        /// It was about to happen. Without a receipt, nobody here knows whether it did.
        Intent = "intent",
        /// It happened.
        Done = "done",
    }
}

/// The key of an effect: the same on every attempt, whatever the process, and never chosen by a model.
#[must_use]
pub fn effect_key(job: JobId, step: &str) -> String {
    format!("{job}.{step}")
}

/// What is on record of one effect of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectRecord {
    /// Which of the job's effects: `[a-z0-9_-]{1,32}`.
    pub step: String,
    /// How far it is.
    pub state: EffectState,
    /// What could be known of it.
    pub class: EffectClass,
    /// The number of the attempt that wrote this.
    pub attempt: u32,
    /// When, by Redis' time.
    pub at: Timestamp,
    /// How long ago that was when it was read, by Redis' time.
    pub age: std::time::Duration,
    /// How long ago the first attempt's intent was; at least `age`.
    pub first_age: std::time::Duration,
    /// Redis lost state since: what is not on record may have happened all the same.
    pub state_lost: bool,
    /// Of an intent: what was noted for a lookup, such as a draft's id; `null` when nothing was. Of an effect that is
    /// done: its receipt.
    pub document: RawJson,
    /// The operator who decided that it happened; empty when a worker saw it.
    pub by: String,
}

/// Someone's word that a held job may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// What was approved: the digest of the facts that were shown.
    pub digest: String,
    /// By whom.
    pub by: String,
    /// When, by Redis' time.
    pub at: Timestamp,
    /// Until when it holds.
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_job_and_step_and_no_attempt() {
        let job = JobId::new(1_000, 0);
        assert_eq!(effect_key(job, "send"), format!("{job}.send"));
    }
}
