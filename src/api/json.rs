//! A strict JSON reader (RFC 8259) for what clients send.
//!
//! It exists because a general parser hides what this API must see: it refuses duplicate keys at
//! any depth, names the place of a violation as a JSON pointer (RFC 6901), bounds the depth, and
//! keeps numbers as the text that was sent, so that `9007199254740993` and `1.10` come back
//! unchanged. Integers must fit 64 bits and other numbers must be finite as `f64`; what does not
//! is refused, never rounded.

use std::fmt::Write as _;

mod reader;
mod write;

pub use reader::{items, lines, read};

/// How deeply arrays and objects may nest.
pub const DEPTH: usize = 64;

/// A JSON document as it was sent: numbers are text, object members keep their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it was written.
    Number(Box<str>),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object; its keys are distinct.
    Object(Vec<(String, Json)>),
}

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct JsonError {
    /// The kind of violation.
    pub kind: JsonErrorKind,
    /// Where: a JSON pointer, empty for the document or where the syntax ends.
    pub pointer: String,
}

/// The kinds of violations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonErrorKind {
    /// Not JSON.
    #[error("not valid JSON: {what} at byte {offset}")]
    Syntax {
        /// What was wrong.
        what: &'static str,
        /// Where, counted from 0.
        offset: usize,
    },
    /// The same key twice in one object.
    #[error("the key occurs twice in its object")]
    DuplicateKey,
    /// Nested too deeply.
    #[error("nested more than {DEPTH} levels deep")]
    TooDeep,
    /// A number that 64 bits cannot hold without loss.
    #[error("the number does not fit: integers must fit 64 bits, others must be finite doubles")]
    NumberOutOfRange,
}

impl Json {
    /// The name of the value's type, as JSON Schema calls it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// The value as a `serde_json::Value`, for validation against a schema.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(*b),
            Self::Number(text) => serde_json::from_str(text).unwrap_or_default(),
            Self::String(text) => Value::String(text.clone()),
            Self::Array(items) => items.iter().map(Self::to_value).collect(),
            Self::Object(members) => {
                Value::Object(members.iter().map(|(key, value)| (key.clone(), value.to_value())).collect())
            }
        }
    }
}

/// Appends one reference token to a JSON pointer, escaped (RFC 6901 §3).
pub fn push_pointer(pointer: &mut String, token: &str) {
    pointer.push('/');
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

/// Appends an array index to a JSON pointer.
pub fn push_index(pointer: &mut String, index: usize) {
    // Writing to a String cannot fail.
    let _ = write!(pointer, "/{index}");
}

#[cfg(test)]
mod tests;
