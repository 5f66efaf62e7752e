//! List prices of well-known models, compiled in. What the settings say of a model wins over them.

use std::sync::Arc;

use serde::Deserialize;

use super::Problem;
use crate::domain::llm::{ModelInfo, Price, Quota};

/// The table; says itself where it is from.
const TABLE: &str = include_str!("../../config/prices.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    kind: String,
    name: Arc<str>,
    input: u64,
    cached_input: u64,
    output: u64,
    context_window: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    version: String,
    models: Vec<Row>,
}

/// What is known of well-known models.
#[derive(Debug)]
pub(super) struct Prices(Table);

impl Prices {
    /// Reads the compiled-in table.
    pub(super) fn compiled_in() -> Result<Self, Problem> {
        let table = toml::from_str(TABLE);
        table.map(Self).map_err(|e| Problem::plain(format!("config/prices.toml: {}", e.message())))
    }

    /// The day of the prices.
    pub(super) fn version(&self) -> &str {
        &self.0.version
    }

    /// Well-known models of a kind of provider.
    pub(super) fn of_kind(&self, kind: &str) -> impl Iterator<Item = ModelInfo> {
        self.0.models.iter().filter(move |row| row.kind == kind).map(|row| ModelInfo {
            name: Arc::clone(&row.name),
            aliases: Vec::new(),
            context_window: Some(row.context_window),
            price: Some(Price { input: row.input, cached_input: row.cached_input, output: row.output }),
            quota: Quota::default(),
        })
    }

    /// A model of a kind of provider; with nothing but its name when it is not well known.
    pub(super) fn model(&self, kind: &str, name: &str) -> ModelInfo {
        self.of_kind(kind).find(|model| &*model.name == name).unwrap_or_else(|| ModelInfo {
            name: name.into(),
            aliases: Vec::new(),
            context_window: None,
            price: None,
            quota: Quota::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_dated_and_plausible() {
        let prices = Prices::compiled_in().unwrap();
        assert!(crate::domain::Timestamp::parse(&format!("{}T00:00:00Z", prices.version())).is_ok());
        let mut names = BTreeSet::new();
        for row in &prices.0.models {
            assert!(["openai", "grok"].contains(&row.kind.as_str()), "{}", row.name);
            assert!(names.insert((&row.kind, &row.name)), "{} stands twice", row.name);
            // Nothing is sold for more than 1,000 USD per million tokens, and a cache is no surcharge.
            assert!(row.cached_input <= row.input && row.input <= row.output, "{}", row.name);
            assert!((1..=1_000_000_000_000).contains(&row.output), "{}", row.name);
        }
    }

    #[test]
    fn a_model_is_known_at_its_own_maker_only() {
        let prices = Prices::compiled_in().unwrap();
        let price = Price { input: 150_000_000, cached_input: 75_000_000, output: 600_000_000 };
        assert_eq!(prices.model("openai", "gpt-4o-mini").price, Some(price));
        assert_eq!(prices.model("ollama", "gpt-4o-mini").price, None);
        assert_eq!(prices.model("openai", "of-mine").context_window, None);
    }
}
