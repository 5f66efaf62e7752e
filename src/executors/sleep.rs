//! `sleep`: waits, then succeeds or fails as told. For demos, tests and fault drills: it takes a
//! slot like real work does, reports progress, and costs nothing.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock;
use crate::domain::{EffectClass, FailureReason, JobType, NameError, RawJson, RetryPolicy};
use crate::engine::{ExecutionError, Executor, JobContext, JobFuture, ProgressError, TypeInfo};

/// The longest sleep, in milliseconds: one hour.
const LONGEST_MS: u64 = 3_600_000;

/// Progress is published at most this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// The executor of `sleep`.
#[derive(Debug)]
pub struct Sleep {
    info: TypeInfo,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    ms: u64,
    fail: Option<Fail>,
    fail_attempts: Option<u32>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Fail {
    Retryable,
    Permanent,
    Panic,
}

impl Sleep {
    /// The executor.
    ///
    /// # Errors
    /// Never in practice: the name is a constant that keeps to the rule.
    pub fn new() -> Result<Self, NameError> {
        let info = TypeInfo {
            name: JobType::new("sleep")?,
            summary: "Waits for `ms`, then succeeds, or fails as `fail` says; for demos and drills.".into(),
            input_schema: schema(),
            retry: RetryPolicy::default(),
            timeout: Duration::from_millis(LONGEST_MS) + Duration::from_secs(60),
            is_action: false,
            effect: EffectClass::Repeatable,
        };
        Ok(Self { info })
    }
}

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["ms"],
        "additionalProperties": false,
        "properties": {
            "ms": {"type": "integer", "minimum": 0, "maximum": LONGEST_MS, "description": "How long to sleep."},
            "fail": {
                "enum": ["retryable", "permanent", "panic"],
                "description": "How the attempt ends after the sleep, instead of succeeding."
            },
            "fail_attempts": {
                "type": "integer", "minimum": 1, "maximum": 100,
                "description": "Only attempts up to this one fail; later ones succeed. Default: all fail."
            }
        },
        "dependentRequired": {"fail_attempts": ["fail"]}
    })
}

impl Executor for Sleep {
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn check(&self, input: &Value) -> Result<(), String> {
        // JSON Schema counts 5.0 as an integer; the run would not.
        Input::deserialize(input).map(drop).map_err(|e| e.to_string())
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin(async move {
            let input: Input = context.input()?;
            sleep_reporting(&context, input.ms.min(LONGEST_MS)).await?;
            let fails = input.fail_attempts.is_none_or(|last| context.attempt <= last);
            match input.fail.filter(|_| fails) {
                None => Ok(RawJson::from_value(&json!({"slept_ms": input.ms}))),
                Some(fail) => Err(outcome(fail)),
            }
        })
    }
}

async fn sleep_reporting(context: &JobContext, ms: u64) -> Result<(), ExecutionError> {
    let start = clock::now();
    let end = start + Duration::from_millis(ms);
    let mut next = start + PROGRESS_EVERY;
    while next < end {
        tokio::time::sleep_until(next).await;
        let slept_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let report = context.progress(&json!({"slept_ms": slept_ms.min(ms), "total_ms": ms})).await;
        if let Err(error @ ProgressError::Stale) = report {
            return Err(ExecutionError::retryable(FailureReason::Error, error));
        }
        next = clock::now() + PROGRESS_EVERY;
    }
    tokio::time::sleep_until(end).await;
    Ok(())
}

#[expect(clippy::panic, reason = "a drill for the worker's panic guard, asked for by the job")]
fn outcome(fail: Fail) -> ExecutionError {
    match fail {
        Fail::Retryable => ExecutionError::retryable(FailureReason::Error, "told to fail"),
        Fail::Permanent => ExecutionError::permanent(FailureReason::Permanent, "told to fail for good"),
        Fail::Panic => panic!("told to panic"),
    }
}
