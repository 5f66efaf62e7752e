//! The other side of an effect: does what it is told to, and remembers what it did.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use windlass::domain::{EffectClass, EffectRecord, FailureReason, RawJson};
use windlass::engine::{Effect, EffectFailure, ExecutionError, Lookup, Step};

/// What it does with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Does it and says so.
    Answer,
    /// Does it, and its answer is lost.
    Lose,
    /// Does it, and never answers.
    Hang,
    /// Does it, and whoever asked panics.
    Panic,
    /// Refuses it.
    Refuse,
}

/// Shared by all attempts.
#[derive(Default)]
pub(crate) struct Outside {
    acts: Mutex<VecDeque<Act>>,
    done: Mutex<Vec<String>>,
    lookups: Mutex<VecDeque<Result<Lookup, ExecutionError>>>,
    /// Told each time that it did something.
    pub(crate) did: Notify,
}

impl Outside {
    /// One that does these in turn, and answers after that.
    pub(crate) fn that(acts: &[Act]) -> Arc<Self> {
        Arc::new(Self { acts: Mutex::new(acts.iter().copied().collect()), ..Self::default() })
    }

    /// What it says the next times it is asked, before it tells the truth.
    pub(crate) fn will_say(&self, answers: impl IntoIterator<Item = Result<Lookup, ExecutionError>>) {
        self.lookups.lock().unwrap().extend(answers);
    }

    /// A process that is dead by now asked for this.
    pub(crate) fn did_by_another(&self, key: &str) {
        self.done.lock().unwrap().push(key.to_owned());
    }

    /// The keys of what it did, in that order.
    pub(crate) fn done(&self) -> Vec<String> {
        self.done.lock().unwrap().clone()
    }
}

/// An effect on it.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) class: EffectClass,
    pub(crate) step: &'static str,
    pub(crate) outside: Arc<Outside>,
    pub(crate) settles: Duration,
}

impl Request {
    pub(crate) fn new(class: EffectClass, outside: &Arc<Outside>) -> Self {
        Self { class, step: "send", outside: Arc::clone(outside), settles: Duration::ZERO }
    }
}

pub(crate) fn receipt(key: &str) -> RawJson {
    RawJson::from_compact(format!("{{\"receipt\":\"{key}\"}}"))
}

impl Effect for Request {
    fn step(&self) -> &'static str {
        self.step
    }

    fn class(&self) -> EffectClass {
        self.class
    }

    fn settles_after(&self) -> Duration {
        self.settles
    }

    async fn perform(&self, step: &Step<'_>) -> Result<RawJson, EffectFailure> {
        step.may_go()?;
        let act = self.outside.acts.lock().unwrap().pop_front().unwrap_or(Act::Answer);
        if act == Act::Refuse {
            return Err(EffectFailure::NotDone(ExecutionError::retryable(FailureReason::Error, "refused")));
        }
        self.outside.done.lock().unwrap().push(step.key());
        self.outside.did.notify_one();
        match act {
            Act::Lose => {
                Err(EffectFailure::Unknown(ExecutionError::retryable(FailureReason::Error, "the answer was lost")))
            }
            Act::Hang => std::future::pending().await,
            Act::Panic => panic!("a bug behind the request"),
            Act::Answer | Act::Refuse => Ok(receipt(&step.key())),
        }
    }

    async fn reconcile(&self, earlier: &EffectRecord) -> Result<Lookup, ExecutionError> {
        if let Some(said) = self.outside.lookups.lock().unwrap().pop_front() {
            return said;
        }
        let done = self.outside.done();
        let found = done.iter().find(|key| key.ends_with(&format!(".{}", earlier.step)));
        Ok(found.map_or(Lookup::NotDone, |key| Lookup::Done(receipt(key))))
    }
}
