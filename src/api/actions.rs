//! Rules for actions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{
    ANY_ACTION, ApprovalRule, Decision, NamePattern, PatternError, PolicyDocument, RepositoryPattern, Rule,
};

use super::json::Json;
use super::read::Fields;
use super::{ErrorCode, Problem};

/// Rules in one document.
const RULES: usize = 64;
/// Entries of one list.
const ENTRIES: usize = 100;
/// The most jobs an hour that can be counted.
const MOST_PER_HOUR: u64 = 10_000;
/// More bytes than any action can send.
const MOST_BYTES: u64 = 1 << 30;
/// How long a job may wait for its approval.
const EXPIRES: (u64, u64) = (60, 30 * 86_400);

/// The rules for the actions of a workspace, or the default for all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionRules {
    /// `false` switches all actions off: jobs are refused, and those that were accepted are set aside. Otherwise nothing
    /// is changed by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Rules by the type of the action, or `*` for those that have none of their own; at most 64.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, ActionRule>)]
    pub rules: BTreeMap<String, ActionRule>,
}

/// What holds for an action. What is absent limits nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionRule {
    /// `allow`; `approve`: someone with the scope `jobs:approve` looks at it first; `dry_run`: it succeeds without doing
    /// anything; `deny`. Of the default rules' and the workspace's decision the stricter one holds.
    #[schema(schema_with = super::schema::decisions)]
    pub decision: String,
    /// Every recipient of a mail has to be in one of these: `example.org`, or `*.example.org` for what is below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 100)]
    pub recipient_domains: Option<Vec<String>>,
    /// Repositories it may change: `owner/name` or `owner/*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 100)]
    pub repositories: Option<Vec<String>>,
    /// Hosts it may call: `example.org`, or `*.example.org` for what is below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 100)]
    pub hosts: Option<Vec<String>>,
    /// Jobs of it that the workspace may start within any hour; others wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10_000)]
    pub max_per_hour: Option<u32>,
    /// Bytes that one job may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_073_741_824)]
    pub max_bytes: Option<u64>,
    /// How an approval goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalRules>,
}

/// How an approval goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRules {
    /// Seconds that a job may wait for it; default a week.
    #[schema(minimum = 60, maximum = 2_592_000)]
    pub expires_seconds: u32,
}

/// The rules of a workspace and what comes of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActionsView {
    /// The workspace, or `*` for the default rules.
    pub workspace: String,
    /// What was set; `null` when nothing was.
    pub own: Option<ActionRules>,
    /// Every action of this server, and what becomes of a job of it here before its input is looked at.
    pub actions: Vec<ActionView>,
}

/// What becomes of the jobs of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActionView {
    /// The type.
    #[serde(rename = "type")]
    pub name: String,
    /// `allow`, `approve`, `dry_run` or `deny`.
    #[schema(schema_with = super::schema::decisions)]
    pub decision: String,
    /// What denies it.
    pub why: Option<String>,
}

impl ActionRules {
    /// Reads a document; `is_action` says which types there are rules for.
    ///
    /// # Errors
    /// Everything that is wrong with the document, by field.
    pub fn read(body: Json, is_action: impl Fn(&str) -> bool) -> Result<PolicyDocument, Box<Problem>> {
        let mut fields = Fields::of(body)?;
        let enabled = fields.flag("enabled");
        let rules = fields.map("rules", RULES, |name, inner| {
            if name != ANY_ACTION && !is_action(name) {
                inner.fail_here(ErrorCode::UnknownType, "is no action of this server");
            }
            read_rule(inner)
        });
        fields.finish()?;
        let rules = rules.into_iter().filter_map(|(name, rule)| Some((name, rule?)));
        Ok(PolicyDocument { enabled, rules: rules.collect() })
    }
}

fn read_rule(fields: &mut Fields) -> Option<Rule> {
    let decision =
        fields.demanded("decision", |word| Decision::from_word(word).ok_or("must be allow, approve, dry_run or deny"));
    let rule = Rule {
        decision: decision.unwrap_or(Decision::Deny),
        recipient_domains: patterns(fields, "recipient_domains", NamePattern::new),
        repositories: patterns(fields, "repositories", RepositoryPattern::new),
        hosts: patterns(fields, "hosts", NamePattern::new),
        max_per_hour: fields.integer("max_per_hour", 1, MOST_PER_HOUR).and_then(small),
        max_bytes: fields.integer("max_bytes", 1, MOST_BYTES),
        approval: fields
            .object("approval", |inner| inner.integer("expires_seconds", EXPIRES.0, EXPIRES.1))
            .flatten()
            .and_then(small)
            .map(|expires_seconds| ApprovalRule { expires_seconds }),
    };
    decision.map(|_| rule)
}

fn small(number: u64) -> Option<u32> {
    u32::try_from(number).ok()
}

fn patterns<T>(fields: &mut Fields, key: &str, read: impl Fn(&str) -> Result<T, PatternError>) -> Option<Vec<T>> {
    fields.list(key, ENTRIES, read)
}

impl From<&PolicyDocument> for ActionRules {
    fn from(document: &PolicyDocument) -> Self {
        let rules = document.rules.iter().map(|(name, rule)| (name.clone(), ActionRule::from(rule)));
        Self { enabled: document.enabled, rules: rules.collect() }
    }
}

impl ActionRule {
    /// A rule that decides and limits nothing.
    #[must_use]
    pub fn of(decision: Decision) -> Self {
        Self::from(&Rule::of(decision))
    }
}

impl From<&Rule> for ActionRule {
    fn from(rule: &Rule) -> Self {
        let names =
            |list: &Option<Vec<NamePattern>>| list.clone().map(|list| list.into_iter().map(Into::into).collect());
        let repositories = rule.repositories.clone();
        Self {
            decision: rule.decision.to_string(),
            recipient_domains: names(&rule.recipient_domains),
            repositories: repositories.map(|list| list.into_iter().map(Into::into).collect()),
            hosts: names(&rule.hosts),
            max_per_hour: rule.max_per_hour,
            max_bytes: rule.max_bytes,
            approval: rule.approval.map(|approval| ApprovalRules { expires_seconds: approval.expires_seconds }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PolicyDocument, Box<Problem>> {
        let json = crate::api::json::read(text.as_bytes()).expect("JSON");
        ActionRules::read(json, |name| name == "gmail.send")
    }

    #[test]
    fn a_document_is_read_and_written_as_it_was() {
        let text = r#"{"enabled":true,"rules":{"*":{"decision":"deny"},"gmail.send":{"decision":"approve","recipient_domains":["example.org"],"repositories":["acme/*"],"hosts":["*.example.org"],"max_per_hour":10000,"max_bytes":1,"approval":{"expires_seconds":60}}}}"#;
        let document = read(text).expect("accepted");
        assert_eq!(serde_json::to_string(&ActionRules::from(&document)).expect("JSON"), text);
        assert_eq!(read("{}").expect("accepted"), PolicyDocument::default());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_pointer() {
        for (rule, code, pointer) in [
            (r#"{"decision":"maybe"}"#, "invalid_field", "/rules/gmail.send/decision"),
            (r#"{}"#, "missing_field", "/rules/gmail.send/decision"),
            (r#"{"decision":"allow","max_per_hour":0}"#, "invalid_field", "/rules/gmail.send/max_per_hour"),
            (r#"{"decision":"allow","max_per_hour":10001}"#, "invalid_field", "/rules/gmail.send/max_per_hour"),
            (r#"{"decision":"allow","hosts":[]}"#, "invalid_field", "/rules/gmail.send/hosts"),
            (r#"{"decision":"allow","hosts":["a.org","ä.org"]}"#, "invalid_field", "/rules/gmail.send/hosts/1"),
            (r#"{"decision":"allow","repositories":["acme"]}"#, "invalid_field", "/rules/gmail.send/repositories/0"),
            (
                r#"{"decision":"allow","approval":{"expires_seconds":1}}"#,
                "invalid_field",
                "/rules/gmail.send/approval/expires_seconds",
            ),
            (r#"{"decision":"allow","recipients":["a.org"]}"#, "unknown_field", "/rules/gmail.send/recipients"),
            (r#"[]"#, "invalid_field", "/rules/gmail.send"),
        ] {
            let problem = read(&format!(r#"{{"rules":{{"gmail.send":{rule}}}}}"#)).expect_err(rule);
            assert_eq!((problem.code.as_str(), problem.errors[0].pointer.as_str()), (code, pointer), "{rule}");
        }
        let problem = read(r#"{"rules":{"gmail.sent":{"decision":"allow"}}}"#).expect_err("no such action");
        assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (422, "/rules/gmail.sent"));
        assert_eq!(read(r#"{"enabled":"no"}"#).expect_err("no flag").errors[0].pointer, "/enabled");
    }
}
