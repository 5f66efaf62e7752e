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
    /// Its limits as a whole.
    pub limits: LimitsView,
    /// What its calls use.
    pub usage: MeterView,
    /// Its models; the first is its default.
    pub models: Vec<ModelView>,
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
