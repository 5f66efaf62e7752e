//! Verb `probed`: record what a probe of a provider of language models found; and what the last one found.

use std::time::Duration;

use crate::domain::{ProviderName, Timestamp};

use super::probe::Turn;
use super::reply::{Reply, corrupt, int};
use super::{Shards, Store, StoreError};

/// A record is kept this long: ten rounds of probes. What nobody confirms for so long is not known any more.
const KEPT: Duration = Duration::from_secs(300);

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Why the provider is not well, in one word; `None` when it is.
    pub failure: Option<&'static str>,
    /// How long it took to answer.
    pub took: Duration,
    /// The models it says it has, if it says: names without control characters, few and short enough to be kept.
    pub models: Option<Vec<String>>,
}

/// How a provider stood at its last probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderHealth {
    /// When it was asked, by Redis' time.
    pub at: Timestamp,
    /// Why it is not well, in one word; `None` when it is.
    pub failure: Option<String>,
    /// How long it took to answer.
    pub took: Duration,
    /// How many models it said it has, if it said.
    pub models: Option<u64>,
}

impl ProviderHealth {
    /// Whether it answered as a provider does.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.failure.is_none()
    }

    /// As stored: when \t why not, empty for well \t milliseconds \t models, empty for unknown.
    fn read(stored: &str) -> Option<Self> {
        let mut parts = stored.split('\t');
        let at = Timestamp::from_unix_ms(parts.next()?.parse().ok()?);
        let failure = parts.next().filter(|word| !word.is_empty()).map(str::to_owned);
        let took = Duration::from_millis(parts.next()?.parse().ok()?);
        Some(Self { at, failure, took, models: parts.next()?.parse().ok() })
    }
}

impl Store {
    /// Records what the probe of this turn found; `false` when the turn is another's by now.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn probed(&self, turn: &Turn, found: &Found) -> Result<bool, StoreError> {
        let count = found.models.as_ref().map(|models| models.len().to_string()).unwrap_or_default();
        let (at, failure) = (turn.at.unix_ms(), found.failure.unwrap_or_default());
        let seen = format!("{at}\t{failure}\t{}\t{count}", found.took.as_millis());
        let life = KEPT.as_secs().to_string();
        let mut args: Vec<_> =
            ["-", turn.provider.as_str(), turn.holder.as_str(), &life, &seen].into_iter().map(Into::into).collect();
        args.extend(found.models.as_ref().map(|models| models.join("\n").into()));
        Ok(int(&self.run(&self.inner.scripts.probed, args).await?)? == 1)
    }

    /// What the last probe of a provider found; `None` when there was none in the last five minutes.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn provider_health(&self, provider: &ProviderName) -> Result<Option<ProviderHealth>, StoreError> {
        self.health_fields(provider, &["seen"]).await.map(|found| found.map(|(health, _)| health))
    }

    /// The same with the names of the models that it said it has, in its order; none when it did not say.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn provider_models(
        &self,
        provider: &ProviderName,
    ) -> Result<Option<(ProviderHealth, Vec<String>)>, StoreError> {
        self.health_fields(provider, &["seen", "models"]).await
    }

    async fn health_fields(
        &self,
        provider: &ProviderName,
        fields: &[&str],
    ) -> Result<Option<(ProviderHealth, Vec<String>)>, StoreError> {
        let mut args = vec![self.inner.keys.llm_health(provider.as_str()).into()];
        args.extend(fields.iter().map(|field| (*field).into()));
        let texts = Reply::array(self.inner.link.command("HMGET", args).await?)?.texts()?;
        let Some(seen) = texts.first().filter(|seen| !seen.is_empty()) else { return Ok(None) };
        let health = ProviderHealth::read(seen).ok_or_else(|| corrupt("what a probe found"))?;
        let models = texts.get(1).map(|list| list.lines().map(str::to_owned).collect()).unwrap_or_default();
        Ok(Some((health, models)))
    }
}

impl Shards {
    /// See [`Store::probed`]; on the shard of [`Shards::take_turn`].
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn probed(&self, turn: &Turn, found: &Found) -> Result<bool, StoreError> {
        self.first().probed(turn, found).await
    }

    /// See [`Store::provider_health`].
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn provider_health(&self, provider: &ProviderName) -> Result<Option<ProviderHealth>, StoreError> {
        self.first().provider_health(provider).await
    }

    /// See [`Store::provider_models`].
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn provider_models(
        &self,
        provider: &ProviderName,
    ) -> Result<Option<(ProviderHealth, Vec<String>)>, StoreError> {
        self.first().provider_models(provider).await
    }
}
