//! How many tokens a prompt has, before anyone counts them.
//!
//! One token for 4 bytes is what English text takes with the usual vocabularies, by OpenAI's own rule
//! of thumb. It is close enough to reserve by; the provider's count replaces it after the call.

use serde_json::Value;

/// Bytes per token.
const BYTES: u64 = 4;

/// Tokens that frame each message (OpenAI's cookbook counts 3 and one for a name).
const FRAME: u64 = 4;

/// A part that is no text: OpenAI counts an image of usual size as 765 to 1,105 tokens.
const PART: u64 = 1_000;

/// Tokens of a text.
pub(super) fn text(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES)
}

/// Tokens of a prompt, without a margin: fit to refuse what is too large for every window.
pub(super) fn prompt(messages: &[Value], response_format: Option<&Value>) -> u64 {
    let format = response_format.map_or(0, |format| text(format.to_string().len()));
    messages.iter().map(message).sum::<u64>() + format
}

/// The same with a tenth on top: fit to reserve by.
pub(super) fn with_margin(tokens: u64) -> u64 {
    tokens.saturating_add(tokens / 10)
}

fn message(message: &Value) -> u64 {
    let calls = message.get("tool_calls").map_or(0, |calls| text(calls.to_string().len()));
    let content = match message.get("content") {
        Some(Value::String(content)) => text(content.len()),
        Some(Value::Array(parts)) => parts.iter().map(part).sum(),
        _ => 0,
    };
    FRAME + calls + content
}

fn part(part: &Value) -> u64 {
    part.get("text").and_then(Value::as_str).map_or(PART, |content| text(content.len()))
}

/// Whether a prompt has a part that is an image.
pub(super) fn has_images(messages: &[Value]) -> bool {
    let parts = messages.iter().filter_map(|m| m.get("content")?.as_array()).flatten();
    parts.filter_map(|part| part.get("type")?.as_str()).any(|kind| kind.contains("image"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_counts_by_its_bytes_and_an_image_by_the_piece() {
        let word = json!({"role": "user", "content": "12345"});
        assert_eq!(prompt(std::slice::from_ref(&word), None), 4 + 2);
        let image = json!({"type": "image_url", "image_url": {"url": format!("data:{}", "A".repeat(1 << 20))}});
        let mixed = json!({"role": "user", "content": [{"type": "text", "text": "1234"}, image]});
        assert_eq!(prompt(std::slice::from_ref(&mixed), None), 4 + 1 + 1_000);
        assert!(has_images(&[word.clone(), mixed]) && !has_images(&[word]));
        let call = json!({"role": "assistant", "tool_calls": [{"id": "1"}]});
        assert_eq!(prompt(&[call], Some(&json!({"type": "text"}))), 4 + 3 + 4);
        assert_eq!(with_margin(100), 110);
    }
}
