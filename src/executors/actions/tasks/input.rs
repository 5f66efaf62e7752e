//! The input of `task.create`.

use serde::Deserialize;
use serde_json::{Value, json};

/// Characters of a title: what Google Tasks takes.
const TITLE: usize = 1024;

/// Characters of a title at GitHub.
const GITHUB_TITLE: usize = 256;

/// Characters of notes at Google Tasks, its mark included.
pub(super) const NOTES: usize = 8192;

/// Room for the mark and the empty line before it.
const MARK: usize = 64;

/// Where the task goes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Provider {
    Google,
    Microsoft,
    Github,
}

/// Input of one `task.create` job.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TaskInput {
    pub(super) provider: Provider,
    pub(super) title: String,
    #[serde(default)]
    pub(super) notes: Option<String>,
    /// A day; none of the services keeps a time.
    #[serde(default)]
    pub(super) due: Option<String>,
    /// The id of a list, at Google and Microsoft.
    #[serde(default)]
    pub(super) list: Option<String>,
    #[serde(default)]
    pub(super) owner: Option<String>,
    #[serde(default)]
    pub(super) repo: Option<String>,
    #[serde(default)]
    pub(super) credential: Option<String>,
}

impl TaskInput {
    /// What the schema cannot say.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.title.trim().is_empty() || self.title.chars().any(char::is_control) {
            return Err("title: blank, or with control characters".to_owned());
        }
        let most = if self.provider == Provider::Github { GITHUB_TITLE } else { TITLE };
        if self.title.chars().count() > most {
            return Err(format!("title: at most {most} characters at this provider"));
        }
        if self.notes.as_ref().is_some_and(|notes| notes.chars().count() > NOTES - MARK) {
            return Err(format!("notes: at most {} characters, so that the mark of the effect fits", NOTES - MARK));
        }
        if self.due.as_ref().is_some_and(|due| due.parse::<jiff::civil::Date>().is_err() || due.len() != 10) {
            return Err("due: must be a day, such as 2026-01-31".to_owned());
        }
        let github = self.provider == Provider::Github;
        if github && self.list.is_some() {
            return Err("list: GitHub has none; name owner and repo".to_owned());
        }
        if !github && (self.owner.is_some() || self.repo.is_some()) {
            return Err("owner, repo: for GitHub only".to_owned());
        }
        // Ids of lists are base64 or `@default`; each is one segment of an address.
        let odd = |id: &String| id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"@_-=".contains(&b));
        if self.list.as_ref().is_some_and(odd) {
            return Err("list: not the id of a list".to_owned());
        }
        Ok(())
    }
}

/// JSON Schema of the input.
pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["provider", "title"],
        "additionalProperties": false,
        "properties": {
            "provider": {"enum": ["google", "microsoft", "github"]},
            "title": {"type": "string", "minLength": 1, "maxLength": TITLE, "description": "GitHub: at most 256."},
            "notes": {"type": "string", "maxLength": NOTES - MARK},
            "due": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "description": "A day."},
            "list": {
                "type": "string", "minLength": 1, "maxLength": 256,
                "description": "The id of a list at Google or Microsoft; without it the default list."
            },
            "owner": {"type": "string", "maxLength": 39, "description": "GitHub; default: GITHUB_OWNER."},
            "repo": {"type": "string", "maxLength": 100, "description": "GitHub; default: GITHUB_REPO."},
            "credential": {
                "type": "string", "minLength": 1, "maxLength": 64,
                "description": "One of kind `google`, `microsoft` or `github`."
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_that_do_not_fit_are_refused() {
        let long = "x".repeat(257);
        for (input, word) in [
            (json!({"provider": "google", "title": " "}), "title"),
            (json!({"provider": "google", "title": "a\nb"}), "title"),
            (json!({"provider": "github", "title": long}), "256"),
            (json!({"provider": "google", "title": "x", "notes": "x".repeat(8192)}), "notes"),
            (json!({"provider": "google", "title": "x", "due": "2026-02-30"}), "due"),
            (json!({"provider": "google", "title": "x", "due": "20260201T00"}), "due"),
            (json!({"provider": "github", "title": "x", "list": "a"}), "list"),
            (json!({"provider": "google", "title": "x", "repo": "a"}), "repo"),
            (json!({"provider": "microsoft", "title": "x", "list": "../../me/messages"}), "list"),
            (json!({"provider": "microsoft", "title": "x", "list": "a?b"}), "list"),
        ] {
            let refusal = TaskInput::deserialize(&input).unwrap().check().unwrap_err();
            assert!(refusal.contains(word), "{input}: {refusal}");
        }
        let fine = json!({"provider": "microsoft", "title": "x", "notes": "y", "due": "2026-01-31", "list": "AQMk-_="});
        assert_eq!(TaskInput::deserialize(&fine).unwrap().check(), Ok(()));
    }
}
