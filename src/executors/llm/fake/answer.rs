//! Requests as far as the fake understands them, and its deterministic answers.

use axum::body::Bytes;
use serde_json::{Value, json};

/// A chat completion request.
pub(super) struct ChatRequest {
    body: Value,
    prompt: String,
}

impl ChatRequest {
    /// Reads a request; the error is a message for the client.
    pub(super) fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let body: Value = serde_json::from_slice(body).map_err(|_| "The body is not valid JSON.")?;
        if body.get("model").and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err("You must provide a model parameter.");
        }
        let messages = body.get("messages").and_then(Value::as_array).filter(|m| !m.is_empty());
        let messages = messages.ok_or("'messages' must be a non-empty array.")?;
        let prompt =
            messages.iter().rev().find(|m| m["role"] == "user").map(|m| text(&m["content"])).unwrap_or_default();
        Ok(Self { body, prompt })
    }

    /// The last user message.
    pub(super) fn prompt(&self) -> &str {
        &self.prompt
    }

    pub(super) fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }

    pub(super) fn is_stream(&self) -> bool {
        self.body["stream"] == true
    }

    pub(super) fn wants_usage(&self) -> bool {
        self.body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true))
    }

    pub(super) fn token_limit(&self) -> Option<u64> {
        self.body.get("max_tokens").or_else(|| self.body.get("max_completion_tokens")).and_then(Value::as_u64)
    }

    fn prompt_tokens(&self) -> usize {
        let messages = self.body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        messages.iter().map(|m| text(&m["content"]).split_whitespace().count()).sum()
    }
}

fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }
}

/// An answer before it is written in one of the two forms.
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) finish: Option<String>,
    /// Arguments of a tool call that stands in place of the text.
    call: Option<String>,
    id: String,
    model: String,
    created: u64,
    prompt_tokens: usize,
}

impl Answer {
    /// `Echo: ` and the prompt, repeated or cut to the wanted length, then cut to the request's limit.
    pub(super) fn new(number: u64, request: &ChatRequest, tokens: Option<usize>) -> Self {
        let echo = format!("Echo: {}", request.prompt());
        let text = match tokens {
            None => echo,
            Some(wanted) => echo.split_whitespace().cycle().take(wanted).collect::<Vec<_>>().join(" "),
        };
        let limit = request.token_limit().and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        let (text, finish) = match text.split_whitespace().count() > limit {
            true => (text.split_whitespace().take(limit).collect::<Vec<_>>().join(" "), "length"),
            false => (text, "stop"),
        };
        Self {
            text,
            finish: Some(finish.to_owned()),
            call: None,
            id: format!("chatcmpl-fake-{number}"),
            model: request.model().to_owned(),
            // Any fixed moment does; the answer must not depend on the clock.
            created: 1_700_000_000 + number,
            prompt_tokens: request.prompt_tokens(),
        }
    }

    /// Turns the text into the argument of a tool call.
    pub(super) fn into_tool_call(mut self) -> Self {
        self.call = Some(json!({"query": self.text}).to_string());
        self.text.clear();
        self.finish = Some("tool_calls".to_owned());
        self
    }

    /// The unary form.
    pub(super) fn unary(&self) -> Value {
        let mut message = json!({"role": "assistant", "content": self.text, "refusal": null});
        if let Some(arguments) = &self.call {
            message["tool_calls"] = json!([self.tool_call(arguments)]);
        }
        json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": self.finish}],
            "usage": self.usage(),
        })
    }

    fn tool_call(&self, arguments: &str) -> Value {
        let function = json!({"name": "lookup", "arguments": arguments});
        json!({"id": format!("call_{}", self.id), "type": "function", "function": function})
    }

    /// The streaming form: the role, a chunk per word or piece of a call, and the end.
    pub(super) fn chunks(&self) -> Vec<Bytes> {
        let mut chunks = vec![self.delta(json!({"role": "assistant", "content": ""}))];
        chunks.extend(self.text.split_inclusive(' ').map(|word| self.delta(json!({"content": word}))));
        if let Some(arguments) = &self.call {
            let mut first = self.tool_call("");
            first["index"] = 0.into();
            chunks.push(self.delta(json!({"tool_calls": [first]})));
            let piece = |text: &str| json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]});
            chunks.extend(arguments.split_inclusive(' ').map(|text| self.delta(piece(text))));
        }
        if self.finish.is_some() {
            let end = json!([{"index": 0, "delta": {}, "finish_reason": self.finish}]);
            chunks.push(self.chunk(&end, &Value::Null));
        }
        chunks
    }

    fn delta(&self, delta: Value) -> Bytes {
        self.chunk(&json!([{"index": 0, "delta": delta, "finish_reason": null}]), &Value::Null)
    }

    /// The chunk with the usage: without choices, as OpenAI sends it, or with one, as LiteLLM does.
    pub(super) fn usage_chunk(&self, with_choice: bool) -> Bytes {
        let choices = if with_choice { json!([{"index": 0, "delta": {}, "finish_reason": null}]) } else { json!([]) };
        self.chunk(&choices, &self.usage())
    }

    fn chunk(&self, choices: &Value, usage: &Value) -> Bytes {
        let event = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
            "usage": usage,
        });
        format!("data: {event}\n\n").into()
    }

    fn usage(&self) -> Value {
        let output = self.text.split_whitespace().count();
        let total = self.prompt_tokens + output;
        json!({"prompt_tokens": self.prompt_tokens, "completion_tokens": output, "total_tokens": total})
    }
}
