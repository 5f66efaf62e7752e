//! `llm.chat`: one chat completion, by whichever provider can give it.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::capture::CallError;
use super::failure::{self, Fault, Next};
use super::input::{ChatInput, schema};
use super::provider::Provider;
use super::reserve::Request;
use super::route::{Choice, Routes};
use super::settle::{Account, End};
use super::{LlmOptions, LlmSetupError, redact, reply, usage};
use crate::clock;
use crate::domain::llm::{Usage, Verdict};
use crate::domain::{FailureReason, JobType, RawJson, RetryPolicy};
use crate::engine::{ExecutionError, Executor, JobContext, JobFuture, TypeInfo};

/// A call ends this long before the attempt does, so that its failure is told by us and not by the queue.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// The executor of `llm.chat`.
///
/// A call is repeatable: a retry after a crash may be billed twice, and never has another effect.
/// Dropping the future closes the connection, so a cancelled job stops the provider too.
pub struct LlmChat {
    info: TypeInfo,
    routes: Routes,
    options: LlmOptions,
}

impl LlmChat {
    /// Builds the clients; does no I/O.
    ///
    /// # Errors
    /// When the options do not stand.
    pub fn new(options: &LlmOptions) -> Result<Self, LlmSetupError> {
        let info = TypeInfo {
            name: JobType::new("llm.chat")?,
            summary: "One chat completion by one of the configured providers.".into(),
            input_schema: schema(),
            retry: RetryPolicy::default(),
            timeout: options.timeout,
            is_action: false,
        };
        let routes = Routes::new(options)?;
        // Addresses and keys live in the routes only.
        let options = LlmOptions { providers: Vec::new(), ..options.clone() };
        Ok(Self { info, routes, options })
    }

    /// One attempt: one call to one provider, if the fleet has a share for it.
    async fn attempt(&self, context: &JobContext) -> Result<RawJson, ExecutionError> {
        let input = context.input::<ChatInput>()?;
        let wanted = input.wanted(self.options.max_output_tokens);
        let choices = self
            .routes
            .chain(&wanted, context.id, context.attempt)
            .map_err(|message| ExecutionError::permanent(FailureReason::Invalid, message))?;
        let request = Request {
            fleet: self.options.fleet.as_ref(),
            context,
            choices: &choices,
            wanted: &wanted,
            workspace_default: self.options.workspace,
        };
        let (taken, mut account) = request.grant().await?;
        account.begin();
        match ask(&input, wanted.output, context, &account).await {
            Ok((result, usage)) => {
                account.settle(End { verdict: Verdict::Good, status: "ok", usage }).await;
                Ok(result)
            }
            Err((fault, usage)) => {
                account.settle(End { verdict: fault.verdict(), status: fault.status(), usage }).await;
                let next = next(&choices, taken, context.attempt);
                Err(fault.outcome(next, self.options.fleet.is_some()))
            }
        }
    }
}

/// Sends the request and reads the answer; with what it used, good or bad.
async fn ask(
    input: &ChatInput,
    output_limit: u64,
    context: &JobContext,
    account: &Account,
) -> Result<(RawJson, Usage), (Fault, Usage)> {
    let choice = account.choice();
    let provider = &choice.provider;
    let redact = |text: &str| redact::redact(text, provider, input.messages());
    let request = input.request(&choice.model, output_limit);
    let answer = match call(provider, request, context, account).await {
        Ok(answer) => answer,
        Err(error) => {
            let fault = failure::of_call(&error, &redact);
            let used = if fault.is_billed() { account.used_so_far() } else { Usage::default() };
            return Err((fault, used));
        }
    };
    if let Some(fault) = failure::of_body(&answer, &redact) {
        return Err((fault, Usage::default()));
    }
    let used = usage::of_answer(&answer, account.used_so_far().input, reply::written(&answer));
    match reply::read(&answer) {
        Ok(reply) => {
            if input.streams() {
                account.meter.add(reply.content());
                context.delta(reply.content());
            }
            let name = provider.info.name.as_str();
            let result = reply.result(name, &choice.model, &used, choice.cost(&used));
            Ok((RawJson::from_value(&result), used))
        }
        Err(fault) => Err((fault, used)),
    }
}

/// The call itself, bounded by the attempt's time: the answer as a unary one, whichever way it came.
///
/// A request that wants a stream is sent as a unary one, whose text is then published in one piece.
async fn call(
    provider: &Provider,
    mut request: Value,
    context: &JobContext,
    account: &Account,
) -> Result<Value, CallError> {
    let until = context.deadline.checked_sub(LAST_WORDS).filter(|until| *until > clock::now());
    let trace = format!("{}-{}", context.id, context.attempt);
    request["stream"] = false.into();
    let answer = provider.complete(request, &trace, &account.noted);
    tokio::time::timeout_at(until.unwrap_or(context.deadline), answer).await.unwrap_or(Err(CallError::OutOfTime))
}

/// Where the next attempt would go, given that the chain turns by one.
fn next(choices: &[Choice], taken: usize, attempt: u32) -> Next {
    let links = choices.len();
    match choices.get(1) {
        None => Next::Nowhere,
        Some(other) if taken != 1 && !(attempt as usize).is_multiple_of(links) => {
            Next::Other { roomier: other.is_roomier_than(&choices[taken]) }
        }
        Some(_) => Next::Again,
    }
}

impl Executor for LlmChat {
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn check(&self, input: &Value) -> Result<(), String> {
        // JSON Schema counts 5.0 as an integer; the run would not.
        let input = ChatInput::deserialize(input).map_err(|e| e.to_string())?;
        self.routes.fitting(&input.wanted(self.options.max_output_tokens)).map(drop)
    }

    fn run(&self, context: JobContext) -> JobFuture<'_> {
        Box::pin(async move { self.attempt(&context).await })
    }
}

impl fmt::Debug for LlmChat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmChat").field("options", &self.options).finish_non_exhaustive()
    }
}
