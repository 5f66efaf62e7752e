//! Providers of language models: how they stand, and what is left of their limits.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A configured provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Provider")]
pub struct ProviderView {
    /// Its name.
    pub name: String,
    /// `openai`, `grok`, `ollama` or `compatible`.
    pub kind: String,
    /// Whether jobs may name models that are not listed.
    pub open_models: bool,
    /// What its last probe found; `null` before the first, and when there was none in the last five minutes.
    pub health: Option<HealthView>,
    /// Its limits as a whole.
    pub limits: LimitsView,
    /// What its calls use.
    pub usage: MeterView,
    /// Its models; the first is its default.
    pub models: Vec<ModelView>,
}

/// What a probe of a provider found: a worker asked it for its models, which costs nothing. It says nothing of
/// completions, so it opens and closes no breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthView {
    /// When it was asked.
    #[schema(format = DateTime)]
    pub at: String,
    /// How long ago that is, in seconds.
    pub age_seconds: u64,
    /// Whether it answered as a provider does.
    pub ok: bool,
    /// Why not: `unreachable`, `timeout`, `refused` (its key), `rate_limited`, `unavailable` or `bad_answer`.
    pub reason: Option<String>,
    /// How long the answer took, in milliseconds.
    pub latency_ms: u64,
    /// How many models it said it has, 200 at most; `null` when it did not say.
    pub models: Option<u64>,
}

/// The models of a provider: those that are configured, and those it offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderModels {
    /// The probe that found them.
    pub health: Option<HealthView>,
    /// Configured ones that it does not offer first, then what it offers, in its order.
    pub models: Vec<OfferedModel>,
}

/// A model that is configured or offered, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferedModel {
    /// The name that the provider knows.
    pub name: String,
    /// Whether the provider offers it; `null` when it did not say what it offers.
    pub offered: Option<bool>,
    /// Whether it is configured.
    pub configured: bool,
}

/// A model of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Model")]
pub struct ModelView {
    /// The name that the provider knows.
    pub name: String,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// Input and output tokens that fit at once, if known.
    pub context_window: Option<u64>,
    /// Whether its price is known: calls without one are counted as unpriced, never as free.
    pub priced: bool,
    /// `closed` (it is called), `cooling` (the provider asked for patience), `open` (too many calls failed) or
    /// `half_open` (one call tries whether it works again).
    pub breaker: String,
    /// Until when it is left alone.
    #[schema(format = DateTime)]
    pub cooling_until: Option<String>,
    /// Why it is not simply called: the status of the call that was the reason.
    pub reason: Option<String>,
    /// Calls of the last minute that say whether it works.
    pub calls_last_minute: u64,
    /// Of these, those that failed.
    pub failures_last_minute: u64,
    /// Its limits.
    pub limits: LimitsView,
    /// What its calls use.
    pub usage: MeterView,
}

/// Limits; `null` where there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitsView {
    /// Calls begun in any 60 seconds.
    pub requests_per_minute: Option<LimitView>,
    /// Tokens of the calls begun in any 60 seconds.
    pub tokens_per_minute: Option<LimitView>,
    /// Calls under way at once.
    pub concurrency: Option<LimitView>,
    /// Spending in nano-USD (10⁻⁹ USD) in a day, UTC.
    pub nano_usd_per_day: Option<LimitView>,
}

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitView {
    /// The limit.
    pub limit: u64,
    /// What is left of it now.
    pub left: u64,
}

/// What calls use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MeterView {
    /// Calls begun in the last minute.
    pub requests: u64,
    /// Their tokens: at most what they asked for, exact once they ended.
    pub tokens: u64,
    /// Calls under way.
    pub under_way: u64,
    /// Jobs that wait for a booked time.
    pub booked: u64,
    /// Spent today, UTC, in nano-USD.
    pub spent_nano_usd: u64,
    /// The most that calls under way and booked ones can cost, in nano-USD.
    pub reserved_nano_usd: u64,
    /// How long a call takes, as a moving average in milliseconds; `null` before the first.
    pub average_ms: Option<u64>,
}

/// All configured providers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderList {
    /// The providers.
    pub providers: Vec<ProviderView>,
}
