//! What becomes of a job whose provider did not answer well.

use async_openai::error::OpenAIError;
use serde_json::Value;

use crate::domain::{FailureReason, clip_text};
use crate::engine::ExecutionError;

use super::capture::{CallError, StatusReply};

/// A provider's message is cut here, because some repeat the prompt in it.
const MESSAGE_LIMIT: usize = 200;

/// Servers say "too long" in words of their own; vLLM, SGLang, llama.cpp.
const CONTEXT_PHRASES: &[&str] =
    &["maximum context length", "longer than the model's context", "exceeds the available context"];

/// Takes the API key out of a text. Applied before a text is cut, lest half a key remain.
pub(super) type Redact<'a> = &'a dyn Fn(&str) -> String;

/// The outcome of a call that the library reports as failed.
pub(super) fn outcome(error: &OpenAIError, redact: Redact<'_>) -> ExecutionError {
    match error {
        OpenAIError::Boxed(inner) => match inner.downcast_ref::<CallError>() {
            Some(error) => of_call(error, redact),
            None => ExecutionError::retryable(FailureReason::Error, "the call to the provider failed"),
        },
        OpenAIError::InvalidArgument(_) => {
            ExecutionError::permanent(FailureReason::Invalid, "the request could not be built")
        }
        // The other variants carry bodies; none of it is shown.
        _ => ExecutionError::retryable(FailureReason::Error, "the call to the provider failed"),
    }
}

fn of_call(error: &CallError, redact: Redact<'_>) -> ExecutionError {
    let reason = match error {
        CallError::Status(reply) => return of_status(reply, redact),
        CallError::InStream(event) => match of_body(&event.0, redact) {
            Some(said) => return said,
            None => FailureReason::Error,
        },
        CallError::TooLarge | CallError::StreamTooLarge(_) | CallError::TooMuchText => {
            return ExecutionError::permanent(FailureReason::Permanent, error);
        }
        CallError::NoFirstByte(_) | CallError::NoFirstToken(_) | CallError::Stalled(_) => FailureReason::Timeout,
        CallError::Truncated | CallError::Unfinished => FailureReason::Truncated,
        CallError::Connect(_) | CallError::Broken(_) | CallError::NotJson | CallError::Malformed => {
            FailureReason::Error
        }
    };
    ExecutionError::retryable(reason, error)
}

/// The outcome of a 2xx whose body is an error: `None` when the body is none.
pub(super) fn of_body(answer: &Value, redact: Redact<'_>) -> Option<ExecutionError> {
    let said = Said::from_value(answer, redact).filter(|_| answer.pointer("/choices/0").is_none())?;
    // Some servers put the status they meant into `code`.
    let status = said.code.parse().ok().filter(|s| (400..600).contains(s)).unwrap_or(502);
    Some(said.outcome(status, None))
}

fn of_status(reply: &StatusReply, redact: Redact<'_>) -> ExecutionError {
    let said = serde_json::from_slice(&reply.body).ok().and_then(|body| Said::from_value(&body, redact));
    said.unwrap_or_default().outcome(reply.status, reply.retry_after)
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

    fn outcome(&self, status: u16, retry_after: Option<std::time::Duration>) -> ExecutionError {
        let message = self.sentence(status);
        match status {
            // Its own text is left out: it may repeat the key.
            401 | 403 => {
                let text =
                    format!("the provider refused the credentials ({status}{}); check its API key", self.code_suffix());
                ExecutionError::permanent(FailureReason::Permanent, text)
            }
            402 => ExecutionError::permanent(FailureReason::Permanent, message),
            _ if self.is("insufficient_quota") => ExecutionError::permanent(FailureReason::Permanent, message),
            429 => match retry_after {
                Some(after) => ExecutionError::postpone(message, after),
                None => ExecutionError::retryable(FailureReason::RateLimited, message),
            },
            _ if self.is_context_length() => ExecutionError::permanent(FailureReason::Invalid, message),
            _ if self.is("content_filter") => ExecutionError::permanent(FailureReason::ContentFilter, message),
            404 => ExecutionError::permanent(
                FailureReason::Permanent,
                format_args!("{message}; check the model and the base URL"),
            ),
            300..=399 => ExecutionError::permanent(
                FailureReason::Permanent,
                format_args!("the provider answered {status}; redirects are not followed, check the base URL"),
            ),
            408 | 409 | 425 | 500.. => {
                ExecutionError::retryable(FailureReason::Error, message).with_retry_after(retry_after)
            }
            _ => ExecutionError::permanent(FailureReason::Invalid, message),
        }
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
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::engine::Disposition::{self, Dead, Postpone, Retry};

    fn keep(text: &str) -> String {
        text.to_owned()
    }

    const WAIT: Duration = Duration::from_secs(7);

    fn status(status: u16, body: &str, retry_after: Option<Duration>) -> (FailureReason, Disposition) {
        let error = of_status(&StatusReply { status, retry_after, body: body.into() }, &keep);
        (error.reason, error.disposition)
    }

    #[test]
    fn each_status_has_its_rule() {
        use FailureReason::{Error, Invalid, Permanent, RateLimited};
        for (code, body, wait, wanted) in [
            (429, "{}", Some(WAIT), (RateLimited, Postpone { after: WAIT })),
            (429, "<html>", None, (RateLimited, Retry { after: None })),
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
        assert_eq!(of_body(&json!({"error": {"code": 429}}), &keep).unwrap().reason, FailureReason::RateLimited);
        assert_eq!(of_body(&json!({"error": {"message": "x"}}), &keep).unwrap().disposition, Retry { after: None });
        assert!(of_body(&json!({"choices": [{}], "error": {}}), &keep).is_none());
    }

    #[test]
    fn messages_are_short_and_never_repeat_what_401_says() {
        let long = json!({"error": {"message": "p".repeat(5000), "code": "c"}}).to_string();
        let error = of_status(&StatusReply { status: 500, retry_after: None, body: long.into() }, &keep);
        assert!(error.message.len() < 300, "{}", error.message.len());
        let body = br#"{"error":{"message":"Incorrect API key provided: sk-canary","code":"invalid_api_key"}}"#;
        let error = of_status(&StatusReply { status: 401, retry_after: None, body: body.to_vec() }, &keep);
        assert!(!error.message.contains("canary") && error.message.contains("invalid_api_key"), "{}", error.message);
    }
}
