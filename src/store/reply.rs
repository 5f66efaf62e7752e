//! Reading script replies: shapes are checked, never assumed.

use std::borrow::Cow;

use fred::prelude::Value;

use super::StoreError;
use crate::domain::Timestamp;

/// A cursor over an array reply.
pub(super) struct Reply {
    items: std::vec::IntoIter<Value>,
}

impl Reply {
    pub(super) fn array(value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Array(items) => Ok(Self { items: items.into_iter() }),
            Value::Null => Ok(Self { items: Vec::new().into_iter() }),
            other => Err(corrupt(&format!("expected an array, got {:?}", other.kind()))),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn value(&mut self) -> Result<Value, StoreError> {
        self.items.next().ok_or_else(|| corrupt("the reply is too short"))
    }

    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        text(self.value()?)
    }

    pub(super) fn int(&mut self) -> Result<i64, StoreError> {
        int(&self.value()?)
    }

    pub(super) fn nested(&mut self) -> Result<Self, StoreError> {
        Self::array(self.value()?)
    }

    /// The rest as texts.
    pub(super) fn texts(&mut self) -> Result<Vec<String>, StoreError> {
        self.items.by_ref().map(text).collect()
    }

    /// The rest as pairs of texts.
    pub(super) fn pairs(&mut self) -> Result<Vec<(String, String)>, StoreError> {
        let mut pairs = Vec::with_capacity(self.items.len() / 2);
        while let (Some(first), Some(second)) = (self.items.next(), self.items.next()) {
            pairs.push((text(first)?, text(second)?));
        }
        Ok(pairs)
    }
}

/// Texts are UTF-8, because only this engine writes them.
pub(super) fn text(value: Value) -> Result<String, StoreError> {
    match value {
        Value::Null => Ok(String::new()),
        other => other.into_string().ok_or_else(|| corrupt("expected text")),
    }
}

/// A score that is a time: whole milliseconds.
#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "scores of times are below 2^53")]
pub(super) fn whole_ms(score: f64) -> Timestamp {
    Timestamp::from_unix_ms(score as i64)
}

/// The text of a value, without a copy.
pub(super) fn text_of(value: &Value) -> Result<Cow<'_, str>, StoreError> {
    value.as_str().ok_or_else(|| corrupt("expected text"))
}

pub(super) fn int(value: &Value) -> Result<i64, StoreError> {
    value.as_i64().ok_or_else(|| corrupt("expected a whole number"))
}

pub(super) fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(what.to_owned())
}
