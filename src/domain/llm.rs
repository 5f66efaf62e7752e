//! What calls to language models share: providers and their limits, a call's demand on them, what it used.
//!
//! Pure types. The arithmetic over the whole fleet is the store's (verbs `reserve` and `settle`), the calls are
//! those of `executors::llm`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{JobId, ProviderName, Timestamp, Workspace};

/// The largest amount of tokens, calls, milliseconds or nano-USD (a million USD) that limits know; what is larger counts
/// as this. Redis' scripts add in doubles, exact to 2^53: sums of nine of these still are.
pub const MOST: u64 = 1_000_000_000_000_000;

/// A model as one provider offers it: what a call goes to, and what limits, prices and breakers are kept for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The provider.
    pub provider: ProviderName,
    /// The model's name as the provider knows it.
    pub model: Arc<str>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

/// Limits of a provider, a model or a workspace; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Calls begun in any 60 seconds.
    pub requests_per_minute: Option<u64>,
    /// Tokens, input and output, of the calls begun in any 60 seconds.
    pub tokens_per_minute: Option<u64>,
    /// Calls under way at once.
    pub concurrency: Option<u64>,
    /// Spending in nano-USD in a day, UTC.
    pub nano_usd_per_day: Option<u64>,
}

/// Prices in nano-USD per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Input that the provider had not cached.
    pub input: u64,
    /// Input from the provider's cache.
    pub cached_input: u64,
    /// Output, reasoning included.
    pub output: u64,
}

/// Tokens that a call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input, cached or not.
    pub input: u64,
    /// The part of the input that came from the provider's cache.
    pub cached_input: u64,
    /// All output, reasoning included.
    pub output: u64,
    /// The part of the output that was reasoning.
    pub reasoning: u64,
    /// Counted here, because the provider did not say.
    pub estimated: bool,
}

impl Usage {
    /// Input and output.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

impl Price {
    /// What a call costs, in nano-USD, rounded up.
    #[must_use]
    pub fn of(&self, usage: &Usage) -> u64 {
        let cached = usage.cached_input.min(usage.input);
        let parts = [(usage.input - cached, self.input), (cached, self.cached_input), (usage.output, self.output)];
        let sum: u128 = parts.iter().map(|(tokens, price)| u128::from(*tokens) * u128::from(*price)).sum();
        u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

/// A model that a provider offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name that the provider knows.
    pub name: Arc<str>,
    /// Other names that jobs may use for it.
    pub aliases: Vec<String>,
    /// Input and output tokens that fit at once, if known.
    pub context_window: Option<u64>,
    /// `None`: its calls are counted as unpriced, never as free.
    pub price: Option<Price>,
    /// Limits of its own.
    pub quota: Quota,
}

/// A configured provider, without its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderInfo {
    /// Its name in settings, answers and metrics.
    pub name: ProviderName,
    /// `openai`, `grok`, `ollama` or `compatible`.
    pub kind: &'static str,
    /// Its models; the first is its default. Others are passed on if `open_models`.
    pub models: Vec<ModelInfo>,
    /// Whether a job may name a model that is not listed.
    pub open_models: bool,
    /// Limits of the provider as a whole.
    pub quota: Quota,
}

/// One way to carry out a call.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Where it would go.
    pub target: Target,
    /// Limits of the provider.
    pub provider: Quota,
    /// Limits of the model at this provider.
    pub model: Quota,
    /// The most tokens it can use: input, estimated, and the output limit.
    pub tokens: u64,
    /// The most it can cost, in nano-USD; 0 when the price is not known.
    pub nano_usd: u64,
}

/// What a call asks for before it begins.
#[derive(Clone, Debug)]
pub struct Demand {
    /// The job; it holds one reservation at a time.
    pub job: JobId,
    /// Names this call among those of the job: a late settlement of an earlier one must not count.
    pub call: Arc<str>,
    /// Whose budget it is.
    pub workspace: Workspace,
    /// Limits of a workspace that has none of its own.
    pub workspace_default: Quota,
    /// Where it may go, best first.
    pub candidates: Vec<Candidate>,
    /// How long the call may last. After that its share is given back, as that of a dead worker.
    pub hold: Duration,
}

/// The answer to a demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// Begin now.
    Granted {
        /// Index of the candidate.
        candidate: usize,
        /// It is the one call that tests whether a target works again.
        probe: bool,
    },
    /// A share is booked for `at` where one can be: ask again then, as the same job, and it is there.
    Later {
        /// When to ask again, by Redis' time.
        at: Timestamp,
        /// What is in the way.
        block: Block,
    },
    /// No candidate can ever carry it: it asks for more than a whole limit.
    Never {
        /// The limit.
        block: Block,
    },
}

/// What is in the way of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Of whom: `provider openai`, `model openai/gpt-4o-mini`, `workspace acme`.
    pub whose: String,
    /// Which limit.
    pub kind: BlockKind,
}

/// A kind of limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// Requests per minute.
    Requests,
    /// Tokens per minute.
    Tokens,
    /// Calls at once.
    Concurrency,
    /// Spending per day.
    Budget,
    /// The breaker is open, or the provider asked for patience.
    Cooling,
}

impl BlockKind {
    /// Every kind with its word, as the scripts answer it.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Requests, "requests"),
        (Self::Tokens, "tokens"),
        (Self::Concurrency, "concurrency"),
        (Self::Budget, "budget"),
        (Self::Cooling, "cooling"),
    ];
}

impl BlockKind {
    const fn words(self) -> &'static str {
        match self {
            Self::Requests => "requests per minute of",
            Self::Tokens => "tokens per minute of",
            Self::Concurrency => "calls at once of",
            Self::Budget => "today's budget of",
            Self::Cooling => "breaker of",
        }
    }

    /// The limit that a job waits for, from the message of its failure; `None` when that names none.
    #[must_use]
    pub fn of_message(message: &str) -> Option<Self> {
        let (_, block) = message.split_once("room in the ")?;
        Self::ALL.into_iter().map(|(kind, _)| kind).find(|kind| block.starts_with(kind.words()))
    }
}

impl Block {
    /// What a job says that waits for it.
    #[must_use]
    pub fn waits_until(&self, at: super::Timestamp) -> String {
        format!("waits until {at} for room in the {self}")
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.words(), self.whose)
    }
}

/// What a call says of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Good,
    /// It failed: counts towards the breaker.
    Faulty,
    /// It says nothing (cancelled, a bad request, an answer that failed the client's schema).
    Neutral,
    /// It asked to be left alone for so long (`Retry-After`, refused credentials, a spent quota).
    Cool(Duration),
}

/// A call's end.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The job.
    pub job: JobId,
    /// The call, as in its demand.
    pub call: Arc<str>,
    /// Whose budget it was.
    pub workspace: Workspace,
    /// Where it went.
    pub target: Target,
    /// What it used: nothing if the provider refused it.
    pub usage: Usage,
    /// What that costs, in nano-USD; `None` when the price is not known.
    pub nano_usd: Option<u64>,
    /// What it says of its target.
    pub verdict: Verdict,
    /// A word for the ledger: `ok`, `rate_limited`, `timeout`, `cancelled`, …
    pub status: &'static str,
    /// What the provider says is left of its own limits in this minute: requests and tokens.
    pub remaining: (Option<u64>, Option<u64>),
    /// How long the call took.
    pub took: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_from_what_its_job_says() {
        for (kind, _) in BlockKind::ALL {
            let block = Block { whose: "provider openai".to_owned(), kind };
            let said = block.waits_until(crate::domain::Timestamp::from_unix_ms(1));
            assert_eq!(BlockKind::of_message(&said), Some(kind), "{said}");
        }
        assert_eq!(BlockKind::of_message("the server broke"), None);
    }

    #[test]
    fn cost_is_exact_and_rounded_up_once() {
        // 0.15, 0.075 and 0.60 USD per million tokens.
        let price = Price { input: 150_000_000, cached_input: 75_000_000, output: 600_000_000 };
        let usage = Usage { input: 1_000, cached_input: 400, output: 100, ..Usage::default() };
        assert_eq!(price.of(&usage), 600 * 150 + 400 * 75 + 100 * 600);
        let cheap = Price { input: 1, cached_input: 1, output: 1 };
        assert_eq!(cheap.of(&Usage { input: 1, ..Usage::default() }), 1);
        // A provider that reports more cached input than input costs no more than all of it cached.
        let odd = Usage { input: 10, cached_input: 99, ..Usage::default() };
        assert_eq!(price.of(&odd), 10 * 75);
        assert_eq!(price.of(&Usage { input: u64::MAX, ..Usage::default() }), u64::MAX);
    }
}
