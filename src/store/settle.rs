//! Verb `settle`: what a call to a language model used, instead of what it might have used.

use std::time::Duration;

use crate::domain::llm::{Settlement, Verdict};

use super::reply::Reply;
use super::reserve::{amount, plain};
use super::{Shards, Store, StoreError};

/// A target is left alone for this long at most, whatever its provider asks for.
const LONGEST_COOL: Duration = Duration::from_secs(24 * 3600);

impl Store {
    /// Ends a call. One that holds no reservation any more changes nothing: it was counted when it lost it.
    ///
    /// # Errors
    /// `Unknown`: repeating is safe. `Corrupt` for control characters in the name of the call.
    pub async fn settle(&self, settlement: &Settlement) -> Result<(), StoreError> {
        let Settlement { usage, remaining, .. } = settlement;
        let (verdict, cool) = match settlement.verdict {
            Verdict::Good => ("good", Duration::ZERO),
            Verdict::Faulty => ("faulty", Duration::ZERO),
            Verdict::Neutral => ("neutral", Duration::ZERO),
            Verdict::Cool(cool) => ("cool", cool.min(LONGEST_COOL)),
        };
        let args = vec![
            "-".into(),
            settlement.job.to_string().into(),
            plain(&settlement.call)?.into(),
            amount(usage.input).into(),
            amount(usage.cached_input).into(),
            amount(usage.reasoning).into(),
            amount(usage.output).into(),
            u8::from(usage.estimated).to_string().into(),
            settlement.nano_usd.map(amount).unwrap_or_default().into(),
            verdict.into(),
            millis(cool).into(),
            settlement.status.into(),
            remaining.0.map(amount).unwrap_or_default().into(),
            remaining.1.map(amount).unwrap_or_default().into(),
            millis(settlement.took).into(),
        ];
        let mut reply = Reply::array(self.run(&self.inner.scripts.settle, args).await?)?;
        self.saw_time(&reply.text()?).map(drop)
    }
}

impl Shards {
    /// See [`Store::settle`]; on the shard of [`Shards::reserve`].
    ///
    /// # Errors
    /// See [`Store::settle`].
    pub async fn settle(&self, settlement: &Settlement) -> Result<(), StoreError> {
        self.first().settle(settlement).await
    }
}

fn millis(duration: Duration) -> String {
    amount(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
