//! Decisions about held jobs: approve, reject, say what became of an effect, release.

use std::time::Duration;

use crate::domain::{
    APPROVAL_LIFE, AUDIT, Approval, EffectClass, EffectRecord, EffectState, Failure, FailureReason, HeldReason, Job,
    JobId, JobState, RawJson, Timestamp, Workspace, arguments_digest,
};
use crate::store::{Cancelled, Scope, StoreError, Unheld, Unhold};

use super::{Control, ControlError};
use crate::engine::operations::release_held;
use crate::engine::tasks;

/// The step of an effect that is said to have happened and of which nothing is on record.
const STEP: &str = "send";

/// Why a decision had no effect.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DecisionError {
    /// No such job in the caller's scope.
    #[error("no such job")]
    NotFound,
    /// It does not wait for this decision.
    #[error("the job is {}; only one that is held for {wanted} can be decided so", state_of(*.state, *.reason))]
    NotWaiting {
        /// Its state.
        state: JobState,
        /// Why it is held, if it is.
        reason: Option<HeldReason>,
        /// What it would have to be held for.
        wanted: &'static str,
    },
    /// The caller asked for the job.
    #[error("the key that asked for a job may not approve it; someone else has to")]
    Requester,
    /// The approval is for other arguments.
    #[error("the digest is not that of this job's arguments: read them again, and approve what they are")]
    Digest,
    /// It waited too long.
    #[error("the job could be approved until {0}; reject it, and redrive it to ask again")]
    Expired(Timestamp),
    /// Redis did not do it, or (`Unknown`) may have; repeating is safe.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn state_of(state: JobState, reason: Option<HeldReason>) -> String {
    match reason {
        Some(reason) => format!("{state} ({reason})"),
        None => state.to_string(),
    }
}

impl From<ControlError> for DecisionError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Store(error) => Self::Store(error),
            ControlError::State(state) => Self::NotWaiting { state, reason: None, wanted: "a decision" },
            ControlError::NotFound | ControlError::Superseded(_) => Self::NotFound,
        }
    }
}

/// Who decides.
#[derive(Clone, Copy, Debug)]
pub struct Decider<'a> {
    /// The id of the key.
    pub key: &'a str,
    /// Its name, for the record.
    pub name: &'a str,
    /// Why, for the record; may be empty.
    pub note: &'a str,
}

impl Decider<'_> {
    /// As it goes into the record.
    fn said(&self) -> String {
        if self.note.is_empty() { self.name.to_owned() } else { format!("{}: {}", self.name, self.note) }
    }
}

/// What an operator found out about an effect.
#[derive(Clone, Debug)]
pub enum Resolution {
    /// It happened, and what proves it; without a proof the record names who said so.
    Happened(Option<RawJson>),
    /// It did not: it is done now.
    NotHappened,
    /// The job is cancelled.
    Discard,
}

/// What is on record of a job's effects.
#[derive(Clone, Debug)]
pub struct EffectsOf {
    /// The job.
    pub job: Job,
    /// What an approval is given to; `None` once its input is gone.
    pub digest: Option<String>,
    /// The latest approval.
    pub approval: Option<Approval>,
    /// Its effects.
    pub effects: Vec<EffectRecord>,
}

/// Until when a job that waits for its approval may get it: not after its time in line is over, since it would only
/// expire.
#[must_use]
pub fn approve_until(job: &Job, wait: Duration) -> Option<Timestamp> {
    let since = job.failure.as_ref().filter(|_| job.held_reason == Some(HeldReason::Approval))?.at;
    Some(since.plus(wait).min(job.expires_at))
}

fn digest_of(job: &Job) -> Option<String> {
    job.input.as_ref().map(|input| arguments_digest(&job.workspace, &job.job_type, input))
}

impl Control {
    /// What is on record of a job's effects.
    ///
    /// # Errors
    /// See [`DecisionError`].
    pub async fn effects(&self, scope: &Scope, id: JobId) -> Result<EffectsOf, DecisionError> {
        let job = self.find(scope, id).await?.job;
        let (effects, approval) = (self.store.effects(scope, id).await?, self.store.approval(scope, id).await?);
        Ok(EffectsOf { digest: digest_of(&job), job, approval, effects })
    }

    /// Lets a job go on that waits for its approval; it has a day to start. `digest` is that of its arguments as the
    /// approver saw them, and `wait` how long it may have waited. The same approval again returns the job.
    ///
    /// # Errors
    /// See [`DecisionError`].
    pub async fn approve(
        &self,
        scope: &Scope,
        id: JobId,
        digest: &str,
        by: Decider<'_>,
        wait: impl FnOnce(&Job) -> Duration,
    ) -> Result<Job, DecisionError> {
        let job = self.find(scope, id).await?.job;
        if job.requester.as_deref() == Some(by.key) {
            return Err(DecisionError::Requester);
        }
        if job.held_reason != Some(HeldReason::Approval) {
            return self.approved_before(scope, job, digest, &by).await;
        }
        if digest_of(&job).as_deref() != Some(digest) {
            return Err(DecisionError::Digest);
        }
        let now = self.store.of(id).now().await?;
        match approve_until(&job, wait(&job)) {
            Some(until) if until <= now => return Err(DecisionError::Expired(until)),
            _ => {}
        }
        let approved =
            Unhold::Approved { by: by.said(), digest: digest.to_owned(), expires_at: now.plus(APPROVAL_LIFE) };
        let outcome = self.store.unhold(&job.queue, id, Some(HeldReason::Approval), approved).await?;
        tracing::info!(target: AUDIT, job_id = %id, by = by.name, note = by.note, digest, ?outcome, "approve");
        match outcome {
            Unheld::Now => Ok(self.changed(scope, id).await?),
            Unheld::NotHeld | Unheld::OtherReason(_) => {
                let job = self.find(scope, id).await?.job;
                self.approved_before(scope, job, digest, &by).await
            }
        }
    }

    /// An approval whose answer was lost comes again.
    async fn approved_before(
        &self,
        scope: &Scope,
        job: Job,
        digest: &str,
        by: &Decider<'_>,
    ) -> Result<Job, DecisionError> {
        let given = self.store.approval(scope, job.id).await?;
        let same = given.is_some_and(|given| given.digest == digest && given.by == by.said());
        if same && job.state != JobState::Held {
            self.store.of(job.id).confirm().await?;
            return Ok(job);
        }
        Err(not_waiting(&job, HeldReason::Approval.as_str()))
    }

    /// Cancels a job that waits for its approval, and records why. A repeat returns the job.
    ///
    /// # Errors
    /// See [`DecisionError`].
    pub async fn reject(&self, scope: &Scope, id: JobId, by: Decider<'_>) -> Result<Job, DecisionError> {
        let failure = (FailureReason::Rejected, format!("rejected by {}", by.said()));
        self.cancel_held(scope, id, HeldReason::Approval, failure, by).await
    }

    /// Says what became of an effect that nobody could tell of.
    ///
    /// # Errors
    /// See [`DecisionError`].
    pub async fn resolve(
        &self,
        scope: &Scope,
        id: JobId,
        resolution: Resolution,
        by: Decider<'_>,
    ) -> Result<Job, DecisionError> {
        let change = match resolution {
            Resolution::Discard => {
                let failure = (FailureReason::OutcomeUnknown, format!("discarded by {}", by.said()));
                return self.cancel_held(scope, id, HeldReason::OutcomeUnknown, failure, by).await;
            }
            Resolution::NotHappened => Unhold::NotHappened { by: by.said() },
            Resolution::Happened(receipt) => {
                let said = || RawJson::from_value(&serde_json::json!({ "resolved_by": by.name, "reason": by.note }));
                let step = doubtful(&self.store.effects(scope, id).await?);
                Unhold::Happened { step, by: by.said(), receipt: receipt.unwrap_or_else(said) }
            }
        };
        self.unhold(scope, id, &[HeldReason::OutcomeUnknown], change, by).await
    }

    /// Puts a job back in line that waits for actions to be switched on, for a credential, or for an operator.
    ///
    /// # Errors
    /// See [`DecisionError`].
    pub async fn release(&self, scope: &Scope, id: JobId, by: Decider<'_>) -> Result<Job, DecisionError> {
        let reasons = [HeldReason::ActionsDisabled, HeldReason::NeedsReauth, HeldReason::Operator];
        self.unhold(scope, id, &reasons, Unhold::Release, by).await
    }

    async fn unhold(
        &self,
        scope: &Scope,
        id: JobId,
        reasons: &[HeldReason],
        change: Unhold,
        by: Decider<'_>,
    ) -> Result<Job, DecisionError> {
        let wanted = if reasons.len() == 1 { reasons[0].as_str() } else { "actions, a credential or an operator" };
        let job = self.find(scope, id).await?.job;
        let reason = job.held_reason.filter(|reason| reasons.contains(reason));
        let reason = reason.ok_or_else(|| not_waiting(&job, wanted))?;
        let outcome = self.store.unhold(&job.queue, id, Some(reason), change).await?;
        tracing::info!(target: AUDIT, job_id = %id, by = by.name, note = by.note, %reason, ?outcome, "unhold");
        match outcome {
            Unheld::Now => Ok(self.changed(scope, id).await?),
            Unheld::NotHeld | Unheld::OtherReason(_) => Err(not_waiting(&self.find(scope, id).await?.job, wanted)),
        }
    }

    async fn cancel_held(
        &self,
        scope: &Scope,
        id: JobId,
        reason: HeldReason,
        (kind, message): (FailureReason, String),
        by: Decider<'_>,
    ) -> Result<Job, DecisionError> {
        let job = self.find(scope, id).await?.job;
        let failure = Failure::new(kind, &message, self.store.of(id).now().await?);
        let outcome = match job.held_reason {
            Some(held) if held == reason => self.store.of(id).cancel_held(&job.queue, id, reason, &failure).await?,
            _ => Cancelled::NotHeld,
        };
        tracing::info!(target: AUDIT, job_id = %id, by = by.name, note = by.note, %reason, ?outcome, "cancel held");
        if outcome == Cancelled::Now {
            return Ok(self.changed(scope, id).await?);
        }
        let job = self.find(scope, id).await?.job;
        if job.state == JobState::Cancelled && job.failure.as_ref().is_some_and(|f| f.message == failure.message) {
            // By a call that was not confirmed.
            self.store.of(id).confirm().await?;
            return Ok(job);
        }
        Err(not_waiting(&job, reason.as_str()))
    }

    /// Brings back the jobs that were set aside because actions were switched off or denied, of one workspace or of all,
    /// so that they are judged anew: by an operation, if there are some.
    pub fn judge_anew(&self, workspace: Option<Workspace>) {
        let store = self.store.clone();
        tasks::spawn("judge-anew", async move {
            let why = "actions are judged anew";
            match release_held(&store, HeldReason::ActionsDisabled, workspace.as_ref(), None, why).await {
                Ok(None) => {}
                Ok(Some(begun)) => tracing::info!(
                    operation_id = %begun.id,
                    expected = begun.expected,
                    tenant_id = workspace.as_ref().map(Workspace::as_str),
                    why
                ),
                Err(error) => tracing::warn!(%error, "jobs stay set aside; `windlass actions enable` tries again"),
            }
        });
    }
}

/// The step that a person was asked about: the latest that began and left no receipt.
fn doubtful(effects: &[EffectRecord]) -> String {
    let open = effects.iter().rev().filter(|effect| effect.state == EffectState::Intent);
    let worst = open.clone().find(|effect| effect.class != EffectClass::Repeatable);
    worst.or_else(|| open.clone().next()).map_or_else(|| STEP.to_owned(), |effect| effect.step.clone())
}

fn not_waiting(job: &Job, wanted: &'static str) -> DecisionError {
    DecisionError::NotWaiting { state: job.state, reason: job.held_reason, wanted }
}
