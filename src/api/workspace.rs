//! Limits of a workspace.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::llm::MOST;

use super::Problem;
use super::json::Json;
use super::read::Fields;

/// How much of the fleet a workspace may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Its share in line relative to other workspaces; default 1.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 100, example = 1)]
    pub weight: u32,
    /// Jobs running at once in each queue; `null` is no cap.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub max_running: Option<u32>,
    /// Its own limits of calls to language models, instead of those of the settings; `null` leaves it to these.
    #[serde(default)]
    pub llm: Option<LlmLimits>,
}

/// Limits of a workspace's calls to language models, over all providers; `null` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LlmLimits {
    /// Calls begun in any 60 seconds.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_i64)]
    pub requests_per_minute: Option<u64>,
    /// Tokens, input and output, of the calls begun in any 60 seconds.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_i64)]
    pub tokens_per_minute: Option<u64>,
    /// Calls under way at once.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_i64)]
    pub concurrency: Option<u64>,
    /// Spending in a day, UTC, in nano-USD: whole numbers, so that sums are exact. 1 USD is 1,000,000,000.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000_000_000_000_i64)]
    pub nano_usd_per_day: Option<u64>,
}

fn one() -> u32 {
    1
}

impl Limits {
    /// Reads limits; absent ones get their defaults.
    ///
    /// # Errors
    /// Everything that is wrong with the document, by field.
    pub fn read(body: Json) -> Result<Self, Box<Problem>> {
        let mut fields = Fields::of(body)?;
        let weight = fields.integer("weight", 1, 100);
        let max_running = fields.integer("max_running", 1, 1_000_000);
        let llm = fields.object("llm", |inner| LlmLimits {
            requests_per_minute: inner.integer("requests_per_minute", 1, MOST),
            tokens_per_minute: inner.integer("tokens_per_minute", 1, MOST),
            concurrency: inner.integer("concurrency", 1, MOST),
            nano_usd_per_day: inner.integer("nano_usd_per_day", 1, MOST),
        });
        fields.finish()?;
        let small = |n: u64| u32::try_from(n).ok();
        let weight = weight.and_then(small).unwrap_or_else(one);
        Ok(Self { weight, max_running: max_running.and_then(small), llm })
    }
}
