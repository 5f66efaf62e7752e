//! What calls to language models used and cost.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the lines of a usage report are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// One line per workspace.
    Workspace,
    /// One line per provider.
    Provider,
    /// One line per model of a provider.
    #[default]
    Model,
}

impl GroupBy {
    /// Every grouping with its word.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Workspace, "workspace"), (Self::Provider, "provider"), (Self::Model, "model")];

    /// The word of the query.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(group, _)| *group == self).map_or("model", |(_, word)| word)
    }
}

impl std::str::FromStr for GroupBy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|(_, word)| *word == text);
        found.map(|(group, _)| *group).ok_or("must be workspace, provider or model")
    }
}

/// Usage over some days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageReport {
    /// The first day, UTC.
    #[schema(format = Date)]
    pub from: String,
    /// The last day, UTC.
    #[schema(format = Date)]
    pub to: String,
    /// What the lines are for.
    pub group_by: GroupBy,
    /// The lines, in the order of names.
    pub lines: Vec<UsageLine>,
    /// The sum of all lines.
    pub total: UsageView,
}

/// One line of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageLine {
    /// The workspace, the provider, or `provider/model`.
    pub name: String,
    /// What was used.
    #[serde(flatten)]
    pub usage: UsageView,
}

/// Sums over calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Usage")]
pub struct UsageView {
    /// Calls that went out.
    pub calls: u64,
    /// Of these, without a usable answer; what they used counts all the same.
    pub failed: u64,
    /// Input tokens, cached or not.
    pub input_tokens: u64,
    /// Input tokens from the provider's cache.
    pub cached_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Output tokens that were reasoning.
    pub reasoning_tokens: u64,
    /// Cost in nano-USD (10⁻⁹ USD), of the calls whose price is known.
    pub nano_usd: u64,
    /// Calls whose figures are estimates, since the provider named none or the worker died.
    pub estimated_calls: u64,
    /// Calls whose price is not known: they are not in the cost.
    pub unpriced_calls: u64,
}
