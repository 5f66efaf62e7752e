//! Calls to language models and the limits they share, on a server whose clock stands still.

use std::time::Duration;

use windlass::domain::llm::{Block, BlockKind, Candidate, Demand, Quota, Reserved, Settlement, Target, Usage, Verdict};
use windlass::domain::{JobId, ProviderName, Timestamp};
use windlass::store::Store;

use super::jobs::workspace;
use super::redis::TestRedis;

/// Where the clock stands first: a whole second, at eight in the morning, UTC.
pub(crate) const START: i64 = 1_800_000_000_000;

/// The UTC day of [`START`], as keys name it.
pub(crate) const DAY: i64 = START / 86_400_000;

/// A server with a clock, and a handle to it.
pub(crate) struct Bridge {
    pub(crate) redis: TestRedis,
    pub(crate) store: Store,
}

impl Bridge {
    pub(crate) async fn start() -> Self {
        let redis = TestRedis::start_halted(START).await;
        let store = redis.store().await;
        Self { redis, store }
    }

    /// Sets the clock, in milliseconds after [`START`].
    pub(crate) fn at(&self, ms: i64) {
        self.redis.set_clock(START + ms);
    }

    pub(crate) async fn reserve(&self, demand: &Demand) -> Reserved {
        self.store.reserve(demand).await.unwrap()
    }

    /// Reserves, and expects the first candidate at once.
    pub(crate) async fn begin(&self, demand: &Demand) {
        assert_eq!(self.reserve(demand).await, Reserved::Granted { candidate: 0, probe: false });
    }

    /// Settles a call of the first candidate as used in full, with changes.
    pub(crate) async fn settle(&self, demand: &Demand, change: impl FnOnce(&mut Settlement)) {
        let mut settlement = settlement(demand, 0);
        change(&mut settlement);
        self.store.settle(&settlement).await.unwrap();
    }

    /// A field of a hash under `ai:llm:`.
    pub(crate) fn field(&self, key: &str, field: &str) -> String {
        self.redis.ask(&["HGET", &format!("ai:llm:{key}"), field])
    }

    /// Requests and tokens in the window of a scope at the latest call, as the cells say and the sums repeat.
    pub(crate) fn in_window(&self, scope: &str) -> (u64, u64) {
        let text = self.redis.ask(&["HGETALL", &format!("ai:llm:rate:{scope}")]);
        let lines: Vec<&str> = text.lines().collect();
        let cells = lines.chunks(2).filter(|pair| pair[0].parse::<u64>().is_ok());
        let sum = cells.fold((0, 0), |sum, pair| {
            let (r, t) = pair[1].split_once(' ').expect("requests and tokens");
            (sum.0 + r.parse::<u64>().unwrap(), sum.1 + t.parse::<u64>().unwrap())
        });
        let said = ["r", "t"].map(|name| self.field(&format!("rate:{scope}"), name).parse().unwrap());
        assert_eq!(sum, (said[0], said[1]), "{text}");
        sum
    }
}

pub(crate) fn target(provider: &str, model: &str) -> Target {
    Target { provider: ProviderName::new(provider).unwrap(), model: model.into() }
}

/// A way without limits: 100 tokens, 1,000 nano-USD.
pub(crate) fn candidate(provider: &str, model: &str) -> Candidate {
    let (provider_quota, model_quota) = (Quota::default(), Quota::default());
    let target = target(provider, model);
    Candidate { target, provider: provider_quota, model: model_quota, tokens: 100, nano_usd: 1_000 }
}

/// The demand of a new job of workspace `ws` on `openai/gpt`, with changes.
pub(crate) fn demand(change: impl FnOnce(&mut Demand)) -> Demand {
    let mut demand = Demand {
        job: JobId::new(START as u64, 0),
        call: "call-1".into(),
        workspace: workspace("ws"),
        workspace_default: Quota::default(),
        candidates: vec![candidate("openai", "gpt")],
        hold: Duration::from_secs(120),
    };
    change(&mut demand);
    demand
}

/// The same with limits of the provider.
pub(crate) fn limited(quota: Quota) -> Demand {
    demand(|d| d.candidates[0].provider = quota)
}

pub(crate) fn requests(n: u64) -> Quota {
    Quota { requests_per_minute: Some(n), ..Quota::default() }
}

pub(crate) fn tokens(n: u64) -> Quota {
    Quota { tokens_per_minute: Some(n), ..Quota::default() }
}

pub(crate) fn at_once(n: u64) -> Quota {
    Quota { concurrency: Some(n), ..Quota::default() }
}

pub(crate) fn a_day(nano_usd: u64) -> Quota {
    Quota { nano_usd_per_day: Some(nano_usd), ..Quota::default() }
}

/// A good call that used all it asked for.
pub(crate) fn settlement(demand: &Demand, candidate: usize) -> Settlement {
    let to = &demand.candidates[candidate];
    Settlement {
        job: demand.job,
        call: demand.call.clone(),
        workspace: demand.workspace.clone(),
        target: to.target.clone(),
        usage: Usage { input: to.tokens, ..Usage::default() },
        nano_usd: Some(to.nano_usd),
        verdict: Verdict::Good,
        status: "ok",
        remaining: (None, None),
        took: Duration::from_secs(1),
    }
}

/// An answer to ask again `ms` after [`START`].
pub(crate) fn later(ms: i64, kind: BlockKind, whose: &str) -> Reserved {
    Reserved::Later { at: Timestamp::from_unix_ms(START + ms), block: Block { whose: whose.into(), kind } }
}
