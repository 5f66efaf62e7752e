//! Structured output: what a job asked for, whether an answer is it, and the one request to mend it.
//!
//! Providers promise less than `response_format` asks: some know only `json_object`, some ignore it. So the answer is
//! checked here, with the client's own schema.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use crate::domain::clip_text;

use super::schema_door::ClientSchema;

/// Violations that are named to the model; the first ones often explain the rest.
const VIOLATIONS_LIMIT: usize = 20;

/// The most bytes that a repair tells of what is wrong.
const REPAIR_LIMIT: usize = 2 * 1024;

/// What a job wants of the text of its answer.
#[derive(Debug)]
pub(super) enum Format {
    /// Nothing.
    Text,
    /// `json_object`: a JSON object.
    Object,
    /// `json_schema`: JSON that fits.
    Schema(Box<ClientSchema>),
}

/// What is wrong with an answer: JSON Pointers to places in it (the whole is `""`), each with a sentence. Its keys are
/// the model's, so it goes to the model and nowhere else.
#[derive(PartialEq, Eq)]
pub(super) struct Violated(Vec<(String, String)>);

impl fmt::Display for Violated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = match self.0.len() {
            1 => "1 place".to_owned(),
            VIOLATIONS_LIMIT.. => format!("{VIOLATIONS_LIMIT} or more places"),
            count => format!("{count} places"),
        };
        write!(f, "the answer breaks response_format in {places}")
    }
}

impl fmt::Debug for Violated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Violated({})", self.0.len())
    }
}

impl Format {
    /// Reads `response_format`. Called at the door, so that a bad schema fails no attempt.
    ///
    /// # Errors
    /// A sentence for the client.
    pub(super) fn of(response_format: Option<&Value>) -> Result<Self, String> {
        let Some(format) = response_format else { return Ok(Self::Text) };
        match format.get("type").and_then(Value::as_str).unwrap_or_default() {
            "json_object" => Ok(Self::Object),
            "json_schema" => {
                let own = format.get("json_schema").unwrap_or(&Value::Null);
                named(own)?;
                let schema = own.get("schema").ok_or("response_format.json_schema.schema is missing")?;
                let schema = ClientSchema::new(schema);
                let schema = schema.map_err(|why| format!("response_format.json_schema.schema: {why}"))?;
                Ok(Self::Schema(Box::new(schema)))
            }
            _ => Ok(Self::Text),
        }
    }

    /// Judges the result of a job: its text as JSON. `None` where there is nothing to judge: text was asked for, or
    /// the model refused or calls a tool.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn judge(&self, result: &Value) -> Result<Option<Value>, Violated> {
        let other = result.get("refusal").is_some() || result.get("tool_calls").is_some();
        if other || matches!(self, Self::Text) {
            return Ok(None);
        }
        self.read(result["content"].as_str().unwrap_or_default()).map(Some)
    }

    fn read(&self, text: &str) -> Result<Value, Violated> {
        let whole = |what: String| Violated(vec![(String::new(), what)]);
        let value: Value = serde_json::from_str(text).map_err(|e| {
            // The library's message names a place and quotes nothing.
            whole(format!("the answer must be JSON and nothing else: {e}"))
        })?;
        let violations = match self {
            Self::Schema(schema) => schema.violations(&value, VIOLATIONS_LIMIT),
            _ if value.is_object() => Some(Vec::new()),
            _ => Some(vec![(String::new(), "the answer must be a JSON object".to_owned())]),
        };
        match violations {
            None => Err(whole("the answer is nested so deep that checking it takes too long".to_owned())),
            Some(none) if none.is_empty() => Ok(value),
            Some(some) => Err(Violated(some)),
        }
    }
}

/// The name that OpenAI wants, by its rule.
fn named(own: &Value) -> Result<(), String> {
    let name = own.get("name").and_then(Value::as_str).unwrap_or_default();
    let fits =
        (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if !fits {
        return Err("response_format.json_schema.name must have 1 to 64 letters, digits, `_` or `-`".into());
    }
    if own.get("strict").is_some_and(|strict| !strict.is_boolean() && !strict.is_null()) {
        return Err("response_format.json_schema.strict must be true or false".into());
    }
    Ok(())
}

/// Makes a request that asks to mend the answer out of the one that it answered.
pub(super) fn mend(request: &mut Value, result: &Value, violated: &Violated) {
    let asked = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    request["messages"] = repair(asked, result["content"].as_str().unwrap_or_default(), violated).into();
}

/// The conversation that asks to mend an answer: what was said, the answer, and what is wrong with it in at most
/// 2 KiB.
fn repair(messages: &[Value], answer: &str, violated: &Violated) -> Vec<Value> {
    let mut wrong = String::new();
    for (pointer, what) in &violated.0 {
        let place = if pointer.is_empty() { "the whole" } else { pointer };
        // Writing to a string cannot fail.
        let _ = writeln!(wrong, "- {}: {}", clip_text(place, 200), clip_text(what, 300));
    }
    let wrong = clip_text(&wrong, REPAIR_LIMIT);
    let request = format!(
        "Your answer does not have the form that was asked for:\n{wrong}\n\
         Answer again with the corrected JSON only, without any other text."
    );
    let mut all = messages.to_vec();
    all.push(json!({"role": "assistant", "content": answer}));
    all.push(json!({"role": "user", "content": request}));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(schema: Value) -> Result<Format, String> {
        Format::of(Some(
            &json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}}),
        ))
    }

    fn pointers(violated: &Violated) -> Vec<&str> {
        let mut all: Vec<&str> = violated.0.iter().map(|(pointer, _)| pointer.as_str()).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn an_answer_is_checked_by_what_was_asked_for() {
        let person = json!({"type": "object", "required": ["name", "age"],
            "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}}});
        let format = schema(person).unwrap();
        assert_eq!(format.read("{\"name\": \"a\", \"age\": 1}").unwrap()["age"], 1);
        let violated = format.read("{\"name\": 5, \"age\": -1}").unwrap_err();
        assert_eq!(pointers(&violated), ["/age", "/name"]);
        assert_eq!(violated.to_string(), "the answer breaks response_format in 2 places");
        for text in ["", "not json", "```json\n{\"name\": \"a\", \"age\": 1}\n```", "{\"name\": \"a\"}", "[]"] {
            assert_eq!(pointers(&format.read(text).unwrap_err()), [""], "{text}");
        }
    }

    #[test]
    fn json_mode_wants_an_object_and_text_wants_nothing() {
        let object = Format::of(Some(&json!({"type": "json_object"}))).unwrap();
        assert_eq!(object.judge(&json!({"content": "{\"a\": 1}"})), Ok(Some(json!({"a": 1}))));
        assert!(object.judge(&json!({"content": "[1]"})).is_err() && object.judge(&json!({"content": "{"})).is_err());
        assert_eq!(object.judge(&json!({"content": "", "refusal": "no"})), Ok(None));
        assert_eq!(object.judge(&json!({"content": "", "tool_calls": [{}]})), Ok(None));
        for format in [None, Some(&json!({"type": "text"}))] {
            assert_eq!(Format::of(format).unwrap().judge(&json!({"content": "anything"})), Ok(None));
        }
    }

    #[test]
    fn a_bad_format_is_refused_with_its_place() {
        let refused = |own: Value| Format::of(Some(&json!({"type": "json_schema", "json_schema": own}))).unwrap_err();
        assert!(refused(Value::Null).contains("json_schema.name"));
        assert!(refused(json!({"name": "with blank", "schema": {}})).contains("json_schema.name"));
        assert!(refused(json!({"name": "n"})).contains("schema is missing"));
        assert!(refused(json!({"name": "n", "schema": {}, "strict": "yes"})).contains("strict"));
        let remote = schema(json!({"$ref": "https://example.com/x"})).unwrap_err();
        assert!(remote.starts_with("response_format.json_schema.schema: `$ref`"), "{remote}");
    }

    #[test]
    fn a_repair_names_what_is_wrong_and_stays_small() {
        let closed = json!({"type": "object", "additionalProperties": {"type": "null"}});
        let many: serde_json::Map<String, Value> =
            (0..100).map(|n| (format!("{n}{}", "k".repeat(300)), 1.into())).collect();
        let text = Value::Object(many).to_string();
        let violated = schema(closed).unwrap().read(&text).unwrap_err();
        assert_eq!(violated.0.len(), VIOLATIONS_LIMIT);
        let asked = [json!({"role": "user", "content": "go"})];
        let messages = repair(&asked, &text, &violated);
        assert_eq!((messages.len(), &messages[0]), (3, &asked[0]));
        assert_eq!(messages[1], json!({"role": "assistant", "content": text}));
        let request = messages[2]["content"].as_str().unwrap();
        assert_eq!(messages[2]["role"], "user");
        assert!(request.len() < REPAIR_LIMIT + 300 && request.contains("- /0kkk"), "{request}");
    }
}
