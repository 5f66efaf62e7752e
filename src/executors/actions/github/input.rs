//! The inputs of the GitHub actions and their schemas.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Bytes of a body: GitHub takes 65,536 characters, and the mark has to fit too.
const BODY: usize = 65_000;

/// Which action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    IssueCreate,
    IssueUpdate,
    IssueClose,
    IssueComment,
    IssueList,
    PrCreate,
    PrList,
    PrComment,
}

impl Verb {
    pub(super) const ALL: [Self; 8] = [
        Self::IssueCreate,
        Self::IssueUpdate,
        Self::IssueClose,
        Self::IssueComment,
        Self::IssueList,
        Self::PrCreate,
        Self::PrList,
        Self::PrComment,
    ];

    /// The type's name and what it is for.
    pub(super) fn about(self) -> (&'static str, &'static str) {
        match self {
            Self::IssueCreate => ("github.issue.create", "Opens an issue at GitHub."),
            Self::IssueUpdate => ("github.issue.update", "Changes an issue at GitHub."),
            Self::IssueClose => ("github.issue.close", "Closes an issue at GitHub."),
            Self::IssueComment => ("github.issue.comment", "Comments on an issue at GitHub."),
            Self::IssueList => ("github.issue.list", "Lists issues at GitHub."),
            Self::PrCreate => ("github.pr.create", "Opens a pull request at GitHub."),
            Self::PrList => ("github.pr.list", "Lists pull requests at GitHub."),
            Self::PrComment => ("github.pr.comment", "Comments on a pull request at GitHub."),
        }
    }

    /// Fields that have to be there, and fields that may.
    fn fields(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::IssueCreate => (&["title"], &["body", "labels", "assignees", "milestone"]),
            Self::IssueUpdate => {
                (&["number"], &["title", "body", "labels", "assignees", "milestone", "state", "state_reason"])
            }
            Self::IssueClose => (&["number"], &["state_reason"]),
            Self::IssueComment | Self::PrComment => (&["number", "body"], &[]),
            Self::IssueList => (&[], &["state", "labels", "since", "limit", "page"]),
            Self::PrCreate => (&["title", "head", "base"], &["body", "draft", "maintainer_can_modify"]),
            Self::PrList => (&[], &["state", "head", "base", "limit", "page"]),
        }
    }

    fn states(self) -> &'static [&'static str] {
        if matches!(self, Self::IssueUpdate) { &["open", "closed"] } else { &["open", "closed", "all"] }
    }

    /// JSON Schema of the input.
    pub(super) fn schema(self) -> Value {
        let (required, optional) = self.fields();
        let mut properties = Map::new();
        for name in required.iter().chain(optional).chain(&["owner", "repo", "credential"]) {
            properties.insert((*name).to_owned(), self.property(name));
        }
        json!({"type": "object", "required": required, "additionalProperties": false, "properties": properties})
    }

    fn property(self, name: &str) -> Value {
        let names = |most: usize, length: usize| {
            let item = json!({"type": "string", "minLength": 1, "maxLength": length});
            json!({"type": "array", "maxItems": most, "items": item})
        };
        let text = |length: usize| json!({"type": "string", "minLength": 1, "maxLength": length});
        let number = |most: u64| json!({"type": "integer", "minimum": 1, "maximum": most});
        match name {
            "title" => text(256),
            "body" => json!({"type": "string", "maxLength": BODY, "description": "Markdown."}),
            "labels" => names(50, 50),
            "assignees" => names(10, 39),
            "state" => json!({"enum": self.states()}),
            "state_reason" => json!({"enum": ["completed", "not_planned"]}),
            "head" | "base" => text(255),
            "draft" | "maintainer_can_modify" => json!({"type": "boolean"}),
            "since" => json!({"type": "string", "maxLength": 40, "description": "Changed since; RFC 3339."}),
            "limit" => number(100),
            "page" => number(1000),
            "owner" => json!({"type": "string", "maxLength": 39, "description": "Default: GITHUB_OWNER."}),
            "repo" => json!({"type": "string", "maxLength": 100, "description": "Default: GITHUB_REPO."}),
            "credential" => {
                json!({"type": "string", "minLength": 1, "maxLength": 64, "description": "One of kind `github`."})
            }
            _ => number(1 << 53),
        }
    }
}

/// Input of any of them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Input {
    pub(super) owner: Option<String>,
    pub(super) repo: Option<String>,
    pub(super) credential: Option<String>,
    pub(super) number: Option<u64>,
    pub(super) title: Option<String>,
    pub(super) body: Option<String>,
    pub(super) labels: Option<Vec<String>>,
    pub(super) assignees: Option<Vec<String>>,
    pub(super) milestone: Option<u64>,
    pub(super) state: Option<String>,
    pub(super) state_reason: Option<String>,
    pub(super) head: Option<String>,
    pub(super) base: Option<String>,
    pub(super) draft: Option<bool>,
    pub(super) maintainer_can_modify: Option<bool>,
    pub(super) since: Option<String>,
    pub(super) limit: Option<u64>,
    pub(super) page: Option<u64>,
}

impl Input {
    /// What the schema cannot say.
    pub(super) fn check(&self, verb: Verb) -> Result<(), String> {
        let (required, _) = verb.fields();
        for name in required {
            let there = match *name {
                "title" => self.title.as_ref().is_some_and(|title| !title.trim().is_empty()),
                "body" => self.body.as_ref().is_some_and(|body| !body.trim().is_empty()),
                "head" => self.head.is_some(),
                "base" => self.base.is_some(),
                _ => self.number.is_some(),
            };
            if !there {
                return Err(format!("{name}: missing or blank"));
            }
        }
        let texts = [&self.title, &self.head, &self.base];
        if texts.into_iter().flatten().any(|text| text.chars().any(char::is_control)) {
            return Err("title, head, base: control characters are not allowed".to_owned());
        }
        if self.since.as_ref().is_some_and(|since| crate::domain::Timestamp::parse(since).is_err()) {
            return Err("since: must be an RFC 3339 time with a zone".to_owned());
        }
        let changes = self.title.is_some()
            || self.body.is_some()
            || self.labels.is_some()
            || self.assignees.is_some()
            || self.milestone.is_some()
            || self.state.is_some();
        if verb == Verb::IssueUpdate && !changes {
            return Err(
                "nothing to change: name at least one of title, body, labels, assignees, milestone, state".into()
            );
        }
        if verb == Verb::IssueUpdate && self.state_reason.is_some() && self.state.as_deref() != Some("closed") {
            return Err("state_reason: goes with state `closed` only".into());
        }
        Ok(())
    }
}
