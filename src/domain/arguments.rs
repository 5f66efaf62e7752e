//! The digest of what a job would do: what an approval is given to.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{JobType, RawJson, Workspace};

/// SHA-256, in hex, of the canonical JSON of `{"input": …, "type": …, "workspace": …}`: the members of every object
/// sorted by the bytes of their names, no white space, numbers as they were written.
#[must_use]
pub fn arguments_digest(workspace: &Workspace, job_type: &JobType, input: &RawJson) -> String {
    let mut text = String::from("{\"input\":");
    canonical(input.as_str(), &mut text);
    text.push_str(&format!(",\"type\":\"{job_type}\",\"workspace\":\"{workspace}\"}}"));
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Stored documents were read by a reader that bounds their depth.
fn canonical(json: &str, out: &mut String) {
    let json = json.trim();
    if let Some(members) = parsed::<BTreeMap<String, &RawValue>>(json, '{') {
        out.push('{');
        for (i, (name, value)) in members.iter().enumerate() {
            out.push_str(if i > 0 { "," } else { "" });
            push_string(name, out);
            out.push(':');
            canonical(value.get(), out);
        }
        out.push('}');
    } else if let Some(items) = parsed::<Vec<&RawValue>>(json, '[') {
        out.push('[');
        for (i, item) in items.iter().enumerate() {
            out.push_str(if i > 0 { "," } else { "" });
            canonical(item.get(), out);
        }
        out.push(']');
    } else if let Some(text) = parsed::<String>(json, '"') {
        push_string(&text, out);
    } else {
        out.push_str(json);
    }
}

fn parsed<'a, T: serde::Deserialize<'a>>(json: &'a str, opening: char) -> Option<T> {
    json.starts_with(opening).then(|| serde_json::from_str(json).ok()).flatten()
}

fn push_string(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(workspace: &str, job_type: &str, input: &str) -> String {
        let (workspace, job_type) = (Workspace::new(workspace).unwrap(), JobType::new(job_type).unwrap());
        arguments_digest(&workspace, &job_type, &RawJson::from_compact(input))
    }

    #[test]
    fn the_order_of_members_and_the_way_of_writing_do_not_matter_and_all_else_does() {
        let first = digest("acme", "gmail.send", r#"{"to":["a"],"body":{"x":1,"é":"\u0041"}}"#);
        assert_eq!(first, digest("acme", "gmail.send", r#"{"body": {"\u00e9":"A", "x":1}, "to":[ "a" ]}"#));
        for other in [
            digest("other", "gmail.send", r#"{"to":["a"],"body":{"x":1,"é":"A"}}"#),
            digest("acme", "gmail.draft", r#"{"to":["a"],"body":{"x":1,"é":"A"}}"#),
            digest("acme", "gmail.send", r#"{"to":["b"],"body":{"x":1,"é":"A"}}"#),
            digest("acme", "gmail.send", r#"{"to":["a"],"body":{"x":1.0,"é":"A"}}"#),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn anyone_can_compute_it() {
        let text = r#"{"input":{"a":9007199254740993,"b":null},"type":"webhook.send","workspace":"acme"}"#;
        let expected: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest("acme", "webhook.send", r#"{"b":null,"a":9007199254740993}"#), expected);
    }
}
