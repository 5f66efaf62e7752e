//! Job contexts without a worker and without Redis.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use windlass::clock;
use windlass::domain::{FailureReason, JobId, JobType, RawJson, Workspace};
use windlass::engine::{Disposition, EffectGate, Effects, Executor, JobContext, ProgressError, ProgressSink};

use super::effects::{MemoryLog, MemoryRecord};

/// A job as a worker would hand it to its executor.
pub(crate) struct FakeJob {
    pub(crate) id: JobId,
    pub(crate) attempt: u32,
    pub(crate) gate: Arc<FakeGate>,
    pub(crate) progress: mpsc::UnboundedReceiver<Value>,
    /// What is on record of its effects; change `attempt` to see them as the next attempt does.
    pub(crate) effects: Arc<MemoryRecord>,
    sink: Arc<FakeSink>,
}

pub(crate) struct FakeGate(AtomicBool);

impl FakeGate {
    pub(crate) fn close(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl EffectGate for FakeGate {
    fn is_open(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

struct FakeSink(mpsc::UnboundedSender<Value>);

impl ProgressSink for FakeSink {
    fn store(&self, document: RawJson) -> Pin<Box<dyn Future<Output = Result<(), ProgressError>> + Send + '_>> {
        let sent = self.0.send(document.to_value());
        Box::pin(async move { sent.map_err(|_| ProgressError::Stale) })
    }
}

impl FakeJob {
    pub(crate) fn new() -> Self {
        let (sender, progress) = mpsc::unbounded_channel();
        let gate = Arc::new(FakeGate(AtomicBool::new(true)));
        Self {
            id: JobId::new(1_000, 0),
            attempt: 1,
            gate,
            progress,
            effects: Arc::default(),
            sink: Arc::new(FakeSink(sender)),
        }
    }

    pub(crate) fn context(&self, executor: &dyn Executor, input: &Value) -> JobContext {
        self.context_of(executor, RawJson::from_value(input))
    }

    /// With the input as text, because a `Value` sorts its keys.
    pub(crate) fn context_of(&self, executor: &dyn Executor, input: RawJson) -> JobContext {
        let job_type: JobType = executor.info().name.clone();
        let log = MemoryLog { record: self.effects.clone(), attempt: self.attempt };
        let effects = Effects::new(self.id, job_type.as_str(), Arc::new(log), self.gate.clone());
        JobContext::new(
            (self.id, Workspace::new("tests").unwrap(), job_type),
            (self.attempt, 3),
            clock::now() + Duration::from_secs(60),
            CancellationToken::new(),
            input,
            self.sink.clone(),
            self.gate.clone(),
        )
        .with_effects(Arc::new(effects))
    }
}

/// How an attempt failed, as a test wants to see it.
pub(crate) type Failed = (FailureReason, Disposition, String);

/// Runs one attempt of a fresh job.
pub(crate) async fn run(executor: &dyn Executor, input: Value) -> Result<Value, Failed> {
    run_job(&FakeJob::new(), executor, input).await
}

/// Runs one attempt of `job`.
pub(crate) async fn run_job(job: &FakeJob, executor: &dyn Executor, input: Value) -> Result<Value, Failed> {
    let outcome = executor.run(job.context(executor, &input)).await;
    outcome.map(|result| result.to_value()).map_err(|e| (e.reason, e.disposition, e.message))
}
