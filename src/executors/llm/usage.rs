//! What a call used, by the provider's word or counted here.

use serde_json::{Value, json};

use super::estimate;
use crate::domain::llm::Usage;

/// More than any call uses: a larger count is a mistake, which must not burst budgets and sums.
const MOST: u64 = 1_000_000_000;

/// Reads an answer's usage. What the provider does not say is counted here, and marked so.
///
/// `input` is our own count of the prompt, `output` the bytes of text that came.
pub(super) fn of_answer(answer: &Value, input: u64, output: usize) -> Usage {
    let usage = answer.get("usage").unwrap_or(&Value::Null);
    let count = |names: &[&str]| names.iter().find_map(|name| Some(usage.pointer(name)?.as_u64()?.min(MOST)));
    let told = (count(&["/prompt_tokens", "/input_tokens"]), count(&["/completion_tokens", "/output_tokens"]));
    let cached =
        ["/prompt_tokens_details/cached_tokens", "/input_tokens_details/cached_tokens", "/prompt_cache_hit_tokens"];
    let reasoning = ["/completion_tokens_details/reasoning_tokens", "/output_tokens_details/reasoning_tokens"];
    let reasoning = count(&reasoning).unwrap_or(0);
    let (input, mut output) = (told.0.unwrap_or(input), told.1.unwrap_or_else(|| estimate::text(output)));
    // xAI counts reasoning beside the completion, others inside it; only the total tells.
    if reasoning > 0 && count(&["/total_tokens"]) == Some(input + output + reasoning) {
        output += reasoning;
    }
    Usage {
        input,
        cached_input: count(&cached).unwrap_or(0).min(input),
        output,
        reasoning: reasoning.min(output),
        estimated: told.0.is_none() || told.1.is_none(),
    }
}

/// What a call used that ended without an answer: the prompt was sent, and `output` bytes of text came.
pub(super) fn estimated(input: u64, output: usize) -> Usage {
    Usage { input, output: estimate::text(output), estimated: true, ..Usage::default() }
}

/// Of two calls together.
pub(super) fn sum(a: &Usage, b: &Usage) -> Usage {
    Usage {
        input: a.input + b.input,
        cached_input: a.cached_input + b.cached_input,
        output: a.output + b.output,
        reasoning: a.reasoning + b.reasoning,
        estimated: a.estimated || b.estimated,
    }
}

/// As it stands in a job's result.
pub(super) fn to_json(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "cached_input_tokens": usage.cached_input,
        "output_tokens": usage.output,
        "reasoning_tokens": usage.reasoning,
        "total_tokens": usage.total(),
        "estimated": usage.estimated,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(usage: Value) -> Usage {
        of_answer(&json!({"usage": usage}), 100, 41)
    }

    #[test]
    fn every_dialect_of_usage_is_read() {
        let openai = json!({"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 10}, "completion_tokens_details": {"reasoning_tokens": 5}});
        let wanted = Usage { input: 30, cached_input: 10, output: 20, reasoning: 5, estimated: false };
        assert_eq!(read(openai), wanted);
        let other = json!({"input_tokens": 30, "output_tokens": 20, "prompt_cache_hit_tokens": 99});
        assert_eq!(read(other), Usage { cached_input: 30, reasoning: 0, ..wanted });
    }

    #[test]
    fn reasoning_beside_the_completion_is_output_too() {
        let xai = json!({"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 57,
            "completion_tokens_details": {"reasoning_tokens": 7}});
        assert_eq!((read(xai.clone()).output, read(xai).reasoning), (27, 7));
    }

    #[test]
    fn what_is_not_told_is_counted_and_marked() {
        let counted = Usage { input: 100, output: 11, estimated: true, ..Usage::default() };
        assert_eq!(read(Value::Null), counted);
        assert_eq!(read(json!({"completion_tokens": 2})), Usage { output: 2, ..counted });
        assert_eq!(to_json(&counted)["total_tokens"], 111);
        let huge = json!({"prompt_tokens": u64::MAX, "completion_tokens": u64::MAX,
            "completion_tokens_details": {"reasoning_tokens": 1}});
        assert_eq!(read(huge).total(), 2 * MOST);
    }
}
