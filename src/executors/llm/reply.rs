//! Reading a provider's answer, leniently in form and strictly in what it proves.
//!
//! Unknown fields and unknown words are kept or ignored: closed enums would throw away a whole
//! answer, already billed, for one word (`finish_reason: "load"`, `service_tier: "on_demand"`).
//! But an answer counts as complete only when the provider says so in `finish_reason`.

use serde_json::{Map, Value};

use super::failure::{Class, Fault};
use super::usage;
use crate::domain::llm::Usage;

/// An answer that is complete by the provider's own word.
pub(super) struct Reply<'a> {
    answer: &'a Value,
    finish: &'a str,
    content: String,
    refusal: Option<&'a str>,
    calls: Option<&'a Vec<Value>>,
}

/// Reads an answer. What the provider used is in [`written`] and the answer's usage, complete or not.
///
/// A length limit is a success that is marked `truncated`: the client set the limit and paid for
/// the text.
pub(super) fn read(answer: &Value) -> Result<Reply<'_>, Fault> {
    let Some(choice) = answer.pointer("/choices/0").filter(|c| c.is_object()) else {
        return Err(Fault::new(Class::Truncated, "the provider's answer has no choices"));
    };
    let message = choice.get("message").unwrap_or(&Value::Null);
    let content = text(message.get("content").unwrap_or(&Value::Null));
    let refusal = message.get("refusal").and_then(Value::as_str).filter(|r| !r.is_empty());
    let calls = message.get("tool_calls").and_then(Value::as_array).filter(|c| !c.is_empty());
    let finish = choice.get("finish_reason").and_then(Value::as_str).unwrap_or_default();
    completion(finish, content.is_empty() && refusal.is_none() && calls.is_none())?;
    Ok(Reply { answer, finish, content, refusal, calls })
}

/// Bytes of what a provider wrote, for counting what it does not count itself.
pub(super) fn written(answer: &Value) -> usize {
    let message = answer.pointer("/choices/0/message").unwrap_or(&Value::Null);
    let calls = message.get("tool_calls").map_or(0, |calls| calls.to_string().len());
    text(message.get("content").unwrap_or(&Value::Null)).len() + calls
}

impl Reply<'_> {
    /// The result of the job.
    pub(super) fn result(self, provider: &str, model: &str, used: &Usage, nano_usd: Option<u64>) -> Value {
        let mut result = Map::new();
        let own = |name: &str| self.answer.get(name).filter(|value| value.is_string()).cloned();
        result.insert("content".into(), self.content.into());
        result.insert("model".into(), own("model").unwrap_or_else(|| model.into()));
        result.insert("finish_reason".into(), self.finish.into());
        result.insert("usage".into(), usage::to_json(used));
        result.insert("cost_nano_usd".into(), nano_usd.into());
        result.insert("provider".into(), provider.into());
        result.insert("id".into(), own("id").unwrap_or_default());
        if self.finish == "length" {
            result.insert("truncated".into(), true.into());
        }
        if let Some(calls) = self.calls {
            result.insert("tool_calls".into(), calls.clone().into());
        }
        if let Some(refusal) = self.refusal {
            result.insert("refusal".into(), refusal.into());
        }
        Value::Object(result)
    }
}

/// Whether the answer is complete, by the provider's own word.
fn completion(finish: &str, empty: bool) -> Result<(), Fault> {
    let fault = |class, message: &str| Err(Fault::new(class, message));
    match finish {
        "" => fault(Class::Truncated, "the provider's answer has no finish_reason, so it may be incomplete"),
        "content_filter" => fault(Class::ContentFilter, "the provider's content filter withheld the answer"),
        "error" => fault(Class::Malformed, "the provider failed while it answered"),
        // The same limit would be spent the same way next time.
        "length" if empty => fault(Class::Spent, "max_output_tokens was used up before there was any text"),
        _ if empty => fault(Class::Empty, "the provider's answer is empty"),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(message: Value, finish: Value) -> Result<Value, Class> {
        let answer = json!({"id": "c-1", "choices": [{"message": message, "finish_reason": finish}]});
        let used = Usage { input: 3, output: 4, ..Usage::default() };
        read(&answer).map(|reply| reply.result("mine", "asked", &used, Some(7))).map_err(|fault| fault.class)
    }

    #[test]
    fn a_finished_answer_becomes_the_result() {
        let result = answer(json!({"content": "hello"}), json!("stop")).unwrap();
        let usage = json!({"input_tokens": 3, "cached_input_tokens": 0, "output_tokens": 4, "reasoning_tokens": 0,
            "total_tokens": 7, "estimated": false});
        assert_eq!(
            result,
            json!({"content": "hello", "model": "asked", "finish_reason": "stop", "provider": "mine", "id": "c-1",
                "usage": usage, "cost_nano_usd": 7})
        );
    }

    #[test]
    fn a_length_limit_is_a_success_that_says_so() {
        let result = answer(json!({"content": "hel"}), json!("length")).unwrap();
        assert_eq!((&result["truncated"], &result["finish_reason"]), (&json!(true), &json!("length")));
        assert_eq!(answer(json!({"content": ""}), json!("length")), Err(Class::Spent));
    }

    #[test]
    fn unproven_and_empty_answers_are_none() {
        let text = json!({"content": "hel"});
        assert_eq!(answer(text.clone(), Value::Null), Err(Class::Truncated));
        assert_eq!(answer(json!({"content": null}), json!("stop")), Err(Class::Empty));
        assert_eq!(answer(json!({"content": ""}), json!("load")), Err(Class::Empty));
        assert_eq!(answer(text.clone(), json!("error")), Err(Class::Malformed));
        assert_eq!(answer(text, json!("content_filter")), Err(Class::ContentFilter));
        assert_eq!(read(&json!({"choices": []})).err().map(|f| f.class), Some(Class::Truncated));
    }

    #[test]
    fn other_shapes_of_a_finished_answer_are_understood() {
        let parts = json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]});
        assert_eq!(answer(parts.clone(), json!("eos")).unwrap()["content"], "ab");
        assert_eq!(written(&json!({"choices": [{"message": parts}]})), 2);
        let calls = json!({"content": null, "tool_calls": [{"id": "t"}]});
        assert_eq!(answer(calls, json!("tool_calls")).unwrap()["tool_calls"], json!([{"id": "t"}]));
        assert_eq!(answer(json!({"refusal": "no"}), json!("stop")).unwrap()["refusal"], "no");
    }
}
