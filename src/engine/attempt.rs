//! One attempt from claim to ending: the checks before it, its deadline, its panic, its stop.

mod ending;
mod rules;

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use crate::clock::{self, Instant};
use crate::domain::{FailureReason, RawJson, RetryPolicy, Timestamp};
use crate::metrics;
use crate::store::{Claimed, Ending, Store, StoreError};

use super::deltas::{AttemptSink, DeltaWriter};
use super::effect_log::{Rules, StoredLog};
use super::effects::Effects;
use super::executor::{DeltaSink, EffectGate, ExecutionError, JobContext, ProgressError, ProgressSink};
use super::judge::Judge;
use super::lease::{Lease, Stop};
use super::registry::Registry;
use super::tasks;
use super::tracer::{OpenSpan, SpanKind, Trace, Tracer, facts_of_job};
use ending::{broken, panicked};

/// How long an aborted handler may take to stop before its slot is counted as leaked.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// An attempt's end as the claim loop hears of it.
#[derive(Debug)]
pub(super) struct Ended {
    /// What to report; `None` when nothing the attempt says counts (lost or cancelled).
    pub(super) ending: Option<Ending>,
    /// The handler did not stop when told to: it blocks its thread.
    pub(super) leaked: bool,
}

/// Everything an attempt needs.
pub(super) struct Attempt {
    pub(super) store: Store,
    pub(super) registry: Arc<Registry>,
    pub(super) claimed: Claimed,
    pub(super) lease: Arc<Lease>,
    pub(super) deltas: DeltaWriter,
    pub(super) judge: Arc<Judge>,
    /// Asked again before an effect.
    pub(super) rules: Arc<dyn Rules>,
    pub(super) tracer: Tracer,
}

struct Progress {
    store: Store,
    claimed: Claimed,
    last: Mutex<Option<RawJson>>,
}

impl ProgressSink for Progress {
    fn store(&self, document: RawJson) -> Pin<Box<dyn Future<Output = Result<(), ProgressError>> + Send + '_>> {
        Box::pin(async move {
            match self.store.progress(&self.claimed, &document).await {
                Ok(true) => {
                    *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(document);
                    Ok(())
                }
                Ok(false) => Err(ProgressError::Stale),
                Err(error) => Err(ProgressError::Unavailable(error.to_string())),
            }
        })
    }
}

impl Attempt {
    /// Runs the attempt to its end. Every line that is written meanwhile names it, whatever the level.
    pub(super) async fn run(self) -> Ended {
        let job = &self.claimed.job;
        let trace = self.tracer.of_job(job.id);
        let span = tracing::error_span!(
            "attempt", job_id = %job.id, tenant_id = %job.workspace, attempt = job.attempt,
            trace_id = %trace.of().trace
        );
        self.run_within(trace).instrument(span).await
    }

    async fn run_within(self, of_job: Trace) -> Ended {
        let started = clock::now();
        let span = self.begin_span(&of_job);
        let trace = span.as_ref().map_or(of_job, OpenSpan::place);
        let sink = Arc::new(self.deltas.open(&self.lease, self.claimed.job.attempt));
        let effects = self.effects();
        // The handler runs in a task of its own; this guards the executor's own check, whose panic
        // would otherwise keep slot and lease for ever.
        let (ending, leaked, outcome) =
            AssertUnwindSafe(self.supervise(&sink, &effects, trace)).catch_unwind().await.unwrap_or_else(|panic| {
                let (ending, word) = self.failed(&panicked(panic), RetryPolicy::default());
                (Some(ending), false, word)
            });
        let (ending, outcome) = match ending {
            Some(ending) => {
                let (ending, outcome) = self.with_effects_of(&effects, ending, outcome).await;
                (Some(ending), outcome)
            }
            None => (None, outcome),
        };
        if let Some(Ending::Held { reason, failure }) = ending.as_ref().map(Ending::plain) {
            self.tell_of_hold(*reason, &failure.message);
        }
        match ending.as_ref().map(Ending::plain) {
            // The text of an attempt that is given back begins anew.
            None | Some(Ending::Released) => sink.abandon(),
            // What is told of the end must not overtake the text.
            Some(_) => sink.finish().await,
        }
        let kind = self.claimed.job.job_type.to_string();
        ::metrics::histogram!(metrics::JOB_RUN.name, "type" => kind.clone()).record(started.elapsed().as_secs_f64());
        ::metrics::counter!(metrics::ATTEMPTS.name, "type" => kind, "outcome" => outcome).increment(1);
        let job = &self.claimed.job;
        let duration_ms = started.elapsed().as_secs_f64() * 1e3;
        if let Some(mut span) = span {
            span.fact("windlass.outcome", outcome);
            span.end((outcome != "succeeded").then(|| outcome.to_owned()));
        }
        tracing::debug!(endpoint = job.job_type.as_str(), outcome, duration_ms, "attempt ended");
        Ended { ending, leaked }
    }

    /// The span of the attempt, behind one of the wait before it: by Redis' clock, from when it could have begun.
    fn begin_span(&self, trace: &Trace) -> Option<OpenSpan> {
        let job = &self.claimed.job;
        if let Some(mut wait) = trace.open(SpanKind::Internal, || format!("wait {}", job.queue)) {
            facts_of_job(&mut wait, job, ("wait", "receive"));
            let nanos = |at: Timestamp| u64::try_from(at.unix_ms()).unwrap_or_default().saturating_mul(1_000_000);
            let from = job.run_at.map_or(job.created_at, |due| due.max(job.created_at));
            let until = job.started_at.unwrap_or_else(|| self.store.now_estimate());
            wait.between(nanos(from), nanos(until));
        }
        let mut span = trace.open(SpanKind::Consumer, || format!("attempt {}", job.job_type))?;
        facts_of_job(&mut span, job, ("attempt", "process"));
        span.fact("windlass.attempt", u64::from(job.attempt));
        Some(span)
    }

    fn effects(&self) -> Arc<Effects> {
        let job = &self.claimed.job;
        let log = StoredLog::new(self.store.clone(), self.claimed.clone(), Arc::clone(&self.rules));
        let gate = Arc::clone(&self.lease) as Arc<dyn EffectGate>;
        Arc::new(Effects::new(job.id, job.job_type.as_str(), Arc::new(log), gate))
    }

    async fn supervise(
        &self,
        sink: &Arc<AttemptSink>,
        effects: &Arc<Effects>,
        trace: Trace,
    ) -> (Option<Ending>, bool, &'static str) {
        let job = &self.claimed.job;
        let input = job.input.as_ref().map(RawJson::to_value).unwrap_or_default();
        let executor = match self.registry.admit(job.job_type.as_str(), &input) {
            Ok(executor) => Arc::clone(executor),
            Err(refusal) => return (Some(self.refused(&refusal)), false, "refused"),
        };
        if let Err((ending, word)) = self.may_run().await {
            return (Some(ending), false, word);
        }
        let progress = Arc::new(Progress {
            store: self.store.clone(),
            claimed: self.claimed.clone(),
            last: Mutex::new(job.progress.clone()),
        });
        let deadline = clock::now() + job.timeout;
        let context = self
            .context(deadline, Arc::clone(&progress) as Arc<dyn ProgressSink>)
            .with_deltas(Arc::clone(sink) as Arc<dyn DeltaSink>)
            .with_effects(Arc::clone(effects))
            .with_trace(trace);
        let policy = executor.info().retry;
        let mut handler = tasks::spawn("handler", async move { executor.run(context).await }.in_current_span());
        tokio::select! {
            biased;
            () = self.lease.stop.cancelled() => {
                let leaked = !stop(handler).await;
                let (ending, word) = self.stopped(leaked);
                (ending, leaked, word)
            }
            outcome = &mut handler => {
                let outcome = outcome.unwrap_or_else(|error| Err(broken(error)));
                let progress = progress.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let (ending, word) = self.conclude(outcome, progress, policy);
                (Some(ending), false, word)
            }
            () = tokio::time::sleep_until(deadline) => {
                let leaked = !stop(handler).await;
                let after = format_args!("ran longer than {} ms", job.timeout.as_millis()).to_string();
                let error = ExecutionError::retryable(FailureReason::Timeout, after);
                (Some(self.failed(&error, policy).0), leaked, "timeout")
            }
        }
    }

    /// What becomes of an attempt that was told to stop; `leaked`: its handler goes on.
    fn stopped(&self, leaked: bool) -> (Option<Ending>, &'static str) {
        match self.lease.why() {
            Stop::Shutdown => (Some(Ending::Released), "released"),
            Stop::Cancelled => (None, "cancelled"),
            // Most often still ours, because Redis was away: given back, it need not wait for its lease to run out.
            // A handler that goes on must keep others out.
            Stop::Doubt if !leaked => (Some(Ending::Released), "lost"),
            Stop::Lost | Stop::Doubt => (None, "lost"),
        }
    }

    fn context(&self, deadline: Instant, progress: Arc<dyn ProgressSink>) -> JobContext {
        let job = &self.claimed.job;
        JobContext::new(
            (job.id, job.workspace.clone(), job.job_type.clone()),
            (job.attempt, job.max_attempts),
            deadline,
            self.lease.stop.clone(),
            job.input.clone().unwrap_or_else(|| RawJson::from_compact("null")),
            progress,
            Arc::clone(&self.lease) as Arc<dyn EffectGate>,
        )
        .with_expiry(job.expires_at)
    }
}

/// Aborts a handler; false when it does not come to an end (it blocks its thread).
async fn stop(handler: JoinHandle<Result<RawJson, ExecutionError>>) -> bool {
    handler.abort();
    tokio::time::timeout(ABORT_GRACE, handler.map(drop)).await.is_ok()
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt").field("job", &self.claimed.job.id).finish_non_exhaustive()
    }
}

/// Whether an error leaves the reports to be repeated.
pub(super) fn repeatable(error: &StoreError) -> bool {
    !matches!(error, StoreError::Corrupt(_))
}
