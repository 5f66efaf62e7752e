//! Verb `effect`: what an attempt is about to do outside, what a lookup would need of it, and its receipt.

use fred::prelude::Value;

use crate::domain::{EffectClass, EffectRecord, RawJson, bounds};

use super::claim::Claimed;
use super::reply::{Reply, corrupt};
use super::{Store, StoreError, codec};

/// What an intent met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EffectBegun {
    /// It is on record now.
    Fresh,
    /// What is on record already; nothing was written.
    Found(EffectRecord),
    /// The attempt no longer holds the job; nothing was written.
    Stale,
    /// Other rules are in force, of this revision (empty for none); nothing was written.
    PolicyChanged(String),
}

impl Store {
    /// Puts an intent on record, unless something is there. With `again` an earlier attempt's intent is replaced, and
    /// its first moment and its note stay. `revision`: of the rules that it was judged by, empty for none.
    ///
    /// # Errors
    /// `Unknown`, `NotDurable`: repeating is safe.
    pub async fn effect_begin(
        &self,
        claimed: &Claimed,
        step: &str,
        class: EffectClass,
        again: bool,
        revision: &str,
    ) -> Result<EffectBegun, StoreError> {
        #[cfg(feature = "chaos")]
        if super::planted::is_on(self, super::planted::Switch::EffectGuardOff) {
            return Ok(EffectBegun::Fresh);
        }
        let again = if again { "1" } else { "0" };
        let more = [class.as_str().into(), again.into(), revision.into()];
        let mut reply = self.effect(claimed, step, "begin", more).await?;
        match reply.text()?.as_str() {
            "fresh" => Ok(EffectBegun::Fresh),
            "stale" => Ok(EffectBegun::Stale),
            "policy" => Ok(EffectBegun::PolicyChanged(reply.text()?)),
            "found" => {
                let now = self.saw_time(&reply.text()?)?;
                let (epoch, line) = (reply.text()?, reply.text()?);
                codec::effect(&line, now, &epoch).map(EffectBegun::Found)
            }
            _ => Err(corrupt("an unknown answer to an effect")),
        }
    }

    /// Notes what a later attempt needs to look this attempt's effect up, in the place of what was noted; false when
    /// this attempt has no intent on record or no longer holds the job.
    ///
    /// # Errors
    /// `Unknown`, `NotDurable`: repeating is safe. `Corrupt` for a document over 4 KiB.
    pub async fn effect_note(&self, claimed: &Claimed, step: &str, document: &RawJson) -> Result<bool, StoreError> {
        self.effect_document(claimed, step, "note", document).await
    }

    /// Puts a receipt in the place of an intent; false when the attempt no longer holds the job. A receipt that is on
    /// record stays.
    ///
    /// # Errors
    /// `Unknown`, `NotDurable`: repeating is safe. `Corrupt` for a receipt over 4 KiB.
    pub async fn effect_receipt(&self, claimed: &Claimed, step: &str, receipt: &RawJson) -> Result<bool, StoreError> {
        self.effect_document(claimed, step, "receipt", receipt).await
    }

    async fn effect_document(
        &self,
        claimed: &Claimed,
        step: &str,
        what: &str,
        document: &RawJson,
    ) -> Result<bool, StoreError> {
        #[cfg(feature = "chaos")]
        if super::planted::is_on(self, super::planted::Switch::EffectGuardOff) {
            return Ok(true);
        }
        checked(document)?;
        let mut reply = self.effect(claimed, step, what, [document.as_str().into()]).await?;
        Ok(reply.text()? == "fresh")
    }

    async fn effect<const N: usize>(
        &self,
        claimed: &Claimed,
        step: &str,
        what: &str,
        more: [Value; N],
    ) -> Result<Reply, StoreError> {
        let job = &claimed.job;
        let mut args = vec![
            job.queue.as_str().into(),
            job.id.to_string().into(),
            claimed.attempt_id.to_string().into(),
            job.attempt.to_string().into(),
            is_step(step)?.into(),
            what.into(),
        ];
        args.extend(more);
        Reply::array(self.run(&self.inner.scripts.effect, args).await?)
    }
}

/// Compact JSON of at most 4 KiB on one line.
pub(super) fn checked(document: &RawJson) -> Result<(), StoreError> {
    let text = document.as_str();
    if text.len() > bounds::EFFECT {
        return Err(corrupt("a document of an effect over 4 KiB"));
    }
    if text.bytes().any(|byte| matches!(byte, b'\n' | b'\t' | b'\r')) {
        return Err(corrupt("a document of an effect that is not compact"));
    }
    Ok(())
}

/// Steps are `[a-z0-9_-]{1,32}`.
pub(super) fn is_step(step: &str) -> Result<&str, StoreError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    if (1..=32).contains(&step.len()) && step.bytes().all(fits) {
        return Ok(step);
    }
    Err(corrupt("a step's name"))
}
