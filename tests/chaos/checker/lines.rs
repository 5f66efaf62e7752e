//! Reading the folder: a JSON object a line, one at a time, however long the file is.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use serde_json::Value;

/// One line. Fields that are absent or of another kind read as `None`.
pub(super) struct Row(Value);

impl Row {
    pub(super) fn of(value: Value) -> Self {
        Self(value)
    }

    pub(super) fn value(&self) -> &Value {
        &self.0
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// The text, or nothing at all.
    pub(super) fn word(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    /// Also a number that was written as text, as Redis does.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        as_number(self.get(name)?)
    }

    /// When, in unix microseconds of the harness's clock.
    pub(super) fn t(&self) -> u64 {
        self.number("t").unwrap_or_default()
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or(false)
    }
}

pub(super) fn as_number(value: &Value) -> Option<u64> {
    let float = |f: f64| (f >= 0.0 && f.is_finite()).then_some(f as u64);
    match value {
        Value::Number(n) => n.as_u64().or_else(|| n.as_f64().and_then(float)),
        Value::String(text) => text.parse().ok().or_else(|| text.parse::<f64>().ok().and_then(float)),
        _ => None,
    }
}

/// A history, up to a moment.
pub(super) struct Folder<'a> {
    pub(super) path: &'a Path,
    /// Lines after this moment are left alone, in unix microseconds.
    pub(super) until: u64,
}

impl Folder<'_> {
    /// Calls `see` with every line of `<name>.jsonl`; says whether the file was there.
    ///
    /// # Errors
    /// When it cannot be read, or a line is no JSON object.
    pub(super) fn each(&self, name: &str, mut see: impl FnMut(&Row)) -> Result<bool, String> {
        let path = self.path.join(format!("{name}.jsonl"));
        self.raw(name, |number, line| {
            let value = serde_json::from_str(line).map_err(|e| format!("{}:{number}: {e}", path.display()))?;
            let row = Row(value);
            if row.t() > self.until {
                return Ok(false);
            }
            see(&row);
            Ok(true)
        })
    }

    /// Calls `see` with the number and the text of every line, as long as it wants more.
    ///
    /// # Errors
    /// When the file cannot be read, and those of `see`.
    pub(super) fn raw(
        &self,
        name: &str,
        mut see: impl FnMut(usize, &str) -> Result<bool, String>,
    ) -> Result<bool, String> {
        let path = self.path.join(format!("{name}.jsonl"));
        let wrong = |e: std::io::Error| format!("{}: {e}", path.display());
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(wrong(e)),
        };
        let (mut reader, mut line, mut number) = (BufReader::with_capacity(1 << 20, file), String::new(), 0);
        loop {
            line.clear();
            if reader.read_line(&mut line).map_err(wrong)? == 0 {
                return Ok(true);
            }
            number += 1;
            if !line.trim().is_empty() && !see(number, line.trim_end())? {
                return Ok(true);
            }
        }
    }

    /// The text of a whole file; `None` when it is not there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn document(&self, name: &str) -> Result<Option<String>, String> {
        let path = self.path.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(format!("{}: {e}", path.display())),
        }
    }
}
