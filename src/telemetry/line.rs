//! One log line: a flat JSON object with the fields that everyone knows first.

use serde_json::Value;
use tracing::Level;

use crate::domain::{AUDIT, clip_text};

/// The longest text of a field, in bytes.
const TEXT: usize = 8 << 10;

/// The target of the line that every request leaves.
const ACCESS: &str = "windlass::access";

/// What every line says of itself; a field with such a name would stand twice.
const OWN: [(&str, &str); 5] = [
    ("timestamp", "timestamp_"),
    ("level", "level_"),
    ("service", "service_"),
    ("stream", "stream_"),
    ("target", "target_"),
];

/// A field whose text is a list, separated by commas.
const LIST: &str = "user_roles";

/// A line and what it is.
#[derive(Debug)]
pub(super) struct Line {
    /// JSON and a newline.
    pub(super) text: Vec<u8>,
    /// Which files it goes to.
    pub(super) about: About,
}

/// What kind of line it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    /// Of level ERROR.
    pub(super) error: bool,
    /// Who did what.
    pub(super) audit: bool,
}

/// Fields in the order they came; a later one takes the place of an earlier one with its name.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    pub(super) fn put(&mut self, name: &'static str, value: Value) {
        let name = OWN.iter().find(|(own, _)| *own == name).map_or(name, |(_, other)| other);
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((name, value)),
        }
    }

    pub(super) fn put_text(&mut self, name: &'static str, text: &str) {
        let value = match name {
            LIST => text.split(',').filter(|part| !part.is_empty()).map(Value::from).collect(),
            // Newlines are escaped by JSON, and what a terminal would obey is replaced.
            _ => Value::from(clip_text(text, TEXT)),
        };
        self.put(name, value);
    }

    pub(super) fn extend(&mut self, other: &Self) {
        other.0.iter().for_each(|(name, value)| self.put(name, value.clone()));
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(at).1)
    }
}

/// The levels as the sources of the runbook write them: DEBUG, INFO, WARNING, ERROR.
fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}

/// Puts a line together.
pub(super) fn line(service: &str, target: &str, level: Level, mut fields: Fields) -> Line {
    let about = About { error: level == Level::ERROR, audit: target == AUDIT };
    let stream = match target {
        AUDIT => "audit",
        ACCESS => "access",
        _ => "app",
    };
    let message = fields.take("message").unwrap_or_default();
    let now = crate::clock::wall().to_string();
    let head: [(&str, Value); 6] = [
        ("timestamp", now.into()),
        ("level", word(level).into()),
        ("service", service.into()),
        ("stream", stream.into()),
        ("target", target.into()),
        ("message", message),
    ];
    let mut text = Vec::with_capacity(256);
    let all =
        head.iter().map(|(name, value)| (*name, value)).chain(fields.0.iter().map(|(name, value)| (*name, value)));
    for (at, (name, value)) in all.enumerate() {
        text.push(if at == 0 { b'{' } else { b',' });
        // Writing JSON into memory cannot fail.
        let _ = serde_json::to_writer(&mut text, name);
        text.push(b':');
        let _ = serde_json::to_writer(&mut text, value);
    }
    text.extend_from_slice(b"}\n");
    Line { text, about }
}
