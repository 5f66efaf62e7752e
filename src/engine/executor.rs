//! What a job does: the trait that executors implement and the context they run in.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::clock::Instant;
use crate::domain::{
    ActionFacts, EffectClass, FailureReason, HeldReason, JobId, JobType, RawJson, RetryPolicy, Timestamp, Workspace,
};

use super::effects::{Effect, Effects};
use super::tracer::{OpenSpan, SpanKind, Trace};

/// The future of one attempt.
pub type JobFuture<'a> = Pin<Box<dyn Future<Output = Result<RawJson, ExecutionError>> + Send + 'a>>;

/// Handles all jobs of one type. Implementations hold no state of a job: the same instance runs
/// many attempts at once, and the next attempt may run in another process.
pub trait Executor: Send + Sync + 'static {
    /// The type's name, schema and defaults.
    fn info(&self) -> &TypeInfo;

    /// Checks beyond the schema, at the door and again before the run. Must not do I/O.
    ///
    /// # Errors
    /// A sentence for the client that says what is wrong with the input.
    fn check(&self, _input: &serde_json::Value) -> Result<(), String> {
        Ok(())
    }

    /// What the rules for actions look at. Must not do I/O; the input fits the schema.
    fn facts(&self, _input: &serde_json::Value) -> ActionFacts {
        ActionFacts::default()
    }

    /// Runs one attempt. Dropping the future cancels it: it is dropped when the job is cancelled,
    /// when its deadline passes and when its lease can no longer be held.
    fn run(&self, context: JobContext) -> JobFuture<'_>;
}

struct FromFn<F> {
    info: TypeInfo,
    run: F,
}

impl<F, Fut> Executor for FromFn<F>
where
    F: Fn(JobContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<RawJson, ExecutionError>> + Send + 'static,
{
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin((self.run)(context))
    }
}

/// An executor made of a function, for types that need no check of their own.
pub fn from_fn<F, Fut>(info: TypeInfo, run: F) -> Arc<dyn Executor>
where
    F: Fn(JobContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<RawJson, ExecutionError>> + Send + 'static,
{
    Arc::new(FromFn { info, run })
}

/// What the queue and its clients need to know of a job type.
#[derive(Clone, Debug)]
pub struct TypeInfo {
    /// The name clients use.
    pub name: JobType,
    /// One line for `GET /ai/types`.
    pub summary: String,
    /// JSON Schema (2020-12) of `input`.
    pub input_schema: serde_json::Value,
    /// Attempts and backoff unless the job says otherwise.
    pub retry: RetryPolicy,
    /// Run deadline of one attempt unless the job says otherwise.
    pub timeout: Duration,
    /// Whether the type has effects outside and is governed by the allow-list of actions.
    pub is_action: bool,
    /// What can be known of its effect when an answer is lost; the weakest where the input decides.
    pub effect: EffectClass,
}

impl TypeInfo {
    /// A type without effects outside, that takes any input, with default retries and a minute per
    /// attempt. Set `is_action` for one that the allow-list should govern.
    #[must_use]
    pub fn new(name: JobType, summary: &str) -> Self {
        Self {
            name,
            summary: summary.to_owned(),
            input_schema: serde_json::json!({}),
            retry: RetryPolicy::default(),
            timeout: Duration::from_secs(60),
            is_action: false,
            effect: EffectClass::Repeatable,
        }
    }
}

/// How an attempt failed and what should become of the job.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct ExecutionError {
    /// The kind of failure.
    pub reason: FailureReason,
    /// For people; must not contain secrets or payloads.
    pub message: String,
    /// What next.
    pub disposition: Disposition,
}

/// The shortest wait before another attempt.
pub(super) const AT_ONCE: Duration = Duration::from_millis(1);

/// What should become of a job whose attempt did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Try again after backoff; `after` is a floor (a provider's `Retry-After`). Charged.
    Retry {
        /// The provider's floor.
        after: Option<Duration>,
    },
    /// Try again at once, since the next attempt goes elsewhere. Charged.
    Elsewhere,
    /// Try again after this time; the attempt is not charged (a provider's 429).
    Postpone {
        /// How long to wait.
        after: Duration,
    },
    /// Give up at once.
    Dead,
    /// Set the job aside.
    Hold(HeldReason),
}

impl ExecutionError {
    /// A failure that a later attempt may not meet.
    #[must_use]
    pub fn retryable(reason: FailureReason, message: impl fmt::Display) -> Self {
        Self { reason, message: message.to_string(), disposition: Disposition::Retry { after: None } }
    }

    /// A failure that no later attempt can mend.
    #[must_use]
    pub fn permanent(reason: FailureReason, message: impl fmt::Display) -> Self {
        Self { reason, message: message.to_string(), disposition: Disposition::Dead }
    }

    /// A provider asked for patience: the job waits `after` and no attempt is charged.
    #[must_use]
    pub fn postpone(message: impl fmt::Display, after: Duration) -> Self {
        Self {
            reason: FailureReason::RateLimited,
            message: message.to_string(),
            disposition: Disposition::Postpone { after },
        }
    }

    /// The same failure, to be tried again at once: the next attempt will go elsewhere.
    #[must_use]
    pub fn elsewhere(mut self) -> Self {
        self.disposition = Disposition::Elsewhere;
        self
    }

    /// The same failure with a floor under the wait before the next attempt.
    #[must_use]
    pub fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        if let Disposition::Retry { after: floor } = &mut self.disposition {
            *floor = after;
        }
        self
    }
}

/// Why a progress document was not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgressError {
    /// Larger than 4 KiB as JSON.
    #[error("a progress document may have at most 4096 bytes, this one has {0}")]
    TooLarge(usize),
    /// The attempt no longer holds its lease; stop.
    #[error("the attempt no longer holds its lease")]
    Stale,
    /// Redis could not be reached; progress is best effort, going on is fine.
    #[error("progress could not be stored: {0}")]
    Unavailable(String),
}

/// Where progress goes; implemented by the worker.
pub trait ProgressSink: Send + Sync {
    /// Stores the latest progress of the attempt.
    fn store(&self, document: RawJson) -> Pin<Box<dyn Future<Output = Result<(), ProgressError>> + Send + '_>>;
}

/// Says whether an attempt may still start an effect; implemented by the worker.
pub trait EffectGate: Send + Sync {
    /// Whether the lease is certainly still held.
    fn is_open(&self) -> bool;
}

/// Where the text of a streaming answer goes as it comes; implemented by the worker.
pub trait DeltaSink: Send + Sync {
    /// Takes a piece of text. Never waits: pieces are written in batches, and what goes over the bound of a stream
    /// is left out and marked so.
    fn push(&self, text: &str);

    /// What this attempt streamed so far does not count: readers begin anew.
    fn reset(&self);
}

/// Everything one attempt may know and do.
#[derive(Clone)]
pub struct JobContext {
    /// The job.
    pub id: JobId,
    /// Its tenant.
    pub workspace: Workspace,
    /// Its type.
    pub job_type: JobType,
    /// This attempt, from 1.
    pub attempt: u32,
    /// Attempts in total.
    pub max_attempts: u32,
    /// When the attempt is aborted.
    pub deadline: Instant,
    /// Fires when the attempt should stop: cancelled, lease in doubt, or shutdown past its grace.
    pub cancelled: CancellationToken,
    /// The job's last moment in line, by Redis' time: a wait beyond it is in vain. `None` without a queue.
    pub expires_at: Option<Timestamp>,
    input: RawJson,
    progress: Arc<dyn ProgressSink>,
    gate: Arc<dyn EffectGate>,
    deltas: Option<Arc<dyn DeltaSink>>,
    effects: Option<Arc<Effects>>,
    trace: Trace,
}

impl JobContext {
    /// Assembles a context; done by the worker, and by tests of executors.
    #[must_use]
    pub fn new(
        (id, workspace, job_type): (JobId, Workspace, JobType),
        (attempt, max_attempts): (u32, u32),
        deadline: Instant,
        cancelled: CancellationToken,
        input: RawJson,
        progress: Arc<dyn ProgressSink>,
        gate: Arc<dyn EffectGate>,
    ) -> Self {
        Self {
            id,
            workspace,
            job_type,
            attempt,
            max_attempts,
            deadline,
            cancelled,
            expires_at: None,
            input,
            progress,
            gate,
            deltas: None,
            effects: None,
            trace: Trace::none(id),
        }
    }

    /// With the job's last moment in line.
    #[must_use]
    pub fn with_expiry(mut self, expires_at: Timestamp) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// With a place for the text of a streaming answer; without one it goes nowhere.
    #[must_use]
    pub fn with_deltas(mut self, deltas: Arc<dyn DeltaSink>) -> Self {
        self.deltas = Some(deltas);
        self
    }

    /// With a record of effects; without one no guarded effect begins.
    #[must_use]
    pub fn with_effects(mut self, effects: Arc<Effects>) -> Self {
        self.effects = Some(effects);
        self
    }

    /// Within a trace.
    #[must_use]
    pub fn with_trace(mut self, trace: Trace) -> Self {
        self.trace = trace;
        self
    }

    /// Begins a span of the attempt; `None` when nobody would see it.
    #[must_use]
    pub fn span(&self, kind: SpanKind, name: impl FnOnce() -> String) -> Option<OpenSpan> {
        self.trace.open(kind, name)
    }

    /// A `traceparent` for a request to someone who may know which trace this is; `None` when it is not recorded.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        self.trace.header()
    }

    /// Does an effect that must not happen twice unnoticed, unless an earlier attempt did, and returns its receipt.
    ///
    /// # Errors
    /// What the effect failed with. `held` as `outcome_unknown` when nobody can tell whether an earlier attempt did it:
    /// pass it on.
    pub async fn effect<E: Effect>(&self, effect: &E) -> Result<RawJson, ExecutionError> {
        let no_record = || ExecutionError::permanent(FailureReason::Error, "there is no record of effects here");
        self.before_effect()?;
        let effects = self.effects.as_ref().ok_or_else(no_record)?;
        let span = self.trace.open_effect(&self.job_type, effect.step(), effect.class());
        let outcome = effects.run(effect).await;
        if let Some(span) = span {
            span.end(outcome.as_ref().err().map(|error| error.reason.to_string()));
        }
        outcome
    }

    /// Streams a piece of text to whoever follows the job.
    pub fn delta(&self, text: &str) {
        if let Some(deltas) = self.deltas.as_ref().filter(|_| !text.is_empty()) {
            deltas.push(text);
        }
    }

    /// Takes back what this attempt streamed, since another answer follows.
    pub fn reset_deltas(&self) {
        if let Some(deltas) = &self.deltas {
            deltas.reset();
        }
    }

    /// The input, parsed.
    ///
    /// # Errors
    /// `invalid`, permanent: an input that does not fit will not fit next time.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, ExecutionError> {
        serde_json::from_str(self.input.as_str())
            .map_err(|e| ExecutionError::permanent(FailureReason::Invalid, format_args!("input: {e}")))
    }

    /// The input as it was sent.
    #[must_use]
    pub fn raw_input(&self) -> &RawJson {
        &self.input
    }

    /// Publishes the latest progress: at most 4 KiB of JSON.
    ///
    /// # Errors
    /// See [`ProgressError`]; only `Stale` means stop.
    pub async fn progress(&self, document: &impl Serialize) -> Result<(), ProgressError> {
        let text = serde_json::to_string(document).map_err(|e| ProgressError::Unavailable(e.to_string()))?;
        if text.len() > crate::domain::bounds::PROGRESS {
            return Err(ProgressError::TooLarge(text.len()));
        }
        self.progress.store(RawJson::from_compact(text)).await
    }

    /// To be asked right before an effect outside: refuses when the lease may be lost, because
    /// another worker may by then run the same job.
    ///
    /// # Errors
    /// A retryable error that the worker discards, since the attempt is stale.
    pub fn before_effect(&self) -> Result<(), ExecutionError> {
        if self.gate.is_open() && !self.cancelled.is_cancelled() {
            return Ok(());
        }
        Err(ExecutionError::retryable(FailureReason::Error, "the lease may be lost; no effect was started"))
    }
}

impl fmt::Debug for JobContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobContext")
            .field("id", &self.id)
            .field("type", &self.job_type)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
