//! `echo`: returns its input. The smallest job there is, for first steps and for benches.

use std::time::Duration;

use crate::domain::{EffectClass, JobType, NameError, RetryPolicy};
use crate::engine::{Executor, JobContext, JobFuture, TypeInfo};

/// The executor of `echo`.
#[derive(Debug)]
pub struct Echo {
    info: TypeInfo,
}

impl Echo {
    /// The executor.
    ///
    /// # Errors
    /// Never in practice: the name is a constant that keeps to the rule.
    pub fn new() -> Result<Self, NameError> {
        let info = TypeInfo {
            name: JobType::new("echo")?,
            summary: "Returns its input as the result.".into(),
            input_schema: serde_json::json!({"description": "Any JSON value."}),
            retry: RetryPolicy::default(),
            timeout: Duration::from_secs(60),
            is_action: false,
            effect: EffectClass::Repeatable,
        };
        Ok(Self { info })
    }
}

impl Executor for Echo {
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin(async move { Ok(context.raw_input().clone()) })
    }
}
