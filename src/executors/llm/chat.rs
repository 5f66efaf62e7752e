//! `llm.chat`: one chat completion, by whichever provider can give it.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::capture::CallError;
use super::failure::{self, Class, Fault, Next};
use super::input::{ChatInput, schema};
use super::reserve::Request;
use super::route::{Choice, Routes, Wanted};
use super::settle::{Account, End};
use super::structured::{self, Format, Violated};
use super::{LlmOptions, LlmSetupError, redact, reply, usage};
use crate::clock;
use crate::domain::llm::{Usage, Verdict};
use crate::domain::{EffectClass, FailureReason, JobType, RawJson, RetryPolicy};
use crate::engine::{ExecutionError, Executor, JobContext, JobFuture, OpenSpan, SpanKind, TypeInfo};

/// A call ends this long before the attempt does, so that its failure is told by us and not by the queue.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Tokens of the sentences that ask to mend an answer, at most: 2 KiB and a frame.
const MENDING: u64 = 700;

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
            effect: EffectClass::Repeatable,
        };
        let routes = Routes::new(options)?;
        // Addresses and keys live in the routes only.
        let options = LlmOptions { providers: Vec::new(), ..options.clone() };
        Ok(Self { info, routes, options })
    }

    /// One attempt: one call to one provider, if the fleet has a share for it, and one more to mend an answer that
    /// has not the form the job wants.
    async fn attempt(&self, context: &JobContext) -> Result<RawJson, ExecutionError> {
        let invalid = |message| ExecutionError::permanent(FailureReason::Invalid, message);
        let input = context.input::<ChatInput>()?;
        let format = input.format().map_err(invalid)?;
        let wanted = input.wanted(self.options.max_output_tokens);
        let choices = self.routes.chain(&wanted, context.id, context.attempt).map_err(invalid)?;
        let (taken, account) = self.share(context, &choices, &wanted).grant().await?;
        let went_wrong =
            |fault: Fault| fault.outcome(next(&choices, taken, context.attempt), self.options.fleet.is_some());
        let mut body = input.request(&account.choice().model, wanted.output);
        let first = ask(&body, context, account, &format).await.map_err(went_wrong)?;
        let Some(violated) = &first.violated else { return Ok(RawJson::from_value(&first.result)) };

        structured::mend(&mut body, &first.result, violated);
        if body["stream"] == true {
            context.reset_deltas();
        }
        let wanted = Wanted { input: wanted.input + first.used.output + MENDING, ..wanted };
        // Without a share at once this attempt is charged: postponed, it would begin anew and pay for the first call
        // again, as often as there is room for one call and none for two.
        let unfit = |violated: &Violated| went_wrong(Fault::new(Class::Unfit, violated.to_string()));
        let share = self.share(context, &choices[taken..=taken], &wanted).grant().await;
        let (_, account) = share.map_err(|_| unfit(violated))?;
        let second = ask(&body, context, account, &format).await.map_err(went_wrong)?;
        match &second.violated {
            Some(violated) => Err(unfit(violated)),
            None => Ok(RawJson::from_value(&second.after(&first))),
        }
    }

    fn share<'a>(&'a self, context: &'a JobContext, choices: &'a [Choice], wanted: &'a Wanted<'a>) -> Request<'a> {
        let (fleet, workspace_default) = (self.options.fleet.as_ref(), self.options.workspace);
        Request { fleet, context, choices, wanted, workspace_default }
    }
}

/// A complete answer.
struct Answered {
    /// The result of the job, if the answer has the right form.
    result: Value,
    used: Usage,
    nano_usd: Option<u64>,
    violated: Option<Violated>,
}

impl Answered {
    /// The result, with what the answer before it used.
    fn after(&self, first: &Self) -> Value {
        let mut result = self.result.clone();
        result["usage"] = usage::to_json(&usage::sum(&first.used, &self.used));
        result["cost_nano_usd"] = first.nano_usd.zip(self.nano_usd).map(|(a, b)| a.saturating_add(b)).into();
        result
    }
}

/// Sends a request, reads the answer and settles, good or bad.
async fn ask(
    body: &Value,
    context: &JobContext,
    mut account: Box<Account>,
    format: &Format,
) -> Result<Answered, Fault> {
    account.begin();
    let mut span = context.span(SpanKind::Client, || format!("chat {}", account.choice().model));
    let answered = answer(body, context, &account, format).await;
    if let Some(span) = &mut span {
        describe(span, account.choice(), &answered);
    }
    let end = match &answered {
        Ok(Answered { violated: Some(_), used, .. }) => End { verdict: Verdict::Good, status: "unfit", usage: *used },
        Ok(Answered { used, .. }) => End { verdict: Verdict::Good, status: "ok", usage: *used },
        Err((fault, usage)) => End { verdict: fault.verdict(), status: fault.status(), usage: *usage },
    };
    if let Some(span) = span {
        span.end((end.status != "ok").then(|| end.status.to_owned()));
    }
    account.settle(end).await;
    answered.map_err(|(fault, _)| fault)
}

/// By OpenTelemetry's conventions for generative AI. No text goes into a trace.
fn describe(span: &mut OpenSpan, choice: &Choice, answered: &Result<Answered, (Fault, Usage)>) {
    let used = answered.as_ref().map_or_else(|(_, used)| *used, |answered| answered.used);
    span.fact("gen_ai.operation.name", "chat");
    span.fact("gen_ai.provider.name", choice.provider.info.name.as_str());
    span.fact("gen_ai.request.model", choice.model.to_string());
    span.fact("gen_ai.usage.input_tokens", used.input);
    span.fact("gen_ai.usage.output_tokens", used.output);
}

/// The answer, or what went wrong with what the provider may bill all the same.
async fn answer(
    body: &Value,
    context: &JobContext,
    account: &Account,
    format: &Format,
) -> Result<Answered, (Fault, Usage)> {
    let choice = account.choice();
    let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let redact = |text: &str| redact::redact(text, &choice.provider, messages);
    let answer = call(body.clone(), context, account).await.map_err(|error| {
        let mut fault = failure::of_call(&error, &redact);
        let streamed = account.meter.text();
        if streamed > 0 {
            fault.message = format!("{}, after {streamed} bytes of text", fault.message);
        }
        let billed = fault.is_billed() || account.meter.output() > 0;
        (fault, if billed { account.used_so_far() } else { Usage::default() })
    })?;
    if let Some(fault) = failure::of_body(&answer, &redact) {
        return Err((fault, Usage::default()));
    }
    let used = usage::of_answer(&answer, account.used_so_far().input, reply::written(&answer));
    let reply = reply::read(&answer).map_err(|fault| (fault, used))?;
    let nano_usd = choice.cost(&used);
    let result = reply.result(choice.provider.info.name.as_str(), &choice.model, &used, nano_usd);
    let violated = format.judge(&result).err();
    if violated.is_some() && result.get("truncated").is_some() {
        // The same limit would end it the same way.
        let why = "max_output_tokens was used up before the JSON was complete";
        return Err((Fault::new(Class::Spent, why), used));
    }
    Ok(Answered { result, used, nano_usd, violated })
}

/// The call itself, bounded by the attempt's time: the answer as a unary one, whichever way it came.
async fn call(request: Value, context: &JobContext, account: &Account) -> Result<Value, CallError> {
    let until = context.deadline.checked_sub(LAST_WORDS).filter(|until| *until > clock::now());
    let trace = format!("{}-{}", context.id, context.attempt);
    let provider = &account.choice().provider;
    let answer = async {
        if request["stream"] != true {
            return provider.complete(request, &trace, &account.noted).await;
        }
        let mut on_text = |text: &str| {
            account.meter.add(text);
            context.delta(text);
        };
        let streamed = provider.stream(request, &trace, &account.noted, &mut on_text).await;
        streamed.map_err(|broken| {
            account.meter.at_least(broken.output);
            broken.error
        })
    };
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
        input.format()?;
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
