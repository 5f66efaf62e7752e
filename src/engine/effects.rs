//! The effect guard: no silent second effect.
//!
//! An intent is on record before an effect begins, its receipt after; both are fenced by the attempt. The key of an
//! effect comes from job and step. An attempt that finds an intent without a receipt does what the effect's class
//! allows: do it again, ask the other side, or leave the job to a person (`held`, `outcome_unknown`). A receipt that
//! nothing follows rides with the attempt's report, so an effect costs one script call more than none.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::domain::{
    EffectClass, EffectRecord, EffectState, FailureReason, HeldReason, JobId, RawJson, bounds, effect_key,
};
use crate::metrics;

use super::effect_log::{Begun, EffectLog, EffectLogError, Intent};
use super::executor::{Disposition, EffectGate, ExecutionError};

/// How long the other side is trusted to remember a key, unless an effect says otherwise. Stripe, which many follow,
/// keeps keys for "at least 24 hours".
pub const KEY_LIFE: Duration = Duration::from_secs(24 * 3600);

/// One effect of a job. Its `perform` starts at most one thing outside that must not happen twice.
pub trait Effect: Send + Sync {
    /// Which of the job's effects: `[a-z0-9_-]{1,32}`, the same on every attempt.
    fn step(&self) -> &'static str {
        "send"
    }

    /// What can be known of it when its answer is lost.
    fn class(&self) -> EffectClass;

    /// How long after an intent the other side may still be at it, or may not show it yet. A lookup waits until then.
    fn settles_after(&self) -> Duration {
        Duration::ZERO
    }

    /// How long the other side remembers a key; an older intent of a keyed effect is beyond it, so nobody can tell.
    fn key_life(&self) -> Duration {
        KEY_LIFE
    }

    /// Does it, and returns the receipt: what proves it to people, at most 4 KiB.
    ///
    /// # Errors
    /// [`EffectFailure`], which has to be honest about whether it may have happened.
    fn perform(&self, step: &Step<'_>) -> impl Future<Output = Result<RawJson, EffectFailure>> + Send;

    /// Asks the other side whether an earlier attempt's effect happened. Only for the class `reconcilable`.
    ///
    /// # Errors
    /// When it cannot be asked now; the next attempt will.
    fn reconcile(&self, _earlier: &EffectRecord) -> impl Future<Output = Result<Lookup, ExecutionError>> + Send {
        std::future::ready(Ok(Lookup::Unknown("this effect cannot be looked up".to_owned())))
    }
}

/// How an effect failed.
#[derive(Clone, Debug)]
pub enum EffectFailure {
    /// It certainly did not happen: refused, or never sent.
    NotDone(ExecutionError),
    /// It may have happened: the request went out, and no clear answer came.
    Unknown(ExecutionError),
}

/// What the other side says of an earlier attempt's effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It happened; with the receipt.
    Done(RawJson),
    /// It did not, and can no longer: it may be done now.
    NotDone,
    /// It cannot tell, and why.
    Unknown(String),
}

/// How one effect of this attempt stands.
#[derive(Clone, Debug)]
struct Standing {
    step: &'static str,
    class: EffectClass,
    outcome: Outcome,
}

#[derive(Clone, Debug)]
enum Outcome {
    Open,
    NotDone,
    /// With the receipt, until it is on record.
    Done(Option<RawJson>),
}

/// What an attempt's effects leave behind when it ends without a success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// The intents of this attempt may go: what they meant certainly did not happen.
    pub(super) clear: bool,
    /// An effect may have happened that nobody can do again unasked; and whether nobody can even look.
    pub(super) doubt: Option<EffectClass>,
}

/// The effects of one attempt.
pub struct Effects {
    job: JobId,
    action: String,
    log: Arc<dyn EffectLog>,
    gate: Arc<dyn EffectGate>,
    standings: Mutex<Vec<Standing>>,
    closed: AtomicBool,
}

/// What an effect may do while it is performed.
pub struct Step<'a> {
    effects: &'a Effects,
    step: &'static str,
    earlier: Option<&'a EffectRecord>,
}

impl Step<'_> {
    /// The key of the effect: the same on every attempt.
    #[must_use]
    pub fn key(&self) -> String {
        effect_key(self.effects.job, self.step)
    }

    /// What an earlier attempt noted, when the effect is done again after it.
    #[must_use]
    pub fn earlier(&self) -> Option<&EffectRecord> {
        self.earlier
    }

    /// Puts on record what a later attempt needs to look this effect up, before the part that cannot be taken back.
    ///
    /// # Errors
    /// When it may not be on record; then the effect must not go on.
    pub async fn note(&self, document: &RawJson) -> Result<(), EffectFailure> {
        let written = self.effects.log.note(self.step, document).await;
        written.map_err(|error| EffectFailure::NotDone(unwritten(&error)))
    }

    /// To be asked right before the part that cannot be taken back.
    ///
    /// # Errors
    /// When the lease may be lost: another worker may run the same job by now.
    pub fn may_go(&self) -> Result<(), EffectFailure> {
        if self.effects.gate.is_open() && !self.effects.closed.load(Ordering::SeqCst) {
            return Ok(());
        }
        let why = "the lease may be lost or the attempt is over; no effect was started";
        Err(EffectFailure::NotDone(ExecutionError::retryable(FailureReason::Error, why)))
    }
}

impl Effects {
    /// The effects of one attempt of a job of type `action`.
    #[must_use]
    pub fn new(job: JobId, action: &str, log: Arc<dyn EffectLog>, gate: Arc<dyn EffectGate>) -> Self {
        Self { job, action: action.to_owned(), log, gate, standings: Mutex::default(), closed: AtomicBool::new(false) }
    }

    /// Does `effect` unless it is done, and returns its receipt.
    ///
    /// # Errors
    /// What the effect failed with; `held` as `outcome_unknown` when nobody can tell whether it happened.
    pub(super) async fn run<E: Effect>(&self, effect: &E) -> Result<RawJson, ExecutionError> {
        let mut intent = Intent { step: effect.step(), class: effect.class(), again: false };
        if let Some(known) = self.begun_before(&intent) {
            return known;
        }
        intent.again = self.is_open(intent.step);
        self.record_receipts().await?;
        let earlier = match self.begin(&intent).await? {
            None => None,
            Some(record) => match self.look_into(effect, record).await? {
                Earlier::Done(receipt) => return Ok(receipt),
                Earlier::Again(record) => {
                    intent.again = true;
                    if self.begin(&intent).await?.is_some() {
                        return Err(ExecutionError::retryable(FailureReason::Error, "the record of effects changed"));
                    }
                    Some(record)
                }
            },
        };
        let step = Step { effects: self, step: intent.step, earlier: earlier.as_ref() };
        step.may_go().map_err(|failure| self.failed(&intent, failure))?;
        self.stands(&intent, Outcome::Open);
        match effect.perform(&step).await {
            Ok(receipt) => {
                self.count("done");
                self.stands(&intent, Outcome::Done(Some(kept(&receipt))));
                Ok(receipt)
            }
            Err(failure) => Err(self.failed(&intent, failure)),
        }
    }

    /// Nothing begins any more: the attempt is over, even if its handler is not.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// What this attempt leaves behind. A receipt that is not on record leaves no less doubt than none.
    pub(super) fn left(&self) -> Left {
        let (mut left, mut open) = (Left::default(), false);
        for standing in self.standings().iter() {
            match (&standing.outcome, standing.class) {
                (Outcome::NotDone, _) => left.clear = true,
                (Outcome::Done(None), _) => {}
                (Outcome::Open | Outcome::Done(Some(_)), class) => {
                    open = true;
                    match class {
                        EffectClass::Once => left.doubt = Some(class),
                        EffectClass::Reconcilable => left.doubt = left.doubt.or(Some(class)),
                        EffectClass::Keyed | EffectClass::Repeatable => {}
                    }
                }
            }
        }
        // Intents go together or stay together, and one that may be needed has to stay.
        left.clear &= !open;
        left
    }

    /// Puts receipts on record that cannot ride with a success: another effect follows, or the attempt failed after
    /// it.
    ///
    /// # Errors
    /// When they may not be on record.
    pub(super) async fn record_receipts(&self) -> Result<(), ExecutionError> {
        let due: Vec<_> = self.standings().iter().filter_map(unrecorded).collect();
        for (step, receipt) in due {
            self.log.receipt(step, &receipt).await.map_err(|error| unwritten(&error))?;
            for standing in self.standings().iter_mut().filter(|standing| standing.step == step) {
                standing.outcome = Outcome::Done(None);
            }
        }
        Ok(())
    }

    /// What an earlier attempt left, or `None` when the intent is on record now.
    async fn begin(&self, intent: &Intent) -> Result<Option<EffectRecord>, ExecutionError> {
        // Known beforehand: whatever becomes of this call, or of its caller meanwhile, nothing came of the intent.
        self.not_done(intent);
        match self.log.begin(intent).await {
            Ok(Begun::Fresh) => Ok(None),
            Ok(Begun::Found(record)) => Ok(Some(record)),
            Ok(Begun::Refused(error)) => Err(error),
            Err(error) => Err(unwritten(&error)),
        }
    }

    /// What this very attempt knows of a step that it already began.
    fn begun_before(&self, intent: &Intent) -> Option<Result<RawJson, ExecutionError>> {
        let standings = self.standings();
        let standing = standings.iter().find(|standing| standing.step == intent.step)?;
        let why = "this attempt began it before and got no clear answer";
        match (&standing.outcome, standing.class) {
            (Outcome::Done(Some(receipt)), _) => Some(Ok(receipt.clone())),
            (Outcome::Open, EffectClass::Once) => Some(Err(outcome_unknown(why))),
            (Outcome::Open, EffectClass::Reconcilable) => {
                Some(Err(ExecutionError::retryable(FailureReason::Error, why)))
            }
            _ => None,
        }
    }

    fn is_open(&self, step: &str) -> bool {
        self.standings().iter().any(|standing| standing.step == step && matches!(standing.outcome, Outcome::Open))
    }

    /// That this one was refused says nothing of an earlier one with the same key, whose age must be kept.
    fn not_done(&self, intent: &Intent) {
        let keep = intent.again && intent.class == EffectClass::Keyed;
        self.stands(intent, if keep { Outcome::Open } else { Outcome::NotDone });
    }

    async fn look_into<E: Effect>(&self, effect: &E, record: EffectRecord) -> Result<Earlier, ExecutionError> {
        if record.state == EffectState::Done {
            self.count("found");
            return Ok(Earlier::Done(record.document));
        }
        let unknown = |why: &str| {
            self.count("unknown");
            Err(outcome_unknown(&format!("an earlier attempt began it and left no receipt; {why}")))
        };
        match effect.class() {
            EffectClass::Repeatable => Ok(Earlier::Again(record)),
            EffectClass::Keyed if record.first_age < effect.key_life() => Ok(Earlier::Again(record)),
            EffectClass::Keyed => unknown("that was longer ago than its key is remembered"),
            EffectClass::Once => unknown("nobody can tell whether it happened"),
            EffectClass::Reconcilable => {
                // Whatever comes of asking: giving this job up would bury a doubt.
                let intent = Intent { step: effect.step(), class: effect.class(), again: true };
                self.stands(&intent, Outcome::Open);
                let wait = effect.settles_after().saturating_sub(record.age);
                if !wait.is_zero() {
                    let why = "an earlier attempt's request may still be under way; it is looked up when that is over";
                    return Err(ExecutionError::postpone(why, wait));
                }
                match effect.reconcile(&record).await? {
                    Lookup::Done(receipt) => {
                        self.count("reconciled");
                        self.stands(&intent, Outcome::Done(Some(kept(&receipt))));
                        Ok(Earlier::Done(receipt))
                    }
                    // What Redis forgot may have been another attempt's intent, which the other side may yet act on.
                    Lookup::NotDone if record.state_lost => unknown("it was not found, and Redis lost state since"),
                    Lookup::NotDone => Ok(Earlier::Again(record)),
                    Lookup::Unknown(why) => unknown(&why),
                }
            }
        }
    }

    fn failed(&self, intent: &Intent, failure: EffectFailure) -> ExecutionError {
        match failure {
            EffectFailure::NotDone(error) => {
                self.count("not_done");
                self.not_done(intent);
                error
            }
            EffectFailure::Unknown(error) => {
                self.count("unknown");
                if intent.class == EffectClass::Once { outcome_unknown(&error.message) } else { error }
            }
        }
    }

    fn stands(&self, intent: &Intent, outcome: Outcome) {
        let mut standings = self.standings();
        standings.retain(|standing| standing.step != intent.step);
        standings.push(Standing { step: intent.step, class: intent.class, outcome });
    }

    fn standings(&self) -> std::sync::MutexGuard<'_, Vec<Standing>> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, outcome: &'static str) {
        ::metrics::counter!(metrics::EFFECTS.name, "type" => self.action.clone(), "outcome" => outcome).increment(1);
    }
}

/// What came of an earlier attempt's intent.
enum Earlier {
    Done(RawJson),
    Again(EffectRecord),
}

fn unrecorded(standing: &Standing) -> Option<(&'static str, RawJson)> {
    match &standing.outcome {
        Outcome::Done(Some(receipt)) => Some((standing.step, receipt.clone())),
        _ => None,
    }
}

/// What of a receipt goes on record: all of it, unless it is over its bound. That it happened must not be lost with it.
fn kept(receipt: &RawJson) -> RawJson {
    if receipt.as_str().len() <= bounds::EFFECT {
        return receipt.clone();
    }
    RawJson::from_compact("{\"receipt\":\"too large to keep\"}")
}

fn unwritten(error: &EffectLogError) -> ExecutionError {
    ExecutionError::retryable(FailureReason::Error, error)
}

/// Nobody can tell whether an effect happened: a person decides.
pub(super) fn outcome_unknown(why: &str) -> ExecutionError {
    ExecutionError {
        reason: FailureReason::OutcomeUnknown,
        message: why.to_owned(),
        disposition: Disposition::Hold(HeldReason::OutcomeUnknown),
    }
}

impl std::fmt::Debug for Effects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Effects").field("job", &self.job).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Step").field("key", &self.key()).finish_non_exhaustive()
    }
}
