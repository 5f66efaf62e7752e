//! The ledger of calls to language models, which verb `settle` keeps by day (`lua/lib/llm_ledger.lua`).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::domain::Workspace;

use super::reply::Reply;
use super::{Shards, Store, StoreError};

/// Days that the ledger is kept.
pub const LEDGER_DAYS: i64 = 90;

/// Fields of one answer of `HSCAN`: some 100 KB.
const PAGE: &str = "1000";

/// Sums over calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Calls that went out.
    pub calls: u64,
    /// Of these, without a usable answer.
    pub failed: u64,
    /// Input tokens, cached or not.
    pub input: u64,
    /// Input tokens from the provider's cache.
    pub cached: u64,
    /// Output tokens that were reasoning.
    pub reasoning: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Cost in nano-USD, of calls whose price is known.
    pub nano_usd: u64,
    /// Calls whose figures are estimates.
    pub estimated: u64,
    /// Calls whose price is not known.
    pub unpriced: u64,
}

impl Figures {
    /// Adds other calls.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failed += other.failed;
        self.input += other.input;
        self.cached += other.cached;
        self.reasoning += other.reasoning;
        self.output += other.output;
        self.nano_usd = self.nano_usd.saturating_add(other.nano_usd);
        self.estimated += other.estimated;
        self.unpriced += other.unpriced;
    }

    fn set(&mut self, figure: &str, n: u64) {
        match figure {
            "calls" => self.calls = n,
            "failed" => self.failed = n,
            "input" => self.input = n,
            "cached" => self.cached = n,
            "reasoning" => self.reasoning = n,
            "output" => self.output = n,
            "nano_usd" => self.nano_usd = n,
            "estimated" => self.estimated = n,
            "unpriced" => self.unpriced = n,
            _ => {}
        }
    }
}

/// The calls of one workspace to one model, over the days that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerLine {
    /// Whose calls.
    pub workspace: String,
    /// The provider.
    pub provider: String,
    /// The model; `other` for those that came when the ledger of a day was full.
    pub model: String,
    /// The sums.
    pub figures: Figures,
}

impl Store {
    /// The ledger of some days (UTC, counted from 1970), of one workspace or of all, in the order of names. The caller
    /// bounds the days; each is 20,000 fields and a few at most.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn ledger(
        &self,
        days: RangeInclusive<i64>,
        workspace: Option<&Workspace>,
    ) -> Result<Vec<LedgerLine>, StoreError> {
        let pattern = workspace.map_or_else(|| "*".to_owned(), |name| format!("{name}\t*"));
        let mut sums: BTreeMap<(String, String, String), Figures> = BTreeMap::new();
        for day in days {
            for (field, n) in self.ledger_fields(day, &pattern).await? {
                let parts: Vec<&str> = field.split('\t').collect();
                if let ([workspace, provider, model, figure], Ok(n)) = (&parts[..], n.parse()) {
                    let key = ((*workspace).to_owned(), (*provider).to_owned(), (*model).to_owned());
                    let mut part = Figures::default();
                    part.set(figure, n);
                    sums.entry(key).or_default().add(&part);
                }
            }
        }
        let line = |((workspace, provider, model), figures)| LedgerLine { workspace, provider, model, figures };
        Ok(sums.into_iter().map(line).collect())
    }

    /// The fields of one day, each once: `HSCAN` may give one twice while the hash grows.
    async fn ledger_fields(&self, day: i64, pattern: &str) -> Result<BTreeMap<String, String>, StoreError> {
        let (key, mut cursor, mut all) = (self.inner.keys.llm_usage(day), "0".to_owned(), BTreeMap::new());
        loop {
            let args = [key.as_str(), &cursor, "MATCH", pattern, "COUNT", PAGE].map(Into::into).to_vec();
            let mut reply = Reply::array(self.inner.link.command("HSCAN", args).await?)?;
            cursor = reply.text()?;
            all.extend(reply.nested()?.pairs()?);
            if cursor == "0" {
                return Ok(all);
            }
        }
    }
}

impl Shards {
    /// See [`Store::ledger`]; on the shard of [`Shards::settle`].
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn ledger(
        &self,
        days: RangeInclusive<i64>,
        workspace: Option<&Workspace>,
    ) -> Result<Vec<LedgerLine>, StoreError> {
        self.first().ledger(days, workspace).await
    }
}
