//! `chaos.fault`: misbehaves as its input says. Exists in the build of `make chaos` only.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock;
use crate::domain::{FailureReason, JobType, NameError, RawJson, RetryPolicy};
use crate::engine::{ExecutionError, Executor, JobContext, JobFuture, TypeInfo};

/// The longest time that the blocking ways may take, in milliseconds.
const LONGEST_MS: u64 = 60_000;

/// The executor of `chaos.fault`.
#[derive(Debug)]
pub(super) struct Misbehave {
    info: TypeInfo,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    how: How,
    /// Before or while it misbehaves.
    #[serde(default)]
    ms: u64,
    /// Attempts up to this one misbehave; later ones succeed. Absent: all do.
    attempts: Option<u32>,
    /// For whoever follows the payload.
    #[serde(default, rename = "note")]
    _note: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum How {
    /// Succeeds.
    Ok,
    /// Fails in a way that a retry may mend.
    Fail,
    /// Panics.
    Panic,
    /// Never ends, and hands its thread back.
    Hang,
    /// Ends, but keeps its thread busy for `ms` without ever yielding.
    Spin,
    /// Takes the whole process down, as a segmentation fault or the kernel's memory killer would.
    Abort,
}

impl Misbehave {
    /// The executor.
    pub(super) fn new() -> Result<Self, NameError> {
        let schema = json!({
            "type": "object",
            "required": ["how"],
            "additionalProperties": false,
            "properties": {
                "how": {"enum": ["ok", "fail", "panic", "hang", "spin", "abort"]},
                "ms": {"type": "integer", "minimum": 0, "maximum": LONGEST_MS},
                "attempts": {"type": "integer", "minimum": 1, "maximum": 100},
                "note": {"type": "string", "maxLength": 1000}
            }
        });
        let info = TypeInfo {
            input_schema: schema,
            retry: RetryPolicy {
                base: Duration::from_millis(200),
                cap: Duration::from_secs(1),
                ..RetryPolicy::default()
            },
            timeout: Duration::from_secs(5),
            ..TypeInfo::new(JobType::new("chaos.fault")?, "Misbehaves as told; for fault drills only.")
        };
        Ok(Self { info })
    }
}

impl Executor for Misbehave {
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn check(&self, input: &Value) -> Result<(), String> {
        Input::deserialize(input).map(drop).map_err(|e| e.to_string())
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin(async move {
            let input: Input = context.input()?;
            let misbehaves = input.attempts.is_none_or(|last| context.attempt <= last);
            let how = if misbehaves { input.how } else { How::Ok };
            act(how, Duration::from_millis(input.ms.min(LONGEST_MS))).await?;
            Ok(RawJson::from_value(&json!({"attempt": context.attempt})))
        })
    }
}

#[expect(clippy::panic, reason = "a drill for the worker's panic guard, asked for by the job")]
async fn act(how: How, time: Duration) -> Result<(), ExecutionError> {
    if !matches!(how, How::Spin) {
        tokio::time::sleep(time).await;
    }
    match how {
        How::Ok => Ok(()),
        How::Fail => Err(ExecutionError::retryable(FailureReason::Error, "told to fail")),
        How::Panic => panic!("told to panic"),
        How::Hang => std::future::pending().await,
        How::Spin => {
            let end = clock::now() + time;
            while clock::now() < end {
                std::hint::spin_loop();
            }
            Ok(())
        }
        How::Abort => std::process::abort(),
    }
}
