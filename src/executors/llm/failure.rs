//! What a call that went wrong says of the provider, and what becomes of its job.

use std::time::Duration;

use serde_json::Value;

use super::capture::{CallError, StatusReply};
use crate::domain::llm::Verdict;
use crate::domain::{FailureReason, RetryPolicy, clip_text};
use crate::engine::ExecutionError;

/// A provider's message is cut here: what matters comes first.
const MESSAGE_LIMIT: usize = 200;

/// Servers say "too long" in words of their own; vLLM, SGLang, llama.cpp.
const CONTEXT_PHRASES: &[&str] =
    &["maximum context length", "longer than the model's context", "exceeds the available context"];

/// A provider that says 429 without saying for how long is left alone this long (LiteLLM's cooldown).
const PATIENCE: Duration = Duration::from_secs(5);

/// One that refuses the account is asked again after this long: a person has to act meanwhile.
const REFUSED: Duration = Duration::from_secs(300);

/// Takes the API key and the prompt out of a text. Applied before a text is cut, lest half a key remain.
pub(super) type Redact<'a> = &'a dyn Fn(&str) -> String;

/// What a call that went wrong amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// 429: it asks for patience, for so long if it says.
    RateLimited(Option<Duration>),
    /// It refuses the account: credentials, a spent quota, an unpaid bill.
    Refused,
    /// It has no such model or is at another address. Another provider may be right.
    Misplaced,
    /// The prompt and the output limit are more than its window.
    ContextLength,
    /// It works and withheld the answer.
    ContentFilter,
    /// It works and the request is at fault, so that no other provider would do better.
    BadRequest,
    /// It is down or overloaded and refused the call; the wait that it asked for.
    Down(Option<Duration>),
    /// It did not answer in time, or stopped in the middle.
    Timeout,
    /// The answer ended before it was complete.
    Truncated,
    /// What came is no answer.
    Malformed,
    /// The answer is complete and has nothing in it.
    Empty,
    /// The output limit was spent before there was any text.
    Spent,
    /// The answer is larger than any may be.
    Excess,
    /// The answer is no JSON of the form that the job wants, and was not mended when asked.
    Unfit,
}

/// A call that went wrong.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) class: Class,
    /// For people; without key and prompt.
    pub(super) message: String,
}

/// Where the next attempt could go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This is the only place.
    Nowhere,
    /// There are other places; all had their turn in this round, or the next attempt comes back here.
    Again,
    /// To another place, which has a larger window or not.
    Other {
        /// Whether that window is larger.
        roomier: bool,
    },
}

impl Fault {
    pub(super) fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }

    /// What it says of the provider.
    pub(super) fn verdict(&self) -> Verdict {
        match self.class {
            Class::RateLimited(wait) => Verdict::Cool(wait.unwrap_or(PATIENCE).min(RetryPolicy::RETRY_AFTER_LIMIT)),
            Class::Refused => Verdict::Cool(REFUSED),
            Class::Down(_) | Class::Timeout | Class::Truncated | Class::Malformed | Class::Empty => Verdict::Faulty,
            Class::Misplaced
            | Class::ContextLength
            | Class::ContentFilter
            | Class::BadRequest
            | Class::Spent
            | Class::Excess
            | Class::Unfit => Verdict::Neutral,
        }
    }

    /// The word for ledger and metrics.
    pub(super) const fn status(&self) -> &'static str {
        match self.class {
            Class::RateLimited(_) => "rate_limited",
            Class::Refused => "refused",
            Class::Misplaced => "not_found",
            Class::ContextLength => "context_length",
            Class::ContentFilter => "content_filter",
            Class::BadRequest => "bad_request",
            Class::Down(_) => "unavailable",
            Class::Timeout => "timeout",
            Class::Truncated => "truncated",
            Class::Malformed => "malformed",
            Class::Empty => "empty",
            Class::Spent => "spent",
            Class::Excess => "too_large",
            Class::Unfit => "unfit",
        }
    }

    /// Whether the provider worked on the prompt, so that it may bill for it.
    pub(super) const fn is_billed(&self) -> bool {
        matches!(
            self.class,
            Class::ContentFilter
                | Class::Timeout
                | Class::Truncated
                | Class::Malformed
                | Class::Empty
                | Class::Spent
                | Class::Excess
                | Class::Unfit
        )
    }

    /// What becomes of the job.
    pub(super) fn outcome(&self, next: Next, cools: bool) -> ExecutionError {
        let reason = self.reason();
        let retry = || ExecutionError::retryable(reason, &self.message);
        let dead = || ExecutionError::permanent(reason, &self.message);
        match (self.class, next) {
            // The target cools in the fleet's book, so that the same attempt, asked again, goes elsewhere.
            (Class::RateLimited(_), Next::Again | Next::Other { .. }) if cools => {
                ExecutionError::postpone(&self.message, Duration::from_millis(1))
            }
            (Class::RateLimited(wait), _) => ExecutionError::postpone(&self.message, wait.unwrap_or(PATIENCE)),
            (Class::ContextLength, Next::Other { roomier: true }) => retry().elsewhere(),
            (Class::ContextLength | Class::ContentFilter | Class::BadRequest | Class::Spent | Class::Excess, _) => {
                dead()
            }
            (Class::Refused | Class::Misplaced, Next::Nowhere) => dead(),
            (_, Next::Other { .. }) => retry().elsewhere(),
            (Class::Down(wait), _) => retry().with_retry_after(wait),
            (_, Next::Nowhere | Next::Again) => retry(),
        }
    }

    const fn reason(&self) -> FailureReason {
        match self.class {
            Class::RateLimited(_) => FailureReason::RateLimited,
            Class::Refused | Class::Misplaced | Class::Excess => FailureReason::Permanent,
            Class::ContextLength | Class::BadRequest => FailureReason::Invalid,
            Class::ContentFilter => FailureReason::ContentFilter,
            Class::Timeout => FailureReason::Timeout,
            Class::Truncated | Class::Spent => FailureReason::Truncated,
            Class::Down(_) | Class::Malformed | Class::Empty | Class::Unfit => FailureReason::Error,
        }
    }
}

/// A call that brought no JSON.
pub(super) fn of_call(error: &CallError, redact: Redact<'_>) -> Fault {
    let class = match error {
        CallError::Status(reply) => return of_status(reply, redact),
        CallError::InStream(event) => match of_body(&event.0, redact) {
            Some(said) => return said,
            None => Class::Down(None),
        },
        CallError::NoFirstByte(_) | CallError::NoFirstToken(_) | CallError::Stalled(_) | CallError::OutOfTime => {
            Class::Timeout
        }
        CallError::Truncated | CallError::Unfinished => Class::Truncated,
        CallError::Connect(_) | CallError::Broken(_) | CallError::Other => Class::Down(None),
        CallError::NotJson | CallError::Malformed => Class::Malformed,
        CallError::TooLarge | CallError::StreamTooLarge(_) | CallError::TooMuchText => Class::Excess,
        CallError::Request => Class::BadRequest,
    };
    Fault::new(class, error.to_string())
}

/// A 2xx whose body is an error: `None` when the body is none.
pub(super) fn of_body(answer: &Value, redact: Redact<'_>) -> Option<Fault> {
    let said = Said::from_value(answer, redact).filter(|_| answer.pointer("/choices/0").is_none())?;
    // Some servers put the status they meant into `code`.
    let status = said.code.parse().ok().filter(|s| (400..600).contains(s)).unwrap_or(502);
    Some(said.fault(status, None))
}

fn of_status(reply: &StatusReply, redact: Redact<'_>) -> Fault {
    let said = serde_json::from_slice(&reply.body).ok().and_then(|body| Said::from_value(&body, redact));
    said.unwrap_or_default().fault(reply.status, reply.retry_after)
}

/// What a provider says of an error, in any of the dialects.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    code: String,
    kind: String,
    message: String,
}

impl Said {
    /// `{"error":{message,type,code}}` (OpenAI), with an integer code (vLLM, OpenRouter), in an
    /// array (Gemini), flat `{"code","error":"…"}` (xAI), `{"object":"error",…}` (older vLLM),
    /// `{"detail":"…"}` (FastAPI).
    fn from_value(body: &Value, redact: Redact<'_>) -> Option<Self> {
        let body = body.get(0).unwrap_or(body);
        let (fields, message) = match body.get("error") {
            Some(error @ Value::Object(_)) => (error, error.get("message")),
            Some(error @ Value::String(_)) => (body, Some(error)),
            _ if body.get("object").is_some_and(|o| o == "error") => (body, body.get("message")),
            _ => (body, Some(body.get("detail")?)),
        };
        let word = |name: &str| match fields.get(name) {
            Some(Value::String(text)) => redact(text),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let message = redact(message.and_then(Value::as_str).unwrap_or_default());
        Some(Self { code: word("code"), kind: word("type"), message })
    }

    fn fault(&self, status: u16, retry_after: Option<Duration>) -> Fault {
        let message = self.sentence(status);
        let class = match status {
            // Its own text is left out: it may repeat the key.
            401 | 403 => {
                let code = self.code_suffix();
                let text = format!("the provider refused the credentials ({status}{code}); check its API key");
                return Fault::new(Class::Refused, text);
            }
            402 => Class::Refused,
            _ if self.is("insufficient_quota") => Class::Refused,
            429 => Class::RateLimited(retry_after),
            _ if self.is_context_length() => Class::ContextLength,
            _ if self.is("content_filter") => Class::ContentFilter,
            404 => {
                return Fault::new(Class::Misplaced, format!("{message}; check the model and the base URL"));
            }
            300..=399 => {
                let text = "redirects are not followed, check the base URL";
                return Fault::new(Class::Misplaced, format!("the provider answered {status}; {text}"));
            }
            408 | 409 | 425 | 500.. => Class::Down(retry_after),
            _ => Class::BadRequest,
        };
        Fault::new(class, message)
    }

    fn sentence(&self, status: u16) -> String {
        let text = clip_text(&self.message, MESSAGE_LIMIT);
        let colon = if text.is_empty() { "" } else { ": " };
        format!("the provider answered {status}{}{colon}{text}", self.code_suffix())
    }

    fn code_suffix(&self) -> String {
        let code = if self.code.is_empty() { &self.kind } else { &self.code };
        if code.is_empty() { String::new() } else { format!(" {}", clip_text(code, 64)) }
    }

    fn is(&self, word: &str) -> bool {
        self.code == word || self.kind == word
    }

    fn is_context_length(&self) -> bool {
        self.is("context_length_exceeded") || CONTEXT_PHRASES.iter().any(|phrase| self.message.contains(phrase))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::Disposition::{self, Dead, Elsewhere, Postpone, Retry};

    fn keep(text: &str) -> String {
        text.to_owned()
    }

    const WAIT: Duration = Duration::from_secs(7);

    fn fault(status: u16, body: &str, retry_after: Option<Duration>) -> Fault {
        of_status(&StatusReply { status, retry_after, body: body.into() }, &keep)
    }

    fn status(status: u16, body: &str, retry_after: Option<Duration>) -> (FailureReason, Disposition) {
        let error = fault(status, body, retry_after).outcome(Next::Nowhere, true);
        (error.reason, error.disposition)
    }

    #[test]
    fn each_status_has_its_rule() {
        use FailureReason::{Error, Invalid, Permanent, RateLimited};
        for (code, body, wait, wanted) in [
            (429, "{}", Some(WAIT), (RateLimited, Postpone { after: WAIT })),
            (429, "<html>", None, (RateLimited, Postpone { after: PATIENCE })),
            (429, r#"{"error":{"code":"insufficient_quota"}}"#, Some(WAIT), (Permanent, Dead)),
            (401, "{}", None, (Permanent, Dead)),
            (403, "{}", None, (Permanent, Dead)),
            (404, "{}", None, (Permanent, Dead)),
            (302, "", None, (Permanent, Dead)),
            (400, "{}", None, (Invalid, Dead)),
            (422, r#"{"detail":"bad"}"#, None, (Invalid, Dead)),
            (408, "", None, (Error, Retry { after: None })),
            (409, "", None, (Error, Retry { after: None })),
            (503, "<html>", Some(WAIT), (Error, Retry { after: Some(WAIT) })),
            (529, "", None, (Error, Retry { after: None })),
            (500, r#"{"error":{"message":"This model's maximum context length is 8"}}"#, None, (Invalid, Dead)),
        ] {
            assert_eq!(status(code, body, wait), wanted, "{code} {body}");
        }
    }

    #[test]
    fn with_another_provider_only_the_requests_own_faults_end_the_job() {
        let other = |code, body: &str, roomier| {
            fault(code, body, Some(WAIT)).outcome(Next::Other { roomier }, true).disposition
        };
        let context = r#"{"error":{"code":"context_length_exceeded"}}"#;
        for code in [401, 402, 403, 404, 301, 500, 503] {
            assert_eq!(other(code, "", false), Elsewhere, "{code}");
        }
        assert_eq!((other(400, context, true), other(400, context, false)), (Elsewhere, Dead));
        assert_eq!(other(400, "", true), Dead);
        assert_eq!(other(429, "", true), Postpone { after: Duration::from_millis(1) });
        let alone = |code| fault(code, "", Some(WAIT)).outcome(Next::Again, false).disposition;
        assert_eq!(alone(401), Retry { after: None }, "another may have failed for a moment only");
        assert_eq!((alone(429), alone(503)), (Postpone { after: WAIT }, Retry { after: Some(WAIT) }));
    }

    #[test]
    fn what_a_fault_says_of_the_provider() {
        let verdict = |code, wait| fault(code, "", wait).verdict();
        assert_eq!(verdict(429, Some(WAIT)), Verdict::Cool(WAIT));
        assert_eq!(verdict(429, None), Verdict::Cool(PATIENCE));
        assert_eq!(verdict(401, None), Verdict::Cool(REFUSED));
        assert_eq!((verdict(500, None), verdict(400, None)), (Verdict::Faulty, Verdict::Neutral));
        let timeout = of_call(&CallError::OutOfTime, &keep);
        assert_eq!((timeout.verdict(), timeout.status(), timeout.is_billed()), (Verdict::Faulty, "timeout", true));
        assert!(!fault(503, "", None).is_billed());
    }

    #[test]
    fn every_dialect_of_an_error_is_read() {
        for (body, code) in [
            (json!({"error": {"message": "m", "type": "t", "code": "c"}}), "c"),
            (json!({"error": {"message": "m", "code": 400}}), "400"),
            (json!([{"error": {"message": "m", "code": 404}}]), "404"),
            (json!({"code": "c", "error": "m"}), "c"),
            (json!({"object": "error", "message": "m", "code": 400}), "400"),
            (json!({"detail": "m"}), ""),
        ] {
            let said = Said::from_value(&body, &keep).unwrap();
            assert_eq!((said.code.as_str(), said.message.as_str()), (code, "m"), "{body}");
        }
        assert_eq!(Said::from_value(&json!({"choices": []}), &keep), None);
    }

    #[test]
    fn a_success_with_an_error_inside_is_an_error() {
        assert_eq!(of_body(&json!({"error": {"code": 429}}), &keep).unwrap().class, Class::RateLimited(None));
        assert_eq!(of_body(&json!({"error": {"message": "x"}}), &keep).unwrap().class, Class::Down(None));
        assert!(of_body(&json!({"choices": [{}], "error": {}}), &keep).is_none());
    }

    #[test]
    fn messages_are_short_and_never_repeat_what_401_says() {
        let long = json!({"error": {"message": "p".repeat(5000), "code": "c"}}).to_string();
        let error = fault(500, &long, None);
        assert!(error.message.len() < 300, "{}", error.message.len());
        let body = r#"{"error":{"message":"Incorrect API key provided: sk-canary","code":"invalid_api_key"}}"#;
        let error = fault(401, body, None);
        assert!(!error.message.contains("canary") && error.message.contains("invalid_api_key"), "{}", error.message);
    }
}
