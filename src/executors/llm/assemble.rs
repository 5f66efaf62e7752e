//! Putting the chunks of a stream together into the answer that the same call would have had without streaming.

use serde_json::{Value, json};

use crate::domain::bounds;

use super::capture::ErrorEvent;
use super::chunk::{CallDelta, Chunk, Delta, Words};

/// The most tool calls of one answer: more is a model out of control.
const CALLS_LIMIT: usize = 128;

/// Why a chunk ends the stream.
#[derive(Debug)]
pub(super) enum ChunkFault {
    /// It is no JSON, or JSON of another shape.
    Malformed,
    /// It is an error that the provider met after it had begun; the part of the chunk that says so.
    Error(ErrorEvent),
    /// The answer has more text than a result may have.
    TooLarge,
}

/// An answer as far as it came.
#[derive(Default)]
pub(super) struct Assembly {
    id: String,
    model: String,
    content: String,
    refusal: String,
    calls: Vec<ToolCall>,
    finish: String,
    usage: Value,
    output: usize,
}

#[derive(Default)]
struct ToolCall {
    index: u64,
    id: String,
    name: String,
    arguments: String,
}

impl Assembly {
    /// Takes one chunk and passes its text on. True when it brought something: text, reasoning, a tool call, the end
    /// or the usage; a chunk that only says who speaks does not.
    ///
    /// # Errors
    /// When the stream ends with it; the text before it was passed on.
    pub(super) fn take(&mut self, data: &[u8], on_text: &mut dyn FnMut(&str)) -> Result<bool, ChunkFault> {
        let chunk: Chunk<'_> = serde_json::from_slice(data).map_err(|_| ChunkFault::Malformed)?;
        if let Some(error) = chunk.error.filter(|e| e.is_object() || e.is_string()) {
            let code = chunk.code.unwrap_or_default();
            return Err(ChunkFault::Error(ErrorEvent(json!({"error": error, "code": code}))));
        }
        if chunk.object.is("error") {
            let whole = serde_json::from_slice(data).map_err(|_| ChunkFault::Malformed)?;
            return Err(ChunkFault::Error(ErrorEvent(whole)));
        }
        set_once(&mut self.id, &chunk.id);
        set_once(&mut self.model, &chunk.model);
        let mut progress = false;
        if let Some(usage) = chunk.usage.and_then(|usage| serde_json::from_str::<Value>(usage.get()).ok()) {
            // Some servers count on in every chunk: the last one is right.
            progress = usage.is_object();
            self.usage = usage;
        }
        for choice in chunk.choices.into_iter().flatten().filter(|choice| choice.index.unwrap_or(0) == 0) {
            let word = choice.finish_reason.text();
            // Some servers send an empty one with every chunk.
            if !word.is_empty() {
                progress = true;
                word.clone_into(&mut self.finish);
            }
            if let Some(delta) = choice.delta {
                progress |= self.add(delta, on_text)?;
            }
        }
        Ok(progress)
    }

    fn add(&mut self, delta: Delta<'_>, on_text: &mut dyn FnMut(&str)) -> Result<bool, ChunkFault> {
        let text = delta.content.text();
        let thought = delta.reasoning_content.text().len() + delta.reasoning.text().len();
        let mut progress = thought > 0 || !text.is_empty() || !delta.refusal.text().is_empty();
        self.output += thought + text.len();
        self.content.push_str(text);
        self.refusal.push_str(delta.refusal.text());
        for call in delta.tool_calls.into_iter().flatten() {
            progress = true;
            self.add_call(call)?;
        }
        if self.size() > bounds::RESULT {
            return Err(ChunkFault::TooLarge);
        }
        if !text.is_empty() {
            on_text(text);
        }
        Ok(progress)
    }

    fn add_call(&mut self, delta: CallDelta<'_>) -> Result<(), ChunkFault> {
        let id = delta.id.text();
        // Without an index an id begins a call. Some servers give every call the index 0, so another id does too.
        let known = self.calls.iter().rposition(|call| match delta.index {
            Some(index) => call.index == index && (id.is_empty() || call.id.is_empty() || call.id == id),
            None => id.is_empty() || call.id == id,
        });
        let at = match known {
            Some(at) => at,
            None if self.calls.len() >= CALLS_LIMIT => return Err(ChunkFault::TooLarge),
            None => {
                let next = self.calls.last().map_or(0, |call| call.index.saturating_add(1));
                self.calls.push(ToolCall { index: delta.index.unwrap_or(next), ..ToolCall::default() });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        set_once(&mut call.id, &delta.id);
        if let Some(function) = delta.function {
            let before = call.name.len() + call.arguments.len();
            // Most send the name once, some in pieces, some again with every piece.
            if function.name.text() != call.name {
                call.name.push_str(function.name.text());
            }
            match function.arguments {
                Some(Value::String(piece)) => call.arguments.push_str(&piece),
                Some(whole @ Value::Object(_)) => call.arguments.push_str(&whole.to_string()),
                _ => {}
            }
            self.output += call.name.len() + call.arguments.len() - before;
        }
        Ok(())
    }

    fn size(&self) -> usize {
        let calls: usize = self.calls.iter().map(|call| call.name.len() + call.arguments.len()).sum();
        self.content.len() + self.refusal.len() + calls
    }

    /// Whether the provider said that the answer is complete.
    pub(super) fn finished(&self) -> bool {
        !self.finish.is_empty()
    }

    /// Bytes of output, reasoning and arguments included: what a broken stream is billed by.
    pub(super) fn output(&self) -> usize {
        self.output
    }

    /// The answer in the shape of one that was not streamed.
    pub(super) fn into_answer(self) -> Value {
        let word = |text: String| if text.is_empty() { Value::Null } else { text.into() };
        let mut message = json!({"role": "assistant", "content": self.content, "refusal": word(self.refusal)});
        if !self.calls.is_empty() {
            let mut calls = self.calls;
            calls.sort_by_key(|call| call.index);
            let calls = calls.into_iter().map(|call| {
                json!({"id": call.id, "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments}})
            });
            message["tool_calls"] = calls.collect();
        }
        json!({
            "id": word(self.id),
            "model": word(self.model),
            "choices": [{"index": 0, "message": message, "finish_reason": word(self.finish)}],
            "usage": self.usage,
        })
    }
}

fn set_once(field: &mut String, words: &Words<'_>) {
    if field.is_empty() {
        field.push_str(words.text());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assemble(chunks: &[Value]) -> Result<(Value, String), ChunkFault> {
        let mut assembly = Assembly::default();
        let mut text = String::new();
        for chunk in chunks {
            assembly.take(chunk.to_string().as_bytes(), &mut |piece| text.push_str(piece))?;
        }
        Ok((assembly.into_answer(), text))
    }

    fn delta(delta: Value) -> Value {
        json!({"id": "c-1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": null}], "usage": null})
    }

    fn call(index: Value, id: &str, name: &str, arguments: Value) -> Value {
        let id = if id.is_empty() { Value::Null } else { id.into() };
        delta(json!({"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]}))
    }

    fn calls(chunks: &[Value]) -> Vec<(String, String, String)> {
        let (answer, _) = assemble(chunks).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let calls = answer["choices"][0]["message"]["tool_calls"].as_array().unwrap();
        let parts = |c: &Value| (text(&c["id"]), text(&c["function"]["name"]), text(&c["function"]["arguments"]));
        calls.iter().map(parts).collect()
    }

    #[test]
    fn chunks_become_the_answer_of_a_whole() {
        let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
        let usage = json!({"prompt_tokens": 1, "completion_tokens": 2});
        let tail = json!({"choices": [{"delta": {}}], "usage": usage});
        let thought = delta(json!({"content": null, "reasoning_content": "hm"}));
        let first = delta(json!({"role": "assistant", "content": ""}));
        let chunks = [first, thought, delta(json!({"content": "hel\n"})), delta(json!({"content": "lo"})), end, tail];
        let (answer, text) = assemble(&chunks).unwrap();
        assert_eq!(text, "hel\nlo");
        let message = json!({"role": "assistant", "content": "hel\nlo", "refusal": null});
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        assert_eq!(answer, json!({"id": "c-1", "model": "m", "choices": [choice], "usage": usage}));
    }

    #[test]
    fn only_output_is_progress() {
        let mut assembly = Assembly::default();
        let mut take = |chunk: Value| assembly.take(chunk.to_string().as_bytes(), &mut |_| {}).unwrap();
        assert!(!take(delta(json!({"role": "assistant", "content": "", "reasoning_content": ""}))));
        assert!(!take(json!({"choices": [], "prompt_filter_results": []})));
        assert!(!take(json!({"choices": [{"index": 1, "delta": {"content": "another choice"}}]})));
        assert!(take(delta(json!({"reasoning": "hm"}))));
        assert!(take(delta(json!({"content": "x"}))));
        assert_eq!(assembly.output(), 3);
        assert!(!assembly.finished());
    }

    #[test]
    fn tool_calls_are_put_together_in_every_dialect() {
        let both =
            |a: &str, b: &str| vec![("a".into(), "f".into(), a.to_owned()), ("b".into(), "g".into(), b.to_owned())];
        let openai = [
            call(json!(0), "a", "f", json!("")),
            call(json!(0), "", "", json!("{\"x\"")),
            call(json!(1), "b", "g", json!("")),
            call(json!(1), "", "", json!("{}")),
            call(json!(0), "", "", json!(":1}")),
        ];
        assert_eq!(calls(&openai), both("{\"x\":1}", "{}"));
        let same_index = [call(json!(0), "a", "f", json!("{}")), call(json!(0), "b", "g", json!({"y": 2}))];
        assert_eq!(calls(&same_index), both("{}", "{\"y\":2}"));
        let none = [
            call(Value::Null, "a", "f", json!("{")),
            call(Value::Null, "", "f", json!("}")),
            call(Value::Null, "b", "g", json!("1")),
        ];
        assert_eq!(calls(&none), both("{}", "1"));
    }

    #[test]
    fn odd_types_count_as_absent() {
        let parts = json!([{"type": "thinking"}, {"type": "text", "text": "hi"}]);
        let odd = json!({"id": 7, "model": ["x"], "created": 1e10, "object": {"a": [1]},
            "choices": [{"delta": {"content": parts, "refusal": false}, "finish_reason": "load"}]});
        let (answer, text) = assemble(&[odd]).unwrap();
        assert_eq!((text.as_str(), &answer["id"]), ("hi", &Value::Null));
        assert_eq!(answer["choices"][0]["finish_reason"], "load");
    }

    #[test]
    fn errors_in_every_dialect_end_the_stream() {
        let openrouter = json!({"error": {"code": 429, "message": "m"}, "choices": [{"delta": {"content": ""},
            "finish_reason": "error"}]});
        let xai = json!({"code": "busy", "error": "at capacity"});
        let vllm = json!({"object": "error", "message": "m", "code": 400});
        for chunk in [openrouter, xai, vllm.clone()] {
            assert!(matches!(assemble(std::slice::from_ref(&chunk)), Err(ChunkFault::Error(_))), "{chunk}");
        }
        assert!(matches!(assemble(&[vllm]), Err(ChunkFault::Error(ErrorEvent(whole))) if whole["code"] == 400));
        assert!(assemble(&[json!({"error": null, "choices": []})]).is_ok());
    }

    #[test]
    fn what_is_no_chunk_is_malformed() {
        for bad in
            ["", "{", "7", "\"x\"", "{\"choices\": 7}", "{\"choices\": [{\"delta\": {\"content\": \"\\ud83d\"}}]}"]
        {
            let taken = Assembly::default().take(bad.as_bytes(), &mut |_| {});
            assert!(matches!(taken, Err(ChunkFault::Malformed)), "{bad}");
        }
    }

    #[test]
    fn more_than_a_result_can_hold_is_too_large() {
        let piece = delta(json!({"content": "x".repeat(100_000)}));
        assert!(matches!(assemble(&vec![piece; 11]), Err(ChunkFault::TooLarge)));
        let call = |index: u64| call(json!(index), "i", "f", json!("{}"));
        let many: Vec<Value> = (0..200).map(call).collect();
        assert!(matches!(assemble(&many), Err(ChunkFault::TooLarge)));
    }
}
