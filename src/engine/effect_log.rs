//! The record of a job's effects, as one attempt writes it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::domain::{EffectClass, EffectRecord, Job, RawJson};
use crate::store::{Claimed, EffectBegun, Store, StoreError};

use super::executor::ExecutionError;

/// Waits between tries while Redis answers nothing or cannot be reached: together well below a lease.
const PATIENCE: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(250), Duration::from_secs(1)];

/// How often rules may change under one intent before the attempt is left to a later one.
const REVISIONS: usize = 5;

/// What is put on record before an effect begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Which of the job's effects.
    pub step: &'static str,
    /// What can be known of it.
    pub class: EffectClass,
    /// What an earlier attempt left was looked into, and it is to be done now all the same.
    pub again: bool,
}

/// What an intent met.
#[derive(Clone, Debug)]
pub enum Begun {
    /// Nothing: it is on record now, and the effect may begin.
    Fresh,
    /// What an earlier attempt left; nothing was written.
    Found(EffectRecord),
    /// The rules for this action do not let it begin (any more); nothing was written.
    Refused(ExecutionError),
}

/// Why the record could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EffectLogError {
    /// The attempt no longer holds its lease: another may run this job by now.
    #[error("the attempt no longer holds its lease")]
    Stale,
    /// It was not written, or nobody knows whether it was.
    #[error("the record of effects could not be written: {0}")]
    Unavailable(String),
}

/// The future of one write to the record.
pub type LogFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, EffectLogError>> + Send + 'a>>;

/// The record of a job's effects, as one attempt writes it: every write is fenced by that attempt. Where it is kept is
/// the implementation's business.
pub trait EffectLog: Send + Sync {
    /// Puts an intent on record, unless something is there. A repeat by the same attempt answers `Fresh` again.
    fn begin<'a>(&'a self, intent: &'a Intent) -> LogFuture<'a, Begun>;

    /// Replaces what is noted with this attempt's intent.
    fn note<'a>(&'a self, step: &'static str, document: &'a RawJson) -> LogFuture<'a, ()>;

    /// Puts a receipt in the place of this attempt's intent.
    fn receipt<'a>(&'a self, step: &'static str, receipt: &'a RawJson) -> LogFuture<'a, ()>;
}

/// The future of a judgement.
pub type Judgement<'a> = Pin<Box<dyn Future<Output = Result<(), ExecutionError>> + Send + 'a>>;

/// The rules for actions, as a worker knows them.
pub trait Rules: Send + Sync + std::fmt::Debug {
    /// The revision that this worker goes by; empty for none.
    fn revision(&self) -> String;

    /// Judges a job by the rules in force, which are of `revision` or newer. An error is what becomes of the attempt.
    fn judge<'a>(&'a self, job: &'a Job, revision: &'a str) -> Judgement<'a>;
}

/// The record in Redis.
pub(super) struct StoredLog {
    store: Store,
    claimed: Claimed,
    rules: Arc<dyn Rules>,
    /// The rules that let this attempt begin.
    revision: Mutex<String>,
}

impl StoredLog {
    /// The record of the job that was claimed, before it is judged: the rules only become newer.
    pub(super) fn new(store: Store, claimed: Claimed, rules: Arc<dyn Rules>) -> Self {
        let revision = Mutex::new(rules.revision());
        Self { store, claimed, rules, revision }
    }

    fn revision(&self) -> std::sync::MutexGuard<'_, String> {
        self.revision.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn begun(&self, intent: &Intent) -> Result<Begun, EffectLogError> {
        for _ in 0..REVISIONS {
            let revision = self.revision().clone();
            let call = || self.store.effect_begin(&self.claimed, intent.step, intent.class, intent.again, &revision);
            match persist(call).await? {
                EffectBegun::Fresh => return Ok(Begun::Fresh),
                EffectBegun::Found(record) => return Ok(Begun::Found(record)),
                EffectBegun::Stale => return Err(EffectLogError::Stale),
                EffectBegun::PolicyChanged(now) => {
                    if let Err(refused) = self.rules.judge(&self.claimed.job, &now).await {
                        return Ok(Begun::Refused(refused));
                    }
                    *self.revision() = now;
                }
            }
        }
        Err(EffectLogError::Unavailable("the rules for actions change all the time".to_owned()))
    }
}

impl EffectLog for StoredLog {
    fn begin<'a>(&'a self, intent: &'a Intent) -> LogFuture<'a, Begun> {
        Box::pin(self.begun(intent))
    }

    fn note<'a>(&'a self, step: &'static str, document: &'a RawJson) -> LogFuture<'a, ()> {
        Box::pin(async move { fenced(persist(|| self.store.effect_note(&self.claimed, step, document)).await?) })
    }

    fn receipt<'a>(&'a self, step: &'static str, receipt: &'a RawJson) -> LogFuture<'a, ()> {
        Box::pin(async move { fenced(persist(|| self.store.effect_receipt(&self.claimed, step, receipt)).await?) })
    }
}

fn fenced(written: bool) -> Result<(), EffectLogError> {
    written.then_some(()).ok_or(EffectLogError::Stale)
}

/// Repeats what is safe to repeat, until it is known what became of it.
async fn persist<T, F>(call: impl Fn() -> F) -> Result<T, EffectLogError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut waits = PATIENCE.into_iter();
    loop {
        match (call().await, waits.next()) {
            (Ok(value), _) => return Ok(value),
            (Err(error @ StoreError::Corrupt(_)), _) | (Err(error), None) => {
                return Err(EffectLogError::Unavailable(error.to_string()));
            }
            (Err(_), Some(wait)) => tokio::time::sleep(wait).await,
        }
    }
}
