//! How calls to the configured models stand, for `GET /metrics`: their breakers and daily budgets.
//!
//! Labels come from the settings alone, so their number is bounded. Budgets of workspaces are left out: operators may
//! give any number of workspaces one, and `windlass workspaces limits` shows each.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;

use crate::domain::llm::{ProviderInfo, Quota, Target};
use crate::metrics::{LLM_BREAKER_OPEN, LLM_BUDGET_USED, Sample, render_family};
use crate::store::{BreakerState, LimitUse, Shards, StoreError};

use super::last_reading::LastReading;

/// Scrapes closer together than this share one reading.
const FRESH: Duration = Duration::from_secs(1);

/// How long an answer waits for Redis.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known of a provider, or of one of its models.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    provider: String,
    /// Empty for the provider as a whole.
    model: String,
    /// Whether it is left alone; `None` for the provider as a whole, which has no breaker.
    open: Option<bool>,
    /// What is used of its daily budget; `None` without one.
    used: Option<f64>,
}

/// The last reading.
pub(super) struct Standing {
    store: Shards,
    providers: Arc<[ProviderInfo]>,
    last: LastReading<Vec<Row>>,
}

impl Standing {
    pub(super) fn new(store: Shards, providers: Arc<[ProviderInfo]>) -> Self {
        Self { store, providers, last: LastReading::default() }
    }

    /// Appends the families of models to `out`.
    pub(super) async fn render(&self, out: &mut String) {
        let show = |rows: Option<&Vec<Row>>| render(out, rows.map_or(&[], Vec::as_slice));
        self.last.show((FRESH, PATIENCE), Box::pin(self.read()), show).await;
    }

    async fn read(&self) -> Result<Vec<Row>, StoreError> {
        let rows = try_join_all(self.providers.iter().map(async |info| {
            let whole = match info.quota.nano_usd_per_day {
                Some(_) => share(&info.quota, &self.store.provider_use(&info.name).await?),
                None => None,
            };
            let mut rows = vec![Row { provider: info.name.to_string(), model: String::new(), open: None, used: whole }];
            rows.extend(
                try_join_all(info.models.iter().map(async |of| self.model(info, &of.name, &of.quota).await)).await?,
            );
            Ok::<_, StoreError>(rows)
        }));
        Ok(rows.await?.into_iter().flatten().collect())
    }

    async fn model(&self, info: &ProviderInfo, name: &Arc<str>, quota: &Quota) -> Result<Row, StoreError> {
        let target = Target { provider: info.name.clone(), model: Arc::clone(name) };
        let breaker = self.store.target_state(&target).await?.breaker;
        let used = match quota.nano_usd_per_day {
            Some(_) => share(quota, &self.store.model_use(&target).await?),
            None => None,
        };
        let open = Some(matches!(breaker, BreakerState::Open | BreakerState::HalfOpen));
        Ok(Row { provider: info.name.to_string(), model: name.to_string(), open, used })
    }
}

/// What is spent and reserved of a daily budget; a budget of nothing is used up.
#[expect(clippy::cast_precision_loss, reason = "a ratio for people; budgets stay below 2^53")]
fn share(quota: &Quota, used: &LimitUse) -> Option<f64> {
    let taken = used.spent.saturating_add(used.reserved) as f64;
    quota.nano_usd_per_day.map(|budget| if budget == 0 { 1.0 } else { taken / budget as f64 })
}

fn render(out: &mut String, rows: &[Row]) {
    let labels = |row: &'_ Row| vec![("provider", row.provider.clone()), ("model", row.model.clone())];
    let family = |out: &mut String, metric, value: &dyn Fn(&Row) -> Option<f64>| {
        let found: Vec<_> = rows.iter().filter_map(|row| Some((labels(row), value(row)?))).collect();
        let samples: Vec<Sample<'_>> = found
            .iter()
            .map(|(labels, value)| (labels.iter().map(|(key, text)| (*key, text.as_str())).collect(), *value))
            .collect();
        render_family(out, metric, &samples);
    };
    family(out, &LLM_BREAKER_OPEN, &|row| row.open.map(|open| f64::from(u8::from(open))));
    family(out, &LLM_BUDGET_USED, &|row| row.used);
}

#[cfg(test)]
pub(super) fn render_nothing(out: &mut String) {
    render(out, &[]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_a_breaker_and_only_what_has_a_budget_has_a_share_of_it() {
        let row = |model: &str, open, used| Row { provider: "p".into(), model: model.into(), open, used };
        let mut out = String::new();
        render(&mut out, &[row("", None, Some(0.25)), row("a", Some(true), None), row("b", Some(false), Some(1.0))]);
        let series: Vec<&str> = out.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "windlass_llm_breaker_open{provider=\"p\",model=\"a\"} 1",
            "windlass_llm_breaker_open{provider=\"p\",model=\"b\"} 0",
            "windlass_llm_budget_used_ratio{provider=\"p\",model=\"\"} 0.25",
            "windlass_llm_budget_used_ratio{provider=\"p\",model=\"b\"} 1",
        ];
        assert_eq!(series, expected);
    }

    #[test]
    fn a_share_counts_what_is_reserved_and_a_budget_of_nothing_is_used_up() {
        let used = LimitUse { spent: 20, reserved: 5, ..LimitUse::default() };
        let budget = |nano| Quota { nano_usd_per_day: nano, ..Quota::default() };
        assert_eq!(share(&budget(Some(100)), &used), Some(0.25));
        assert_eq!(share(&budget(Some(0)), &used), Some(1.0));
        assert_eq!(share(&budget(None), &used), None);
    }
}
