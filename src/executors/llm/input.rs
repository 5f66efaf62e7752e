//! The input of `llm.chat`: its schema, and the request made from it.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::estimate;
use super::options::Capability;
use super::route::Wanted;
use super::structured::Format;

/// Input of one `llm.chat` job. The schema holds the bounds; here is only what the request needs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChatInput {
    messages: Vec<Value>,
    model: Option<String>,
    temperature: Option<Value>,
    top_p: Option<Value>,
    max_output_tokens: Option<u32>,
    stop: Option<Value>,
    response_format: Option<Value>,
    seed: Option<i64>,
    user: Option<String>,
    stream: Option<bool>,
}

impl ChatInput {
    /// What it asks of a model; `output_limit` is that of jobs that name none.
    pub(super) fn wanted(&self, output_limit: u32) -> Wanted<'_> {
        let schema = self.response_format.as_ref().is_some_and(|format| format["type"] == "json_schema");
        let needs = [(Capability::Images, estimate::has_images(&self.messages)), (Capability::JsonSchema, schema)];
        Wanted {
            model: self.model.as_deref(),
            input: estimate::prompt(&self.messages, self.response_format.as_ref()),
            output: self.max_output_tokens.unwrap_or(output_limit).into(),
            needs: needs.into_iter().filter(|(_, needed)| *needed).map(|(need, _)| need).collect(),
        }
    }

    /// What it wants of the form of the answer.
    ///
    /// # Errors
    /// A sentence for the client.
    pub(super) fn format(&self) -> Result<Format, String> {
        Format::of(self.response_format.as_ref())
    }

    /// The body of a chat completion request to `model`.
    pub(super) fn request(&self, model: &str, output_limit: u64) -> Value {
        let mut body = Map::new();
        body.insert(token_limit_field(model).into(), output_limit.into());
        body.insert("model".into(), model.into());
        body.insert("messages".into(), self.messages.clone().into());
        body.insert("stream".into(), (self.stream == Some(true)).into());
        let optional = [
            ("temperature", self.temperature.clone()),
            ("top_p", self.top_p.clone()),
            ("stop", self.stop.clone()),
            ("response_format", self.response_format.clone()),
            ("seed", self.seed.map(Value::from)),
            ("user", self.user.as_deref().map(Value::from)),
        ];
        body.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        Value::Object(body)
    }
}

/// OpenAI's reasoning families refuse `max_tokens`; not every other server knows the newer name.
fn token_limit_field(model: &str) -> &'static str {
    let name = model.rsplit('/').next().unwrap_or(model);
    let mut letters = name.chars();
    let o_series = letters.next() == Some('o') && letters.next().is_some_and(|c| c.is_ascii_digit());
    if o_series || name.starts_with("gpt-5") { "max_completion_tokens" } else { "max_tokens" }
}

/// JSON Schema of the input.
pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["messages"],
        "additionalProperties": false,
        "properties": {
            "messages": {"type": "array", "minItems": 1, "maxItems": 1000, "items": message_schema()},
            "model": {"type": "string", "minLength": 1, "maxLength": 256, "description":
                "A model or alias of a configured provider, or provider/model. Default: the server's."},
            "temperature": {"type": "number", "minimum": 0, "maximum": 2},
            "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            "max_output_tokens": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
            "stop": {"anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "minItems": 1, "maxItems": 4, "items": {"type": "string", "minLength": 1}}
            ]},
            "response_format": {
                "type": "object",
                "required": ["type"],
                "additionalProperties": false,
                "properties": {
                    "type": {"enum": ["text", "json_object", "json_schema"]},
                    "json_schema": {"type": "object"}
                }
            },
            "seed": {"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX},
            "user": {"type": "string", "maxLength": 256},
            "stream": {"type": "boolean", "description": "Whether the text can be followed as it comes."}
        }
    })
}

fn message_schema() -> Value {
    let parts = json!({
        "type": "array",
        "minItems": 1,
        "items": {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}}}
    });
    json!({
        "type": "object",
        "required": ["role"],
        "additionalProperties": false,
        "properties": {
            "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
            "content": {"anyOf": [{"type": "string"}, parts]},
            "name": {"type": "string", "maxLength": 64},
            "tool_call_id": {"type": "string", "minLength": 1, "maxLength": 256},
            "tool_calls": {"type": "array", "minItems": 1, "items": {"type": "object"}}
        },
        "anyOf": [
            {"required": ["content"]},
            {"required": ["tool_calls"], "properties": {"role": {"const": "assistant"}}}
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(input: &Value) -> bool {
        jsonschema::validator_for(&schema()).unwrap().is_valid(input)
    }

    #[test]
    fn the_schema_takes_what_clients_send() {
        let text = json!({"role": "user", "content": "hi"});
        let parts = json!({"role": "user", "content": [{"type": "text", "text": "hi"}]});
        let call = json!({"role": "assistant", "tool_calls": [{"id": "1"}]});
        let tool = json!({"role": "tool", "tool_call_id": "1", "content": "42"});
        assert!(fits(&json!({"messages": [text, parts, call, tool], "stop": ["a"], "temperature": 0.2, "seed": 7})));
    }

    #[test]
    fn the_schema_refuses_the_rest() {
        let message = json!({"role": "user", "content": "hi"});
        for bad in [
            json!({}),
            json!({"messages": []}),
            json!({"messages": [{"role": "robot", "content": "hi"}]}),
            json!({"messages": [{"role": "user"}]}),
            json!({"messages": [{"role": "user", "content": 1}]}),
            json!({"messages": [message], "stream": "yes"}),
            json!({"messages": [message], "max_tokens": 5}),
            json!({"messages": [message], "max_output_tokens": 0}),
            json!({"messages": [message], "temperature": 3}),
            json!({"messages": [message], "model": ""}),
        ] {
            assert!(!fits(&bad), "{bad}");
        }
    }

    #[test]
    fn job_settings_win_over_the_servers() {
        let request = |input: Value, model: &str| {
            let input = ChatInput::deserialize(&input).unwrap();
            input.request(model, input.wanted(800).output)
        };
        let plain = request(json!({"messages": [{"role": "user", "content": "hi"}]}), "small");
        assert_eq!(
            (&plain["model"], &plain["max_tokens"], &plain["stream"]),
            (&json!("small"), &json!(800), &json!(false))
        );
        let own = request(json!({"messages": [], "max_output_tokens": 9}), "o3-mini");
        assert_eq!((&own["max_completion_tokens"], own.get("max_tokens")), (&json!(9), None));
    }

    #[test]
    fn what_a_job_needs_of_a_model_is_seen() {
        let image = json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]});
        let format = json!({"type": "json_schema", "json_schema": {}});
        let input = ChatInput::deserialize(json!({"messages": [image], "response_format": format})).unwrap();
        assert_eq!(input.wanted(800).needs, [Capability::Images, Capability::JsonSchema]);
        let plain = ChatInput::deserialize(json!({"messages": [{"role": "user", "content": "hi"}]})).unwrap();
        assert!(plain.wanted(800).needs.is_empty());
    }
}
