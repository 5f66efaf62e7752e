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
            id: format!("chatcmpl-fake-{number}"),
            model: request.model().to_owned(),
            // Any fixed moment does; the answer must not depend on the clock.
            created: 1_700_000_000 + number,
            prompt_tokens: request.prompt_tokens(),
        }
    }

    /// The unary form.
    pub(super) fn unary(&self) -> Value {
        let message = json!({"role": "assistant", "content": self.text, "refusal": null});
        json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": self.finish}],
            "usage": self.usage(),
        })
    }

    /// The streaming form: the role, a chunk per word, the end, the usage if asked for, `[DONE]`.
    pub(super) fn chunks(&self, with_usage: bool) -> Vec<Bytes> {
        let choice = |delta: Value, finish: &Option<String>| {
            self.chunk(&json!([{"index": 0, "delta": delta, "finish_reason": finish}]), &Value::Null)
        };
        let mut chunks = vec![choice(json!({"role": "assistant", "content": ""}), &None)];
        chunks.extend(self.text.split_inclusive(' ').map(|word| choice(json!({"content": word}), &None)));
        if self.finish.is_some() {
            chunks.push(choice(json!({}), &self.finish));
        }
        if with_usage {
            chunks.push(self.chunk(&json!([]), &self.usage()));
        }
        chunks.push(Bytes::from_static(b"data: [DONE]\n\n"));
        chunks
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
