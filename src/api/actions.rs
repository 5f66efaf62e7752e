//! Rules for actions, and what is on record of a job's effects.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
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

/// An approval of exactly these arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// The digest of the job's arguments, as `GET /ai/jobs/{id}/effects` shows it.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub digest: String,
    /// For the record, at most 500 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub note: Option<String>,
}

/// Why something is done; may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// For the record, at most 500 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

/// What became of an effect that nobody could tell of.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// `happened`: it is recorded as done and never done again; `not_happened`: it is done now; `discard`: the job is
    /// cancelled.
    #[schema(schema_with = super::schema::outcomes)]
    pub outcome: String,
    /// For the record, at most 500 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
    /// With `happened`: what proves it, at most 4 KiB of JSON; becomes the effect's receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub receipt: Option<Box<RawValue>>,
}

/// What a person found out about an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It happened.
    Happened,
    /// It did not.
    NotHappened,
    /// Nobody wants to know any more.
    Discard,
}

impl Outcome {
    /// Every outcome with its word.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Happened, "happened"), (Self::NotHappened, "not_happened"), (Self::Discard, "discard")];
}

/// The largest receipt, in bytes of JSON.
const RECEIPT: usize = 4096;

impl Approve {
    /// Reads an approval.
    ///
    /// # Errors
    /// Everything that is wrong with the document, by field.
    pub fn read(body: Json) -> Result<Self, Box<Problem>> {
        let mut fields = Fields::of(body)?;
        let digest = fields.demanded("digest", |text| {
            let hex = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if hex { Ok(text.to_owned()) } else { Err("must be 64 digits of lower-case hex") }
        });
        let note = fields.short_text("note", 500);
        fields.finish()?;
        Ok(Self { digest: digest.unwrap_or_default(), note })
    }
}

impl Reason {
    /// Reads a reason.
    ///
    /// # Errors
    /// Everything that is wrong with the document, by field.
    pub fn read(body: Json) -> Result<Self, Box<Problem>> {
        let mut fields = Fields::of(body)?;
        let reason = fields.short_text("reason", 500);
        fields.finish()?;
        Ok(Self { reason })
    }
}

impl Resolve {
    /// Reads a resolution: the outcome, why, and the receipt as compact text.
    ///
    /// # Errors
    /// Everything that is wrong with the document, by field.
    pub fn read(body: Json) -> Result<(Outcome, Option<String>, Option<String>), Box<Problem>> {
        let mut fields = Fields::of(body)?;
        let known = |word: &str| Outcome::ALL.iter().find(|(_, known)| *known == word).map(|(outcome, _)| *outcome);
        let outcome = fields.demanded("outcome", |word| known(word).ok_or("must be happened, not_happened or discard"));
        let reason = fields.short_text("reason", 500);
        let receipt = fields.take("receipt").map(|json| json.compact());
        if receipt.as_ref().is_some_and(|text| text.len() > RECEIPT) {
            fields.fail(ErrorCode::InvalidField, "receipt", format!("must have at most {RECEIPT} bytes as JSON"));
        }
        if receipt.is_some() && outcome.is_some_and(|outcome| outcome != Outcome::Happened) {
            fields.fail(ErrorCode::InvalidField, "receipt", "belongs to the outcome happened");
        }
        fields.finish()?;
        Ok((outcome.unwrap_or(Outcome::Discard), reason, receipt))
    }
}

/// What is on record of a job's effects, and what a person needs to decide.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EffectsView {
    /// The job.
    pub job_id: String,
    /// Its state.
    #[schema(schema_with = super::schema::states)]
    pub state: String,
    /// The workspace it belongs to.
    pub workspace: String,
    /// Its type.
    #[serde(rename = "type")]
    pub job_type: String,
    /// What it would do: its input. Absent once it succeeded.
    #[schema(value_type = Option<serde_json::Value>)]
    pub input: Option<Box<RawValue>>,
    /// SHA-256 of workspace, type and input: what an approval is given to. Absent with the input.
    pub digest: Option<String>,
    /// Why it is held.
    #[schema(schema_with = super::schema::held_reasons)]
    pub held_reason: Option<String>,
    /// Since when.
    #[schema(format = DateTime)]
    pub held_since: Option<String>,
    /// Until when it may be approved, if that is what it waits for.
    #[schema(format = DateTime)]
    pub approve_until: Option<String>,
    /// The latest approval.
    pub approval: Option<ApprovalView>,
    /// Its effects.
    pub effects: Vec<EffectView>,
}

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalView {
    /// Of which arguments.
    pub digest: String,
    /// The name of the key that gave it.
    pub by: String,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// Until when the job has to start.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

/// One effect of a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EffectView {
    /// Which of the job's effects.
    pub step: String,
    /// The key that goes with it, the same on every attempt.
    pub key: String,
    /// `intent`: it began, and whether it happened is not on record. `done`: it happened.
    pub state: String,
    /// What can be known of it when an answer is lost: `repeatable`, `keyed`, `reconcilable` or `once`.
    pub class: String,
    /// The attempt that wrote this.
    pub attempt: u32,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// The receipt of what is done, or what was noted for looking it up.
    #[schema(value_type = serde_json::Value)]
    pub evidence: Box<RawValue>,
    /// The key of the operator who decided that it happened; absent when a worker saw it.
    pub decided_by: Option<String>,
    /// Redis lost state since: what is not on record may have happened all the same.
    pub state_lost: bool,
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

    #[test]
    fn a_resolution_carries_a_receipt_only_if_it_happened() {
        let read = |text: &str| Resolve::read(crate::api::json::read(text.as_bytes()).expect("JSON"));
        let (outcome, reason, receipt) = read(r#"{"outcome":"happened","receipt":{"id": 7}}"#).expect("accepted");
        assert_eq!((outcome, reason, receipt.as_deref()), (Outcome::Happened, None, Some(r#"{"id":7}"#)));
        for bad in [
            r#"{"outcome":"not_happened","receipt":{"id":7}}"#.to_owned(),
            r#"{"outcome":"perhaps"}"#.to_owned(),
            "{}".to_owned(),
            format!(r#"{{"outcome":"happened","receipt":"{}"}}"#, "x".repeat(RECEIPT)),
        ] {
            assert_eq!(read(&bad).expect_err(&bad).status, 400);
        }
    }
}
