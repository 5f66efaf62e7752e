//! Reading the fields of an object: every field is taken once, and what is left is unknown.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{NameError, Timestamp};

use super::json::{Json, push_pointer};
use super::{ErrorCode, FieldError, Problem};

/// Takes fields out of an object and collects what is wrong with them.
pub(super) struct Fields {
    members: Vec<(String, Json)>,
    errors: Vec<(ErrorCode, FieldError)>,
}

fn pointer(key: &str) -> String {
    let mut out = String::new();
    push_pointer(&mut out, key);
    out
}

impl Fields {
    /// # Errors
    /// When the document is not an object.
    pub(super) fn of(json: Json) -> Result<Self, Box<Problem>> {
        match json {
            Json::Object(members) => Ok(Self { members, errors: Vec::new() }),
            other => {
                let detail = format!("must be an object, not {}", other.type_name());
                Err(refuse(vec![(ErrorCode::InvalidField, FieldError::new("", detail))]))
            }
        }
    }

    pub(super) fn fail(&mut self, code: ErrorCode, key: &str, detail: impl Into<String>) {
        self.errors.push((code, FieldError::new(pointer(key), detail)));
    }

    /// Whether the field is there and not null.
    pub(super) fn has(&self, key: &str) -> bool {
        self.members.iter().any(|(k, v)| k == key && *v != Json::Null)
    }

    /// Something is wrong with the object as a whole.
    pub(super) fn fail_here(&mut self, code: ErrorCode, detail: impl Into<String>) {
        self.errors.push((code, FieldError::new("", detail)));
    }

    /// The field's value, `None` when it is absent or null.
    pub(super) fn take(&mut self, key: &str) -> Option<Json> {
        match self.take_even_null(key) {
            Some(Json::Null) | None => None,
            value => value,
        }
    }

    /// The field's value, null included.
    pub(super) fn take_even_null(&mut self, key: &str) -> Option<Json> {
        let at = self.members.iter().position(|(k, _)| k == key)?;
        Some(self.members.swap_remove(at).1)
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.take(key)? {
            Json::String(text) => Some(text),
            other => {
                self.fail(ErrorCode::InvalidField, key, format!("must be a string, not {}", other.type_name()));
                None
            }
        }
    }

    /// A text for people: at most `limit` bytes without control characters.
    pub(super) fn short_text(&mut self, key: &str, limit: usize) -> Option<String> {
        let text = self.text(key)?;
        if text.len() > limit || text.chars().any(char::is_control) {
            let detail = format!("must be at most {limit} bytes without control characters");
            self.fail(ErrorCode::InvalidField, key, detail);
        }
        Some(text)
    }

    /// A text parsed by its rule, whose message goes to the client.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(ErrorCode::InvalidField, key, error.to_string());
                None
            }
        }
    }

    /// A name that must be there.
    pub(super) fn required<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, NameError>) -> Option<T> {
        self.demanded(key, parse)
    }

    /// A whole number within bounds.
    pub(super) fn integer(&mut self, key: &str, low: u64, high: u64) -> Option<u64> {
        let number = match self.take(key)? {
            Json::Number(text) => text.parse::<u64>().ok().filter(|n| (low..=high).contains(n)),
            _ => None,
        };
        if number.is_none() {
            self.fail(ErrorCode::InvalidField, key, format!("must be a whole number from {low} to {high}"));
        }
        number
    }

    /// An object, read by `read`; what is wrong inside is named by its whole pointer.
    pub(super) fn object<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let members = match self.take(key)? {
            Json::Object(members) => members,
            other => {
                self.fail(ErrorCode::InvalidField, key, format!("must be an object, not {}", other.type_name()));
                return None;
            }
        };
        let mut inner = Self { members, errors: Vec::new() };
        let value = read(&mut inner);
        for (code, mut error) in inner.wrong() {
            error.pointer.insert_str(0, &pointer(key));
            self.errors.push((code, error));
        }
        Some(value)
    }

    /// An object whose members have names of their own; each has to be an object, and is read by `read`.
    pub(super) fn map<T>(
        &mut self,
        key: &str,
        most: usize,
        mut read: impl FnMut(&str, &mut Self) -> T,
    ) -> BTreeMap<String, T> {
        let mut map = BTreeMap::new();
        self.object(key, |inner| {
            let names: Vec<String> = inner.members.iter().map(|(name, _)| name.clone()).collect();
            if names.len() > most {
                inner.members.clear();
                inner.fail_here(ErrorCode::InvalidField, format!("must have at most {most} members"));
                return;
            }
            for name in names {
                if inner.members.iter().any(|(known, value)| *known == name && *value == Json::Null) {
                    inner.take(&name);
                    inner.fail(ErrorCode::InvalidField, &name, "must be an object, not null");
                }
                map.extend(inner.object(&name, |member| read(&name, member)).map(|value| (name.clone(), value)));
            }
        });
        map
    }

    /// An array of 1 to `most` texts, each parsed by its rule.
    pub(super) fn list<T, E: std::fmt::Display>(
        &mut self,
        key: &str,
        most: usize,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let items = match self.take(key)? {
            Json::Array(items) if (1..=most).contains(&items.len()) => items,
            _ => {
                self.fail(ErrorCode::InvalidField, key, format!("must be an array of 1 to {most} strings"));
                return None;
            }
        };
        let mut list = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            let parsed = match item {
                Json::String(text) => parse(text).map_err(|error| error.to_string()),
                other => Err(format!("must be a string, not {}", other.type_name())),
            };
            match parsed {
                Ok(value) => list.push(value),
                Err(detail) => {
                    let at = FieldError::new(format!("{}/{i}", pointer(key)), detail);
                    self.errors.push((ErrorCode::InvalidField, at));
                }
            }
        }
        Some(list)
    }

    /// One text, or an array of 1 to `most` texts, each parsed by its rule.
    pub(super) fn one_or_more<T, E: std::fmt::Display>(
        &mut self,
        key: &str,
        most: usize,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        if self.members.iter().any(|(k, v)| k == key && matches!(v, Json::String(_))) {
            return self.parsed(key, parse).map(|one| vec![one]);
        }
        self.list(key, most, parse)
    }

    /// An object with at most `most` members, all texts.
    pub(super) fn texts(&mut self, key: &str, most: usize) -> BTreeMap<String, String> {
        let read = |inner: &mut Self| {
            if inner.members.len() > most {
                inner.members.clear();
                inner.fail_here(ErrorCode::InvalidField, format!("must have at most {most} members"));
            }
            let names: Vec<String> = inner.members.iter().map(|(name, _)| name.clone()).collect();
            names.into_iter().map(|name| (name.clone(), inner.demanded(&name, plain).unwrap_or_default())).collect()
        };
        self.object(key, read).unwrap_or_default()
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        match self.take(key)? {
            Json::Bool(flag) => Some(flag),
            other => {
                self.fail(ErrorCode::InvalidField, key, format!("must be true or false, not {}", other.type_name()));
                None
            }
        }
    }

    /// A text that must be there, parsed by its rule.
    pub(super) fn demanded<T, E: std::fmt::Display>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if !self.has(key) {
            self.take(key);
            self.fail(ErrorCode::MissingField, key, "is required");
            return None;
        }
        self.parsed(key, parse)
    }

    pub(super) fn time(&mut self, key: &str) -> Option<Timestamp> {
        self.parsed(key, Timestamp::parse)
    }

    pub(super) fn millis(&mut self, key: &str, (low, high): (Duration, Duration)) -> Option<Duration> {
        let bound = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        self.integer(key, bound(low), bound(high)).map(Duration::from_millis)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Everything that was wrong, unknown fields first: their code is the one a client that
    /// speaks another dialect should see.
    pub(super) fn finish(self) -> Result<(), Box<Problem>> {
        let errors = self.wrong();
        if errors.is_empty() { Ok(()) } else { Err(refuse(errors)) }
    }

    fn wrong(mut self) -> Vec<(ErrorCode, FieldError)> {
        let mut errors: Vec<_> = self
            .members
            .drain(..)
            .map(|(key, _)| (ErrorCode::UnknownField, FieldError::new(pointer(&key), "is not a field of this API")))
            .collect();
        errors.append(&mut self.errors);
        errors
    }
}

/// A text as it is.
fn plain(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(text.to_owned())
}

/// A refusal under the code of its first error, with at most 20 of them.
pub(super) fn refuse(errors: Vec<(ErrorCode, FieldError)>) -> Box<Problem> {
    let Some((code, first)) = errors.first() else {
        return Box::new(Problem::new(ErrorCode::InvalidField, ""));
    };
    let place = if first.pointer.is_empty() { "the body" } else { first.pointer.as_str() };
    let mut problem = Problem::new(*code, format!("{} {}", crate::domain::clip_text(place, 200), first.detail));
    problem.errors = errors.into_iter().take(20).map(|(_, error)| error).collect();
    Box::new(problem)
}
