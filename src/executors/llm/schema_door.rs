//! JSON Schemas that clients send: what is let in, and what checking against them may cost.
//!
//! A schema of a client is a program that a worker runs. So it is small, refers only to itself, its patterns take
//! linear time, and the steps of each check are bounded: references can make a small schema take exponential time.

use std::fmt;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value};

use crate::domain::clip_text;

/// The largest schema, in bytes of JSON.
const SIZE_LIMIT: usize = 64 * 1024;

/// The deepest schema.
const DEPTH_LIMIT: usize = 64;

/// The most patterns of one schema; each is compiled at the door and again before the run.
const PATTERNS_LIMIT: usize = 64;

/// Memory of one compiled pattern, in bytes.
const PATTERN_SIZE: usize = 128 * 1024;

/// Pairs of a part of the schema and a part of the answer that one check may look at: some 50 ms.
const STEPS_LIMIT: u32 = 200_000;

/// References that may stand inside one another without getting further into the answer, and parts of an answer.
const NESTING_LIMIT: u32 = 256;

/// Keywords with a schema, or a list of them, for the value itself.
const IN_PLACE: &[&str] = &["allOf", "anyOf", "oneOf", "not", "if", "then", "else"];

/// Keywords with a schema, or a list of them, that may be for any part of the value.
const FOR_PARTS: &[&str] = &[
    "items",
    "prefixItems",
    "additionalItems",
    "contains",
    "unevaluatedItems",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
];

/// Keywords with named schemas for the value itself.
const NAMED_IN_PLACE: &[&str] = &["dependentSchemas", "dependencies"];

/// Keywords whose contents are values, not schemas.
const VALUES: &[&str] = &["const", "enum", "default", "examples"];

/// A schema that was let in.
pub(super) struct ClientSchema {
    validator: Validator,
    schema: Value,
}

impl ClientSchema {
    /// Lets a schema in.
    ///
    /// # Errors
    /// A sentence for the client that says what is wrong with it.
    pub(super) fn new(schema: &Value) -> Result<Self, String> {
        if !schema.is_object() {
            return Err("it must be an object".into());
        }
        if schema.to_string().len() > SIZE_LIMIT {
            return Err(format!("it may have at most {SIZE_LIMIT} bytes"));
        }
        let mut patterns = 0;
        inspect(schema, schema, 0, &mut patterns)?;
        let patterns = PatternOptions::regex().size_limit(PATTERN_SIZE).dfa_size_limit(PATTERN_SIZE);
        let options = jsonschema::options().offline().with_pattern_options(patterns);
        let validator = options.build(schema).map_err(|e| refused(&e))?;
        Ok(Self { validator, schema: schema.clone() })
    }

    /// What is wrong with a value: at most `limit` pairs of a JSON Pointer into it and a sentence that repeats
    /// nothing of it. `None` when the check would take too many steps.
    pub(super) fn violations(&self, value: &Value, limit: usize) -> Option<Vec<(String, String)>> {
        let mut steps = Steps { root: &self.schema, left: STEPS_LIMIT };
        if !steps.afford(&self.schema, value, NESTING_LIMIT) {
            return None;
        }
        let errors = self.validator.iter_errors(value).take(limit);
        Some(errors.map(|e| (e.instance_path().as_str().to_owned(), e.masked().to_string())).collect())
    }
}

impl fmt::Debug for ClientSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSchema").finish_non_exhaustive()
    }
}

fn refused(error: &ValidationError<'_>) -> String {
    let said = clip_text(&error.to_string(), 300);
    match error.kind() {
        ValidationErrorKind::Format { format } if format == "regex" => {
            format!("{said}: patterns may not look around, refer back or be large")
        }
        _ => said,
    }
}

/// Looks for what the compiler of schemas would let in.
fn inspect(root: &Value, part: &Value, depth: usize, patterns: &mut usize) -> Result<(), String> {
    if depth > DEPTH_LIMIT {
        return Err(format!("it may be at most {DEPTH_LIMIT} levels deep"));
    }
    match part {
        Value::Array(items) => items.iter().try_for_each(|item| inspect(root, item, depth + 1, patterns)),
        Value::Object(fields) => {
            keywords(root, fields, depth, patterns)?;
            let inner = fields.iter().filter(|(name, _)| !VALUES.contains(&name.as_str()));
            inner.map(|(_, inner)| inner).try_for_each(|inner| inspect(root, inner, depth + 1, patterns))
        }
        _ => Ok(()),
    }
}

fn keywords(root: &Value, fields: &Map<String, Value>, depth: usize, patterns: &mut usize) -> Result<(), String> {
    if let Some(Value::String(target)) = fields.get("$ref") {
        let inside = target.strip_prefix('#').filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
        let pointer = inside.ok_or("`$ref` may only be `#` or `#/…`, a place in the schema itself")?;
        if pointer.contains('%') {
            return Err("`$ref` may not contain `%`".into());
        }
        root.pointer(pointer).ok_or_else(|| format!("`$ref`: there is no {}", clip_text(target, 100)))?;
    }
    for name in ["$dynamicRef", "$recursiveRef"] {
        if fields.get(name).is_some_and(Value::is_string) {
            return Err(format!("`{name}` is not supported"));
        }
    }
    // A name of its own would change what the references below it mean.
    if depth > 0 && fields.get("$id").or_else(|| fields.get("id")).is_some_and(Value::is_string) {
        return Err("`$id` may only stand at the top".into());
    }
    *patterns += usize::from(fields.get("pattern").is_some_and(Value::is_string));
    *patterns += fields.get("patternProperties").and_then(Value::as_object).map_or(0, Map::len);
    if *patterns > PATTERNS_LIMIT {
        return Err(format!("it may have at most {PATTERNS_LIMIT} patterns"));
    }
    Ok(())
}

/// Counts what a check may look at in the worst case, without checking anything.
struct Steps<'a> {
    root: &'a Value,
    left: u32,
}

impl Steps<'_> {
    fn afford(&mut self, schema: &Value, value: &Value, nesting: u32) -> bool {
        let (Some(left), Some(nesting)) = (self.left.checked_sub(1), nesting.checked_sub(1)) else { return false };
        self.left = left;
        let Value::Object(fields) = schema else { return true };
        fields.iter().all(|(keyword, inner)| {
            let keyword = keyword.as_str();
            if keyword == "$ref" {
                let root = self.root;
                let target = inner.as_str().and_then(|text| root.pointer(text.strip_prefix('#')?));
                return target.is_none_or(|target| self.afford(target, value, nesting));
            }
            if keyword == "properties" {
                let mut schemas = inner.as_object().into_iter().flatten();
                return schemas
                    .all(|(name, schema)| value.get(name).is_none_or(|part| self.afford(schema, part, nesting)));
            }
            if keyword == "patternProperties" {
                return parts(value).all(|part| named(inner).all(|schema| self.afford(schema, part, nesting)));
            }
            if NAMED_IN_PLACE.contains(&keyword) {
                return named(inner).all(|schema| self.afford(schema, value, nesting));
            }
            if IN_PLACE.contains(&keyword) {
                return listed(inner).all(|schema| self.afford(schema, value, nesting));
            }
            !FOR_PARTS.contains(&keyword)
                || parts(value).all(|part| listed(inner).all(|schema| self.afford(schema, part, nesting)))
        })
    }
}

fn listed(inner: &Value) -> impl Iterator<Item = &Value> {
    std::slice::from_ref(inner).iter().filter(|inner| inner.is_object()).chain(inner.as_array().into_iter().flatten())
}

fn named(inner: &Value) -> impl Iterator<Item = &Value> {
    inner.as_object().into_iter().flat_map(Map::values)
}

fn parts(value: &Value) -> impl Iterator<Item = &Value> {
    let items = value.as_array().into_iter().flatten();
    items.chain(value.as_object().into_iter().flat_map(Map::values))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(schema: Value) -> String {
        ClientSchema::new(&schema).unwrap_err()
    }

    #[test]
    fn what_tools_generate_is_let_in() {
        let node = json!({"type": "object", "properties": {"value": {"type": "number"},
            "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["value", "next"], "additionalProperties": false});
        let list = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:list",
            "$defs": {"node": node}, "type": "object", "properties": {"list": {"$ref": "#/$defs/node"}}});
        let schema = ClientSchema::new(&list).unwrap();
        let long = (0..60).fold(Value::Null, |next, _| json!({"value": 1, "next": next}));
        assert_eq!(schema.violations(&json!({"list": long}), 9), Some(Vec::new()));
        let wrong = schema.violations(&json!({"list": {"value": "x", "next": null}}), 9).unwrap();
        assert_eq!(wrong, [("/list/value".to_owned(), "value is not of type \"number\"".to_owned())]);
        let tree = json!({"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}});
        let wide = json!({"children": vec![json!({"children": []}); 5_000]});
        assert_eq!(ClientSchema::new(&tree).unwrap().violations(&wide, 9), Some(Vec::new()));
    }

    #[test]
    fn bad_schemas_are_refused_with_a_reason() {
        let deep = (0..100).fold(json!({}), |inner, _| json!({"items": inner}));
        let patterns: Vec<Value> = (0..100).map(|_| json!({"pattern": "a"})).collect();
        for (schema, reason) in [
            (json!(true), "an object"),
            (json!({"type": "objekt"}), "objekt"),
            (json!({"$ref": "https://example.com/schema.json"}), "in the schema itself"),
            (json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}}), "in the schema itself"),
            (json!({"$ref": "#anchor"}), "in the schema itself"),
            (json!({"$ref": "#/$defs/none"}), "there is no #/$defs/none"),
            (json!({"$dynamicRef": "#x"}), "not supported"),
            (json!({"items": {"$id": "http://x/y"}}), "only stand at the top"),
            (json!({"description": "x".repeat(70_000)}), "65536 bytes"),
            (deep, "levels deep"),
            (json!({"allOf": patterns}), "64 patterns"),
            (json!({"pattern": "(?=x)"}), "may not look around"),
            (json!({"pattern": "(((a{99}){99}){99}){99}"}), "be large"),
        ] {
            let said = refusal(schema.clone());
            assert!(said.contains(reason), "{schema}: {said}");
        }
        assert!(
            ClientSchema::new(&json!({"properties": {"id": {"type": "string"}, "$ref": {"type": "string"}}})).is_ok()
        );
        assert!(ClientSchema::new(&json!({"enum": [{"$ref": "http://x"}]})).is_ok());
    }

    #[test]
    fn a_check_that_would_not_end_is_not_begun() {
        let circle = ClientSchema::new(&json!({"allOf": [{"$ref": "#"}]})).unwrap();
        assert_eq!(circle.violations(&json!({}), 9), None);

        let double =
            |to: usize| json!({"allOf": [{"$ref": format!("#/$defs/d{to}")}, {"$ref": format!("#/$defs/d{to}")}]});
        let mut defs: Map<String, Value> = (0..40).map(|n| (format!("d{n}"), double(n + 1))).collect();
        defs.insert("d40".into(), json!({"type": "object"}));
        let doubling = ClientSchema::new(&json!({"$defs": defs, "$ref": "#/$defs/d0"})).unwrap();
        assert_eq!(doubling.violations(&json!({}), 9), None);

        let twice = json!({"properties": {"a": {"$ref": "#"}}, "allOf": [{"properties": {"a": {"$ref": "#"}}}]});
        let twice = ClientSchema::new(&twice).unwrap();
        let nested = |depth: usize| (0..depth).fold(json!({}), |inner, _| json!({"a": inner}));
        assert_eq!(twice.violations(&nested(60), 9), None);
        assert_eq!(twice.violations(&nested(8), 9), Some(Vec::new()));
    }
}
