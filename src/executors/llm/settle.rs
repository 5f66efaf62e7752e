//! The account of one call: settled however the call ends, also when its future is dropped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::fleet::Fleet;
use super::provider::{Noted, remaining};
use super::route::Choice;
use super::usage;
use crate::clock::{self, Instant};
use crate::domain::llm::{Settlement, Usage, Verdict};
use crate::engine::{JobContext, tasks};
use crate::metrics;

/// A settlement that did not get through is sent again this often. Later its hold ends anyway.
const TRIES: u32 = 4;

/// The wait before the second try; it doubles.
const PAUSE: Duration = Duration::from_millis(250);

/// What is known of an answer before it is whole.
#[derive(Debug, Default)]
pub(super) struct Meter {
    first: OnceLock<Instant>,
    text: AtomicUsize,
    /// Bytes of output besides the text: thoughts, arguments of tools.
    besides: AtomicUsize,
}

impl Meter {
    /// A piece of text came.
    pub(super) fn add(&self, text: &str) {
        self.first.get_or_init(clock::now);
        self.text.fetch_add(text.len(), Ordering::Relaxed);
    }

    /// So many bytes of output came in all.
    pub(super) fn at_least(&self, output: usize) {
        self.besides.store(output.saturating_sub(self.text()), Ordering::Relaxed);
    }

    /// Bytes of text so far.
    pub(super) fn text(&self) -> usize {
        self.text.load(Ordering::Relaxed)
    }

    /// Bytes of output so far.
    pub(super) fn output(&self) -> usize {
        self.text() + self.besides.load(Ordering::Relaxed)
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) verdict: Verdict,
    pub(super) status: &'static str,
    pub(super) usage: Usage,
}

/// A share that was granted. Dropped without [`Self::settle`], it settles as a call that was cut off.
pub(super) struct Account {
    fleet: Option<Arc<dyn Fleet>>,
    /// `None` once settled.
    open: Option<Settlement>,
    choice: Choice,
    /// When the request was sent; before that, nothing was used.
    began: Option<Instant>,
    deadline: Instant,
    input: u64,
    pub(super) meter: Arc<Meter>,
    pub(super) noted: Noted,
}

impl Account {
    /// Opens the account of a call that was granted and is not sent yet. `input` is the estimate of its prompt.
    pub(super) fn open(
        fleet: Option<Arc<dyn Fleet>>,
        context: &JobContext,
        call: Arc<str>,
        choice: Choice,
        input: u64,
    ) -> Self {
        let open = Settlement {
            job: context.id,
            call,
            workspace: context.workspace.clone(),
            target: choice.target(),
            usage: Usage::default(),
            nano_usd: None,
            verdict: Verdict::Neutral,
            status: "cancelled",
            remaining: (None, None),
            took: Duration::ZERO,
        };
        Self {
            fleet,
            open: Some(open),
            choice,
            began: None,
            deadline: context.deadline,
            input,
            meter: Arc::default(),
            noted: Noted::default(),
        }
    }

    /// Where the call goes.
    pub(super) const fn choice(&self) -> &Choice {
        &self.choice
    }

    /// The request is sent now.
    pub(super) fn begin(&mut self) {
        self.began = Some(clock::now());
    }

    /// What a call used that ended without a word on it.
    pub(super) fn used_so_far(&self) -> Usage {
        match self.began {
            Some(_) => usage::estimated(self.input, self.meter.output()),
            None => Usage::default(),
        }
    }

    /// Settles. The settlement goes on when the caller is dropped meanwhile.
    pub(super) async fn settle(mut self, end: End) {
        if let Some(sent) = self.close(end) {
            // It failed by a panic only, which is logged.
            drop(sent.await);
        }
    }

    fn close(&mut self, end: End) -> Option<tokio::task::JoinHandle<()>> {
        let mut settlement = self.open.take()?;
        settlement.usage = end.usage;
        settlement.nano_usd = self.choice.cost(&end.usage);
        settlement.verdict = end.verdict;
        settlement.status = end.status;
        settlement.remaining = remaining(&self.noted);
        if let Some(began) = self.began {
            settlement.took = began.elapsed();
            self.measure(&settlement, began);
        }
        let fleet = self.fleet.take()?;
        // A runtime that shuts down takes no more tasks; the share goes back when its hold ends.
        tokio::runtime::Handle::try_current().ok()?;
        Some(tasks::spawn("llm-settle", send(fleet, settlement)))
    }

    /// A model that no one configured is `other`: clients may name any.
    fn measure(&self, settlement: &Settlement, began: Instant) {
        let provider = settlement.target.provider.to_string();
        let model = if self.choice.listed { settlement.target.model.to_string() } else { "other".to_owned() };
        let labels = [("provider", provider), ("model", model)];
        let with = |key: &'static str, value: &'static str| {
            let [provider, model] = labels.clone();
            [provider, model, (key, value.to_owned())]
        };
        ::metrics::counter!(metrics::LLM_QUERIES.name, &with("status", settlement.status)).increment(1);
        ::metrics::histogram!(metrics::LLM_DURATION.name, &labels).record(settlement.took.as_secs_f64());
        if let Some(first) = self.meter.first.get() {
            let waited = first.saturating_duration_since(began);
            ::metrics::histogram!(metrics::LLM_FIRST_TOKEN.name, &labels).record(waited.as_secs_f64());
        }
        let usage = &settlement.usage;
        let kinds = [
            ("input", usage.input),
            ("cached_input", usage.cached_input),
            ("output", usage.output),
            ("reasoning", usage.reasoning),
        ];
        for (kind, tokens) in kinds.into_iter().filter(|(_, tokens)| *tokens > 0) {
            ::metrics::counter!(metrics::LLM_TOKENS.name, &with("kind", kind)).increment(tokens);
        }
        if let Some(cost) = settlement.nano_usd {
            ::metrics::counter!(metrics::LLM_COST.name, &labels).increment(cost);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let late = self.began.is_some() && clock::now() >= self.deadline;
        let (verdict, status) = if late { (Verdict::Faulty, "timeout") } else { (Verdict::Neutral, "cancelled") };
        let end = End { verdict, status, usage: self.used_so_far() };
        // Nobody waits for it here.
        drop(self.close(end));
    }
}

async fn send(fleet: Arc<dyn Fleet>, settlement: Settlement) {
    let mut pause = PAUSE;
    for attempt in 1..=TRIES {
        match fleet.settle(settlement.clone()).await {
            Ok(()) => return,
            Err(error) if attempt == TRIES => {
                let job = settlement.job;
                tracing::warn!(job_id = %job, %error, "a model call could not be settled; its share goes back later");
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause *= 2;
    }
}
