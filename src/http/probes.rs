//! How the configured providers of language models stand, as the fleet's probes found it: for `GET /metrics` and
//! `GET /health`, which are open to all and must cost Redis little.

use std::time::Duration;

use futures_util::future::try_join_all;

use crate::domain::ProviderName;
use crate::metrics::{LLM_PROVIDER_UP, render_family};
use crate::store::Shards;

use super::last_reading::LastReading;

/// Answers closer together than this share one reading; probes come every 30 s.
const FRESH: Duration = Duration::from_secs(1);

/// How long an answer waits for Redis.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether a provider was well; `None` before its first probe.
type Up = Vec<(ProviderName, Option<bool>)>;

/// The last reading.
pub(super) struct Probes {
    store: Shards,
    names: Vec<ProviderName>,
    last: LastReading<Up>,
}

impl Probes {
    pub(super) fn new(store: Shards, names: Vec<ProviderName>) -> Self {
        Self { store, names, last: LastReading::default() }
    }

    async fn read(&self) -> Up {
        let all = try_join_all(self.names.iter().map(async |name| {
            let health = self.store.provider_health(name).await?;
            Ok::<_, crate::store::StoreError>((name.clone(), health.map(|health| health.is_ok())))
        }));
        self.last.show((FRESH, PATIENCE), all, |up| up.cloned().unwrap_or_default()).await
    }

    /// Whether the last probe of every provider failed; `false` while one of them was not probed yet.
    pub(super) async fn all_down(&self) -> bool {
        let up = self.read().await;
        !up.is_empty() && up.iter().all(|(_, up)| *up == Some(false))
    }

    /// Appends the family of providers to `out`; one without a probe has no series.
    pub(super) async fn render(&self, out: &mut String) {
        render(out, &self.read().await);
    }
}

pub(super) fn render(out: &mut String, up: &[(ProviderName, Option<bool>)]) {
    let series = |(name, up): &'_ (ProviderName, Option<bool>)| Some((name.to_string(), f64::from(u8::from((*up)?))));
    let known: Vec<(String, f64)> = up.iter().filter_map(series).collect();
    let samples: Vec<_> = known.iter().map(|(name, up)| (vec![("provider", name.as_str())], *up)).collect();
    render_family(out, &LLM_PROVIDER_UP, &samples);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_has_a_series_from_its_first_probe_on() {
        let name = |text| ProviderName::new(text).expect("a name");
        let mut out = String::new();
        render(&mut out, &[(name("a"), Some(true)), (name("b"), Some(false)), (name("c"), None)]);
        let series: Vec<&str> = out.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = ["windlass_llm_provider_up{provider=\"a\"} 1", "windlass_llm_provider_up{provider=\"b\"} 0"];
        assert_eq!(series, expected);
    }
}
