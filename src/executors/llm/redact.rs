//! Taking out of a provider's words what was ours: its key, and the prompt that some repeat in their errors.

use serde_json::Value;

use super::provider::Provider;
use crate::domain::clip_text;

/// What matters of a message stands at its start, and looking for the prompt in it costs.
const LOOKED_AT: usize = 256;

/// So many bytes in a row of the prompt are no coincidence.
const RUN: usize = 12;

const GONE: &str = "[redacted]";

/// A provider's words without its key and without what they repeat of these messages.
pub(super) fn redact(text: &str, provider: &Provider, messages: &[Value]) -> String {
    let text = clip_text(&provider.redact(text), LOOKED_AT);
    let mut prompts = Vec::new();
    for message in messages {
        texts(message, &mut prompts);
    }
    without(&text, &prompts)
}

/// Every text of a message that says more than its form.
fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) if text.len() >= RUN => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

/// `text` without runs of [`RUN`] bytes or more that stand in one of the prompts.
fn without(text: &str, prompts: &[&str]) -> String {
    let stands = |run: &str| prompts.iter().any(|prompt| prompt.contains(run));
    let ends: Vec<usize> = text.char_indices().map(|(at, c)| at + c.len_utf8()).collect();
    let (mut kept, mut at) = (String::with_capacity(text.len()), 0);
    while at < text.len() {
        let shortest = ends.partition_point(|end| *end < at + RUN);
        let longest = ends[shortest..].iter().take_while(|end| stands(&text[at..**end])).last();
        let next = ends[ends.partition_point(|end| *end <= at)];
        match longest {
            Some(end) => {
                kept.push_str(GONE);
                at = *end;
            }
            None => {
                kept.push_str(&text[at..next]);
                at = next;
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_the_prompt_is_taken_out() {
        let prompts = ["the patient is called Ängström, born 1931"];
        for (text, kept) in [
            ("bad input: 'patient is called Ängström' is odd", "bad input: '[redacted]' is odd"),
            ("patient is called Ängström", "[redacted]"),
            ("Ängström", "Ängström"),
            ("temperature must be at most 2", "temperature must be at most 2"),
            ("", ""),
        ] {
            assert_eq!(without(text, &prompts), kept, "{text}");
        }
        assert_eq!(without("anything that is long", &[]), "anything that is long");
    }

    #[test]
    fn every_text_of_a_message_counts() {
        let message = serde_json::json!({"role": "user", "content": [{"type": "text", "text": "a secret sentence"}],
            "tool_calls": [{"function": {"arguments": "more secret words"}}]});
        let mut found = Vec::new();
        texts(&message, &mut found);
        assert_eq!(found, ["a secret sentence", "more secret words"]);
    }
}
