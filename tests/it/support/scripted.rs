//! A handler that does what a test tells it, step by step: streams text, starts over, ends.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::{Mutex, mpsc};
use windlass::domain::{FailureReason, RawJson};
use windlass::engine::{ExecutionError, JobContext, Registry};

use super::fleet::registry_of;

enum Step {
    Push(String),
    Reset,
    Fail,
    Finish,
}

/// Tells the handlers of a registry what to do; each step is taken once, by whichever runs.
pub(crate) struct Script {
    steps: mpsc::UnboundedSender<Step>,
    pub(crate) registry: Arc<Registry>,
}

impl Script {
    /// Of `echo`.
    pub(crate) fn new() -> Self {
        Self::of("echo")
    }

    pub(crate) fn of(kind: &str) -> Self {
        let (steps, taken) = mpsc::unbounded_channel();
        let taken = Arc::new(Mutex::new(taken));
        let registry = registry_of(kind, move |context| {
            let taken = Arc::clone(&taken);
            async move { run(&context, &mut *taken.lock().await).await }
        });
        Self { steps, registry }
    }

    pub(crate) fn push(&self, text: &str) {
        self.step(Step::Push(text.to_owned()));
    }

    /// The answer so far does not count.
    pub(crate) fn reset(&self) {
        self.step(Step::Reset);
    }

    /// The attempt fails, and the next may succeed.
    pub(crate) fn fail(&self) {
        self.step(Step::Fail);
    }

    /// The job succeeds, and its usage is the length of its answer.
    pub(crate) fn finish(&self) {
        self.step(Step::Finish);
    }

    fn step(&self, step: Step) {
        assert!(self.steps.send(step).is_ok(), "the registry lives");
    }
}

async fn run(context: &JobContext, steps: &mut mpsc::UnboundedReceiver<Step>) -> Result<RawJson, ExecutionError> {
    let mut bytes = 0;
    while let Some(step) = steps.recv().await {
        match step {
            Step::Push(text) => {
                context.delta(&text);
                bytes += text.len();
            }
            Step::Reset => {
                context.reset_deltas();
                bytes = 0;
            }
            Step::Fail => return Err(ExecutionError::retryable(FailureReason::Error, "told to fail")),
            Step::Finish => break,
        }
    }
    Ok(RawJson::from_value(&json!({ "usage": { "total_tokens": bytes } })))
}
