//! What is sent to GitHub, and what of its answers is kept.

use serde_json::{Map, Value, json};

use crate::domain::{RawJson, Timestamp, clip_text};

use super::Repository;
use super::input::{Input, Verb};

/// Bytes of a title or a name in a list.
const NAME_LIMIT: usize = 256;

/// What an action sends; `mark` goes into the body of what is created.
pub(super) fn document(verb: Verb, input: &Input, mark: &str) -> Value {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    };
    let marked = || super::super::marker::marked(input.body.as_deref().unwrap_or_default(), mark);
    match verb {
        Verb::IssueCreate | Verb::IssueUpdate => {
            set("title", input.title.clone().map(Value::from));
            let body = if verb == Verb::IssueCreate { Some(marked()) } else { input.body.clone() };
            set("body", body.map(Value::from));
            set("labels", input.labels.clone().map(Value::from));
            set("assignees", input.assignees.clone().map(Value::from));
            set("milestone", input.milestone.map(Value::from));
            set("state", input.state.clone().map(Value::from));
            set("state_reason", input.state_reason.clone().map(Value::from));
        }
        Verb::IssueClose => {
            set("state", Some("closed".into()));
            set("state_reason", Some(input.state_reason.clone().unwrap_or_else(|| "completed".to_owned()).into()));
        }
        Verb::IssueComment | Verb::PrComment => set("body", Some(marked().into())),
        Verb::PrCreate => {
            set("title", input.title.clone().map(Value::from));
            set("body", Some(marked().into()));
            set("head", input.head.clone().map(Value::from));
            set("base", input.base.clone().map(Value::from));
            set("draft", input.draft.map(Value::from));
            set("maintainer_can_modify", input.maintainer_can_modify.map(Value::from));
        }
        Verb::IssueList | Verb::PrList => {}
    }
    Value::Object(fields)
}

/// The query of a list.
pub(super) fn query(verb: Verb, input: &Input, owner: &str) -> Vec<(&'static str, String)> {
    let mut query = vec![
        ("state", input.state.clone().unwrap_or_else(|| "open".to_owned())),
        ("sort", "created".to_owned()),
        ("direction", "desc".to_owned()),
        ("per_page", input.limit.unwrap_or(30).to_string()),
        ("page", input.page.unwrap_or(1).to_string()),
    ];
    if let Some(labels) = &input.labels {
        query.push(("labels", labels.join(",")));
    }
    if let Some(since) = input.since.as_deref().and_then(|since| Timestamp::parse(since).ok()) {
        query.push(("since", seconds(since)));
    }
    if verb == Verb::PrList {
        query.extend(input.head.as_ref().map(|head| ("head", full_head(head, owner))));
        query.extend(input.base.clone().map(|base| ("base", base)));
    }
    query
}

/// GitHub filters by `owner:branch`.
pub(super) fn full_head(head: &str, owner: &str) -> String {
    if head.contains(':') { head.to_owned() } else { format!("{owner}:{head}") }
}

/// A time as GitHub writes it, in whole seconds.
pub(super) fn seconds(at: Timestamp) -> String {
    let text = at.to_string();
    text.split_once('.').map_or(text.clone(), |(whole, _)| format!("{whole}Z"))
}

/// What proves an issue or a pull request to people.
pub(in crate::executors::actions) fn issue_receipt(repository: &Repository, item: &Value) -> RawJson {
    RawJson::from_value(&json!({
        "repository": repository.to_string(),
        "number": item["number"].as_u64(),
        "state": item["state"].as_str().map(|text| clip_text(text, 32)),
        "url": item["html_url"].as_str().map(|text| clip_text(text, 1024)),
    }))
}

/// What proves a comment to people.
pub(super) fn comment_receipt(repository: &Repository, number: u64, item: &Value) -> RawJson {
    RawJson::from_value(&json!({
        "repository": repository.to_string(),
        "number": number,
        "comment_id": item["id"].as_u64(),
        "url": item["html_url"].as_str().map(|text| clip_text(text, 1024)),
    }))
}

/// A list as a result: what tells its entries apart, without their bodies. GitHub counts pull requests among issues;
/// they are left out.
pub(super) fn list_result(verb: Verb, repository: &Repository, items: &[Value]) -> RawJson {
    let text = |value: &Value| value.as_str().map(|text| clip_text(text, NAME_LIMIT));
    let names = |list: &Value| {
        let all = list.as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().take(100).filter_map(|label| text(&label["name"])).collect::<Vec<_>>()
    };
    let one = |item: &Value| {
        let mut entry = json!({
            "number": item["number"].as_u64(),
            "title": text(&item["title"]),
            "state": text(&item["state"]),
            "author": text(&item["user"]["login"]),
            "labels": names(&item["labels"]),
            "created_at": text(&item["created_at"]),
            "updated_at": text(&item["updated_at"]),
            "url": item["html_url"].as_str().map(|text| clip_text(text, 1024)),
        });
        if verb == Verb::PrList {
            entry["head"] = json!(text(&item["head"]["ref"]));
            entry["base"] = json!(text(&item["base"]["ref"]));
            entry["draft"] = json!(item["draft"].as_bool());
        }
        entry
    };
    let own = items.iter().filter(|item| verb == Verb::PrList || item.get("pull_request").is_none());
    let entries: Vec<Value> = own.map(one).collect();
    RawJson::from_value(&json!({"repository": repository.to_string(), "count": entries.len(), "items": entries}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_whole_seconds() {
        assert_eq!(seconds(Timestamp::parse("2026-01-31T09:00:00.123Z").unwrap()), "2026-01-31T09:00:00Z");
    }

    #[test]
    fn pull_requests_are_no_issues() {
        let repository = Repository::new("a", "b").unwrap();
        let items = [json!({"number": 1, "title": "x"}), json!({"number": 2, "pull_request": {}})];
        let result = list_result(Verb::IssueList, &repository, &items).to_value();
        assert_eq!((&result["count"], &result["items"][0]["number"]), (&json!(1), &json!(1)));
    }

    #[test]
    fn a_branch_without_an_owner_is_the_repositorys() {
        assert_eq!((full_head("x", "acme"), full_head("me:x", "acme")), ("acme:x".to_owned(), "me:x".to_owned()));
    }
}
