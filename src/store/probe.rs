//! Verb `probe`: have a provider of language models looked at now. Whose turn that is: one process of the fleet at a
//! time takes a provider's turn, a key with a life of its own, so that providers are asked as seldom by a hundred
//! workers as by one.

use std::time::Duration;

use fred::prelude::Value;

use crate::domain::{ProviderName, Timestamp};

use super::reply::{Reply, corrupt};
use super::{Shards, Store, StoreError};

/// The turn to probe a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The provider.
    pub provider: ProviderName,
    /// When it was taken, by Redis' time.
    pub at: Timestamp,
    /// Proves to verb `probed` whose it is.
    pub(super) holder: String,
}

/// A demand to probe a provider now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeAsked {
    /// When, by Redis' time: a probe that is recorded as of this time or later was meant.
    pub at: Timestamp,
    /// Live workers that were told, 100 at most.
    pub told: u64,
}

impl Store {
    /// Takes the turn to probe a provider for `life`, unless another has it. One command, and one more when it is won.
    ///
    /// # Errors
    /// When Redis did not answer; a turn that was taken all the same is free again after `life`.
    pub async fn take_turn(&self, provider: &ProviderName, life: Duration) -> Result<Option<Turn>, StoreError> {
        let holder = uuid::Uuid::new_v4().simple().to_string();
        let key = self.inner.keys.llm_probe(provider.as_str());
        let life = life.as_millis().to_string();
        let args = vec![key.into(), holder.as_str().into(), "NX".into(), "PX".into(), life.into()];
        if self.inner.link.command("SET", args).await? == Value::Null {
            return Ok(None);
        }
        Ok(Some(Turn { provider: provider.clone(), at: self.now().await?, holder }))
    }

    /// Has a provider probed now: takes its turn away from whoever has it, and tells the live workers.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn probe(&self, provider: &ProviderName) -> Result<ProbeAsked, StoreError> {
        let args = vec!["-".into(), provider.as_str().into()];
        let mut reply = Reply::array(self.run(&self.inner.scripts.probe, args).await?)?;
        let now = reply.text()?;
        self.saw_time(&now)?;
        let at = now.parse().map(Timestamp::from_unix_ms).map_err(|_| corrupt("a time"))?;
        Ok(ProbeAsked { at, told: reply.text()?.parse().map_err(|_| corrupt("a number of workers"))? })
    }
}

impl Shards {
    /// See [`Store::take_turn`]; there is one turn for all shards.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn take_turn(&self, provider: &ProviderName, life: Duration) -> Result<Option<Turn>, StoreError> {
        self.first().take_turn(provider, life).await
    }

    /// See [`Store::probe`]; workers are registered on every shard.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn probe(&self, provider: &ProviderName) -> Result<ProbeAsked, StoreError> {
        self.first().probe(provider).await
    }
}
