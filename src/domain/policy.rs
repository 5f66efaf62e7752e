//! The rules for actions: what a workspace's document may say. How documents are weighed is in [`super::ruling`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::failure::words;

/// The document of this name holds for every workspace.
pub const DEFAULT_DOCUMENT: &str = "*";

/// The rule of this name holds for every action that has none of its own.
pub const ANY_ACTION: &str = "*";

words! {
    /// What a rule says of an action.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    Decision {
        /// It may run.
        Allow = "allow",
        /// It may run once someone approved its exact arguments.
        Approve = "approve",
        /// It succeeds without doing anything, and says what it would have done.
        DryRun = "dry_run",
        /// It may not run.
        Deny = "deny",
    }
}

/// One document of rules: of a workspace, or the default for all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    /// `false` switches all actions off; anything else changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Rules by the name of the action, or [`ANY_ACTION`].
    #[serde(default)]
    pub rules: BTreeMap<String, Rule>,
}

/// What holds for an action. A list that is absent limits nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What becomes of its jobs.
    pub decision: Decision,
    /// Where mail may go to: every recipient has to be in one of these domains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_domains: Option<Vec<NamePattern>>,
    /// Repositories that it may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repositories: Option<Vec<RepositoryPattern>>,
    /// Hosts that it may call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<NamePattern>>,
    /// Jobs that may start within any hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_hour: Option<u32>,
    /// Bytes that one job may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// How an approval goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalRule>,
}

/// How an approval goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRule {
    /// Seconds that a job may wait for its approval.
    pub expires_seconds: u32,
}

/// How long a job may wait for its approval, unless a rule says otherwise.
pub const APPROVAL_WAIT: Duration = Duration::from_secs(7 * 86_400);

/// How long an approved job has to start; after that it needs another approval.
pub const APPROVAL_LIFE: Duration = Duration::from_secs(86_400);

impl Rule {
    /// A rule that decides and limits nothing.
    #[must_use]
    pub fn of(decision: Decision) -> Self {
        Self {
            decision,
            recipient_domains: None,
            repositories: None,
            hosts: None,
            max_per_hour: None,
            max_bytes: None,
            approval: None,
        }
    }
}

impl PolicyDocument {
    /// The rule for an action, and whether it names the action: its own before the one for any.
    #[must_use]
    pub fn rule_for(&self, action: &str) -> Option<(&Rule, bool)> {
        let own = self.rules.get(action).map(|rule| (rule, true));
        own.or_else(|| self.rules.get(ANY_ACTION).map(|rule| (rule, false)))
    }
}

/// Text that is no pattern; the message says what one looks like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(&'static str);

/// A name of the DNS, or `*.example.org` for all names below one. Kept in lower case; names outside ASCII have to be
/// written as the DNS has them (`xn--…`), so that two that look alike are never the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePattern(String);

impl NamePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is not `example.org` or `*.example.org` in ASCII.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        const RULE: PatternError = PatternError("must be a name such as example.org or *.example.org, in ASCII");
        let name = text.strip_prefix("*.").unwrap_or(text);
        let below = name.len() < text.len();
        let label = |label: &str| {
            let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            (1..=63).contains(&label.len()) && inner && !label.starts_with('-') && !label.ends_with('-')
        };
        // A wildcard over a whole top-level domain is a mistake.
        let fits = name.len() <= 253 && name.split('.').all(label) && (!below || name.contains('.'));
        if fits { Ok(Self(text.to_ascii_lowercase())) } else { Err(RULE) }
    }

    /// Whether it covers this name. One outside ASCII is never covered.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        match self.0.strip_prefix('*') {
            Some(suffix) => name.len() > suffix.len() && name.ends_with(suffix),
            None => name == self.0,
        }
    }
}

/// `owner/name`, or `owner/*` for all of an owner. Kept in lower case, as GitHub compares names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryPattern(String);

impl RepositoryPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is not `owner/name` or `owner/*`.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        const RULE: PatternError = PatternError("must be owner/name or owner/*");
        let part = |part: &str| {
            let plain = part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
            (1..=100).contains(&part.len()) && plain && !matches!(part, "." | "..")
        };
        match text.split_once('/') {
            Some((owner, name)) if part(owner) && (name == "*" || part(name)) => Ok(Self(text.to_ascii_lowercase())),
            _ => Err(RULE),
        }
    }

    /// Whether it covers `owner/name`.
    #[must_use]
    pub fn covers(&self, repository: &str) -> bool {
        let repository = repository.to_ascii_lowercase();
        match (self.0.strip_suffix('*'), repository.split_once('/')) {
            (Some(owner), Some((_, name))) => repository.starts_with(owner) && !name.is_empty() && !name.contains('/'),
            _ => repository == self.0,
        }
    }
}

macro_rules! text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = PatternError;

            fn try_from(text: String) -> Result<Self, PatternError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(pattern: $name) -> Self {
                pattern.0
            }
        }
    };
}

text!(NamePattern);
text!(RepositoryPattern);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_covers_itself_and_a_wildcard_what_is_below() {
        let covers = |pattern: &str, name: &str| NamePattern::new(pattern).unwrap().covers(name);
        assert!(covers("Example.org", "eXample.ORG"));
        assert!(covers("*.example.org", "a.b.example.org"));
        for other in ["a.example.org", "badexample.org", "example.org.evil.net", "example.org.", "", "exämple.org"] {
            assert!(!covers("example.org", other), "{other}");
        }
        for other in ["example.org", "badexample.org", ".example.org", "a.example.org.evil.net"] {
            assert!(!covers("*.example.org", other), "{other}");
        }
    }

    #[test]
    fn texts_that_are_no_names_are_refused() {
        for bad in
            ["", "*", "*.", "*.org", "a.*.org", "exämple.org", "a b", "a..b", "-a.org", "a@b.org", "x:80", "a.org."]
        {
            assert!(NamePattern::new(bad).is_err(), "{bad}");
        }
        for bad in ["", "a", "a/", "/b", "*/b", "a/b/c", "a/b*", "ä/b", "a/..", "a b/c"] {
            assert!(RepositoryPattern::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_repository_is_compared_without_case_and_an_owner_has_an_end() {
        let covers = |pattern: &str, name: &str| RepositoryPattern::new(pattern).unwrap().covers(name);
        assert!(covers("Acme/Site", "acme/site") && covers("acme/*", "ACME/other"));
        for other in ["acme2/site", "acme/", "acme/site/x", "acme"] {
            assert!(!covers("acme/*", other), "{other}");
        }
    }

    #[test]
    fn a_document_survives_its_text_and_one_of_a_newer_version_is_not_misread() {
        let text = r#"{"enabled":false,"rules":{"gmail.send":{"decision":"dry_run","recipient_domains":["*.example.org"],"max_per_hour":3}}}"#;
        let document: PolicyDocument = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&document).unwrap(), text);
        assert!(
            serde_json::from_str::<PolicyDocument>(r#"{"rules":{"*":{"decision":"allow","only_on":"monday"}}}"#)
                .is_err()
        );
        assert!(
            serde_json::from_str::<PolicyDocument>(r#"{"rules":{"*":{"decision":"allow","hosts":["ä.org"]}}}"#)
                .is_err()
        );
    }
}
