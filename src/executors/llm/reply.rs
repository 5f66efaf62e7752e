//! Reading a provider's answer, leniently in form and strictly in what it proves.
//!
//! Unknown fields and unknown words are kept or ignored: closed enums would throw away a whole
//! answer, already billed, for one word (`finish_reason: "load"`, `service_tier: "on_demand"`).
//! But an answer counts as complete only when the provider says so in `finish_reason`.

use serde_json::{Map, Value, json};

use crate::domain::{FailureReason, RawJson};
use crate::engine::ExecutionError;

/// The result of a job from the provider's answer.
///
/// A length limit is a success that is marked `truncated`: the client set the limit and paid for
/// the text.
pub(super) fn result(answer: &Value, requested_model: &str) -> Result<RawJson, ExecutionError> {
    let Some(choice) = answer.pointer("/choices/0").filter(|c| c.is_object()) else {
        return Err(ExecutionError::retryable(FailureReason::Truncated, "the provider's answer has no choices"));
    };
    let message = choice.get("message").unwrap_or(&Value::Null);
    let content = text(message.get("content").unwrap_or(&Value::Null));
    let refusal = message.get("refusal").and_then(Value::as_str).filter(|r| !r.is_empty());
    let calls = message.get("tool_calls").and_then(Value::as_array).filter(|c| !c.is_empty());
    let finish = choice.get("finish_reason").and_then(Value::as_str).unwrap_or_default();
    let empty = content.is_empty() && refusal.is_none() && calls.is_none();
    completion(finish, empty)?;

    let mut result = Map::new();
    result.insert("content".into(), content.into());
    result.insert("model".into(), answer.get("model").and_then(Value::as_str).unwrap_or(requested_model).into());
    result.insert("finish_reason".into(), finish.into());
    result.insert("usage".into(), usage(answer.get("usage").unwrap_or(&Value::Null)));
    result.insert("provider".into(), "openai-compatible".into());
    result.insert("id".into(), answer.get("id").filter(|id| id.is_string()).cloned().unwrap_or_default());
    if finish == "length" {
        result.insert("truncated".into(), true.into());
    }
    if let Some(calls) = calls {
        result.insert("tool_calls".into(), calls.clone().into());
    }
    if let Some(refusal) = refusal {
        result.insert("refusal".into(), refusal.into());
    }
    Ok(RawJson::from_value(&Value::Object(result)))
}

/// Whether the answer is complete, by the provider's own word.
fn completion(finish: &str, empty: bool) -> Result<(), ExecutionError> {
    match finish {
        "" => Err(ExecutionError::retryable(
            FailureReason::Truncated,
            "the provider's answer has no finish_reason, so it may be incomplete",
        )),
        "content_filter" => Err(ExecutionError::permanent(
            FailureReason::ContentFilter,
            "the provider's content filter withheld the answer",
        )),
        "error" => Err(ExecutionError::retryable(FailureReason::Error, "the provider failed while it answered")),
        // The same limit would be spent the same way next time.
        "length" if empty => Err(ExecutionError::permanent(
            FailureReason::Truncated,
            "max_output_tokens was used up before there was any text",
        )),
        _ if empty => Err(ExecutionError::retryable(FailureReason::Error, "the provider's answer is empty")),
        _ => Ok(()),
    }
}

/// Content as text: a string, or the text parts of an array.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}

/// Token counts under our names; `null` when the provider sent none, never 0.
fn usage(usage: &Value) -> Value {
    let count = |names: [&str; 2]| names.iter().find_map(|name| usage.get(name)?.as_u64());
    let input = count(["prompt_tokens", "input_tokens"]);
    let output = count(["completion_tokens", "output_tokens"]);
    if input.is_none() && output.is_none() {
        return Value::Null;
    }
    let sum = || Some(input?.saturating_add(output?));
    let total = usage.get("total_tokens").and_then(Value::as_u64).or_else(sum);
    json!({"input_tokens": input, "output_tokens": output, "total_tokens": total})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Disposition;

    fn answer(message: Value, finish: Value) -> Result<Value, ExecutionError> {
        let usage = json!({"prompt_tokens": 3, "completion_tokens": 4});
        let answer = json!({"id": "c-1", "choices": [{"message": message, "finish_reason": finish}], "usage": usage});
        result(&answer, "asked").map(|r| r.to_value())
    }

    fn failure(message: Value, finish: Value) -> (FailureReason, bool) {
        let error = answer(message, finish).unwrap_err();
        (error.reason, error.disposition != Disposition::Dead)
    }

    #[test]
    fn a_finished_answer_becomes_the_result() {
        let result = answer(json!({"content": "hello"}), json!("stop")).unwrap();
        assert_eq!(
            result,
            json!({"content": "hello", "model": "asked", "finish_reason": "stop", "provider": "openai-compatible",
                "id": "c-1", "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}})
        );
    }

    #[test]
    fn a_length_limit_is_a_success_that_says_so() {
        let result = answer(json!({"content": "hel"}), json!("length")).unwrap();
        assert_eq!((&result["truncated"], &result["finish_reason"]), (&json!(true), &json!("length")));
        assert_eq!(failure(json!({"content": ""}), json!("length")), (FailureReason::Truncated, false));
    }

    #[test]
    fn unproven_and_empty_answers_are_tried_again() {
        let text = json!({"content": "hel"});
        assert_eq!(failure(text.clone(), Value::Null), (FailureReason::Truncated, true));
        assert_eq!(failure(json!({"content": null}), json!("stop")), (FailureReason::Error, true));
        assert_eq!(failure(json!({"content": ""}), json!("load")), (FailureReason::Error, true));
        assert_eq!(failure(text.clone(), json!("error")), (FailureReason::Error, true));
        assert_eq!(failure(text, json!("content_filter")), (FailureReason::ContentFilter, false));
        assert!(result(&json!({"choices": []}), "m").is_err());
    }

    #[test]
    fn other_shapes_of_a_finished_answer_are_understood() {
        let parts = json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]});
        assert_eq!(answer(parts, json!("eos")).unwrap()["content"], "ab");
        let calls = json!({"content": null, "tool_calls": [{"id": "t"}]});
        assert_eq!(answer(calls, json!("tool_calls")).unwrap()["tool_calls"], json!([{"id": "t"}]));
        assert_eq!(answer(json!({"refusal": "no"}), json!("stop")).unwrap()["refusal"], "no");
    }

    #[test]
    fn missing_usage_is_null_not_zero() {
        assert_eq!(usage(&Value::Null), Value::Null);
        assert_eq!(usage(&json!({"completion_tokens": 2}))["total_tokens"], Value::Null);
    }
}
