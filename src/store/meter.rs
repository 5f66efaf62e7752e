//! What is used of the limits of providers and models, and how their breakers stand. Reads only; the formats are those
//! of `lua/lib/llm_rate.lua`, `llm_share.lua` and `llm_breaker.lua`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::llm::Target;
use crate::domain::{ProviderName, Timestamp};

use super::reply::{Reply, text};
use super::{Shards, Store, StoreError};

/// A day in milliseconds, UTC.
pub(super) const DAY_MS: i64 = 86_400_000;

/// What is used of the limits of one provider or model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitUse {
    /// Calls begun in the 61 seconds that end now.
    pub requests: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Calls that have a share booked for later.
    pub booked: u64,
    /// Calls under way.
    pub under_way: u64,
    /// Spent today, UTC, in nano-USD.
    pub spent: u64,
    /// Reserved for calls under way and booked, in nano-USD.
    pub reserved: u64,
    /// How long a call takes, as a moving average; `None` before the first.
    pub took: Option<Duration>,
}

/// Whether a target is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakerState {
    /// It is.
    #[default]
    Closed,
    /// The provider asked for patience.
    Cooling,
    /// Too many of its calls failed.
    Open,
    /// The time of that is over: one call at a time tries whether it works again.
    HalfOpen,
}

/// How a target stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetState {
    /// Its breaker.
    pub breaker: BreakerState,
    /// Until when it is left alone.
    pub until: Option<Timestamp>,
    /// Status of the call that was the reason.
    pub why: Option<String>,
    /// Calls of the last minute that say that it works.
    pub good: u64,
    /// Those that say that it does not.
    pub faulty: u64,
}

impl Store {
    async fn fields(&self, key: String) -> Result<BTreeMap<String, String>, StoreError> {
        let value = self.inner.link.command("HGETALL", vec![key.into()]).await?;
        Ok(Reply::array(value)?.pairs()?.into_iter().collect())
    }

    async fn limit_use(&self, scope: &str) -> Result<LimitUse, StoreError> {
        let (keys, now) = (&self.inner.keys, self.now().await?.unix_ms());
        let rate = self.fields(keys.llm_rate(scope)).await?;
        let money = self.fields(keys.llm_money(now.div_euclid(DAY_MS), scope)).await?;
        let open = vec![keys.llm_calls(scope).into(), format!("({now}").into(), "+inf".into()];
        let under_way = text(self.inner.link.command("ZCOUNT", open).await?)?;
        let head = (now.div_euclid(1000)).max(rate.get("head").and_then(|head| head.parse().ok()).unwrap_or_default());
        let (mut requests, mut tokens) = (0, 0);
        for (field, cell) in &rate {
            let inside = field.parse::<i64>().is_ok_and(|second| (head - 60..=head).contains(&second));
            if let (true, Some((r, t))) = (inside, cell.split_once(' ')) {
                requests += r.parse::<u64>().unwrap_or_default();
                tokens += t.parse::<u64>().unwrap_or_default();
            }
        }
        let took = number(&rate, "took");
        Ok(LimitUse {
            requests,
            tokens,
            booked: number(&rate, "br"),
            under_way: under_way.parse().unwrap_or_default(),
            spent: number(&money, "spent"),
            reserved: number(&money, "reserved"),
            took: (took > 0).then(|| Duration::from_millis(took)),
        })
    }

    /// What is used of a provider's limits.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn provider_use(&self, provider: &ProviderName) -> Result<LimitUse, StoreError> {
        self.limit_use(&format!("p:{provider}")).await
    }

    /// What is used of the limits of a model at its provider.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn model_use(&self, target: &Target) -> Result<LimitUse, StoreError> {
        self.limit_use(&format!("m:{target}")).await
    }

    /// How a target stands.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn target_state(&self, target: &Target) -> Result<TargetState, StoreError> {
        let fields = self.fields(self.inner.keys.llm_breaker(&target.to_string())).await?;
        let now = self.now().await?.unix_ms();
        let until = fields.get("until").and_then(|ms| ms.parse().ok()).filter(|until| *until > now);
        let breaker = match (fields.get("open").is_some_and(|open| open == "1"), until) {
            (true, Some(_)) => BreakerState::Open,
            (true, None) => BreakerState::HalfOpen,
            (false, Some(_)) => BreakerState::Cooling,
            (false, None) => BreakerState::Closed,
        };
        let why = fields.get("why").filter(|_| breaker != BreakerState::Closed).cloned();
        let (good, faulty) = fields.iter().filter(|(field, _)| is_slot(field)).fold((0, 0), |sum, (_, outcome)| {
            let parts: Vec<i64> = outcome.split(' ').filter_map(|part| part.parse().ok()).collect();
            match parts[..] {
                [slot, good, faulty] if slot > now.div_euclid(5_000) - 13 => (sum.0 + good, sum.1 + faulty),
                _ => sum,
            }
        });
        let count = |n: i64| u64::try_from(n).unwrap_or_default();
        let until = until.map(Timestamp::from_unix_ms);
        Ok(TargetState { breaker, until, why, good: count(good), faulty: count(faulty) })
    }
}

impl Shards {
    /// See [`Store::provider_use`]; on the shard of [`Shards::reserve`].
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn provider_use(&self, provider: &ProviderName) -> Result<LimitUse, StoreError> {
        self.first().provider_use(provider).await
    }

    /// See [`Store::model_use`].
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn model_use(&self, target: &Target) -> Result<LimitUse, StoreError> {
        self.first().model_use(target).await
    }

    /// See [`Store::target_state`].
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn target_state(&self, target: &Target) -> Result<TargetState, StoreError> {
        self.first().target_state(target).await
    }
}

fn number(fields: &BTreeMap<String, String>, name: &str) -> u64 {
    fields.get(name).and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// `o0` to `o12`; not `open`.
fn is_slot(field: &str) -> bool {
    field.strip_prefix('o').is_some_and(|slot| slot.bytes().all(|b| b.is_ascii_digit()))
}
