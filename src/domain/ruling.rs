//! How the rules for actions are weighed.
//!
//! First the switches: `ACTIONS_ENABLED`, then `enabled` of the default document, then that of the workspace's. Then the
//! operator's word: the default document's rule for the action, else its rule for any, else `ALLOW_ACTIONS_DEFAULT`.
//! Then the workspace's word in the same order, which can only narrow: of the two decisions the stricter one holds, and
//! the limits of both. So whoever administers a workspace cannot allow what the operator did not.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ActionFacts;
use super::policy::{APPROVAL_WAIT, Decision, NamePattern, PolicyDocument, Rule};

/// What the settings of a process say.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// `ACTIONS_ENABLED`.
    pub enabled: bool,
    /// `ALLOW_ACTIONS_DEFAULT`.
    pub allowed: &'a BTreeSet<String>,
}

/// Why an action may not run. The message names what forbids it, and never what the job contains.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// Actions are switched off, by the settings or by a document.
    #[error("{0}")]
    Disabled(String),
    /// A rule, or the lack of one, forbids this one.
    #[error("{0}")]
    NotAllowed(String),
}

/// What may become of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may run.
    Allow {
        /// Jobs of this action and workspace that may start within any hour.
        max_per_hour: Option<u32>,
    },
    /// It may run once someone approved its exact arguments.
    Approve {
        /// As above.
        max_per_hour: Option<u32>,
        /// How long it may wait for that.
        wait: Duration,
    },
    /// It succeeds without doing anything.
    DryRun,
}

/// The rules that hold for one action of one workspace.
#[derive(Clone, Debug)]
pub struct Ruling<'a> {
    decision: Decision,
    rules: Vec<Applied<'a>>,
}

#[derive(Clone, Debug)]
struct Applied<'a> {
    /// The rule in words.
    name: String,
    rule: &'a Rule,
    /// Whether it names the action. Then a limit holds also for a job that does not say what it limits.
    named: bool,
}

/// Finds what holds for `action` in `workspace`; with `workspace` `None` as for one that says nothing.
///
/// # Errors
/// When it is denied whatever its input is.
pub fn ruling<'a>(
    settings: Settings<'_>,
    default: Option<&'a PolicyDocument>,
    own: Option<(&str, &'a PolicyDocument)>,
    action: &str,
) -> Result<Ruling<'a>, Denial> {
    if !settings.enabled {
        return Err(Denial::Disabled(format!("actions are switched off (ACTIONS_ENABLED), so `{action}` is refused")));
    }
    let off = |document: &PolicyDocument| document.enabled == Some(false);
    if default.is_some_and(off) {
        let why = format!("actions are switched off for every workspace, so `{action}` is refused");
        return Err(Denial::Disabled(why));
    }
    if let Some((workspace, _)) = own.filter(|(_, document)| off(document)) {
        let why = format!("actions of workspace `{workspace}` are switched off, so `{action}` is refused");
        return Err(Denial::Disabled(why));
    }
    let mut ruling = Ruling { decision: Decision::Allow, rules: Vec::new() };
    match default.and_then(|document| document.rule_for(action)) {
        Some(found) => ruling.add("the default rules", action, found)?,
        None if settings.allowed.contains(action) => {}
        None => {
            let why = format!("`{action}` is not on the list of allowed actions (ALLOW_ACTIONS_DEFAULT)");
            return Err(Denial::NotAllowed(why));
        }
    }
    if let Some((workspace, found)) = own.and_then(|(name, document)| Some((name, document.rule_for(action)?))) {
        ruling.add(&format!("workspace `{workspace}`"), action, found)?;
    }
    Ok(ruling)
}

impl<'a> Ruling<'a> {
    fn add(&mut self, of: &str, action: &str, (rule, named): (&'a Rule, bool)) -> Result<(), Denial> {
        let name = format!("the rule `{}` of {of}", if named { action } else { super::policy::ANY_ACTION });
        if rule.decision == Decision::Deny {
            return Err(Denial::NotAllowed(format!("{name} denies `{action}`")));
        }
        self.decision = stricter(self.decision, rule.decision);
        self.rules.push(Applied { name, rule, named });
        Ok(())
    }

    /// What becomes of a job that keeps the limits.
    #[must_use]
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// Holds the limits of the rules against what a job would do.
    ///
    /// # Errors
    /// The first limit that it does not keep.
    pub fn judge(&self, facts: &ActionFacts) -> Result<Verdict, Denial> {
        for applied in &self.rules {
            applied.check(facts).map_err(|why| Denial::NotAllowed(format!("{}: {why}", applied.name)))?;
        }
        let max_per_hour = self.rules.iter().filter_map(|applied| applied.rule.max_per_hour).min();
        let waits = self.rules.iter().filter_map(|applied| applied.rule.approval);
        let wait = waits.map(|approval| Duration::from_secs(approval.expires_seconds.into())).min();
        Ok(match self.decision {
            Decision::Approve => Verdict::Approve { max_per_hour, wait: wait.unwrap_or(APPROVAL_WAIT) },
            Decision::DryRun => Verdict::DryRun,
            Decision::Allow | Decision::Deny => Verdict::Allow { max_per_hour },
        })
    }
}

/// Nothing happens outside in a dry run, which is stricter than an approval.
fn stricter(a: Decision, b: Decision) -> Decision {
    let rank = |decision| Decision::ALL.iter().position(|known| *known == decision);
    if rank(b) > rank(a) { b } else { a }
}

impl Applied<'_> {
    fn check(&self, facts: &ActionFacts) -> Result<(), String> {
        let rule = self.rule;
        if let Some(domains) = &rule.recipient_domains {
            if facts.recipients.is_empty() && self.named {
                return Err("the job names no recipient, and recipient_domains limits them".to_owned());
            }
            if let Some(at) = facts.recipients.iter().position(|address| !is_in(domains, address)) {
                return Err(format!("recipient number {} is in none of its recipient_domains", at + 1));
            }
        }
        if let Some(repositories) = &rule.repositories {
            let fits = |name: &String| repositories.iter().any(|pattern| pattern.covers(name));
            self.limit("repositories", facts.repository.as_ref().map(fits))?;
        }
        if let Some(hosts) = &rule.hosts {
            let fits = |name: &String| hosts.iter().any(|pattern| pattern.covers(name));
            self.limit("hosts", facts.host.as_ref().map(fits))?;
        }
        let bytes = u64::try_from(facts.bytes).unwrap_or(u64::MAX);
        match rule.max_bytes {
            Some(max) if bytes > max => Err(format!("the job sends {bytes} bytes, and max_bytes is {max}")),
            _ => Ok(()),
        }
    }

    fn limit(&self, field: &str, fits: Option<bool>) -> Result<(), String> {
        match fits {
            Some(true) => Ok(()),
            None if !self.named => Ok(()),
            Some(false) => Err(format!("what the job names is none of its {field}")),
            None => Err(format!("the job does not say what its {field} limit")),
        }
    }
}

/// Whether an address is in one of the domains; one without a domain is in none.
fn is_in(domains: &[NamePattern], address: &str) -> bool {
    address.rsplit_once('@').is_some_and(|(_, domain)| domains.iter().any(|pattern| pattern.covers(domain)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> PolicyDocument {
        serde_json::from_str(text).unwrap()
    }

    fn judge(enabled: bool, default: &str, own: &str, facts: &ActionFacts) -> Result<Verdict, Denial> {
        let allowed = BTreeSet::from(["gmail.send".to_owned()]);
        let (default, own) = (document(default), document(own));
        let settings = Settings { enabled, allowed: &allowed };
        ruling(settings, Some(&default), Some(("acme", &own)), "gmail.send")?.judge(facts)
    }

    fn plain(default: &str, own: &str) -> Result<Verdict, Denial> {
        judge(true, default, own, &ActionFacts::default())
    }

    const FREE: Verdict = Verdict::Allow { max_per_hour: None };

    #[test]
    fn switches_come_first_and_the_outermost_is_named() {
        let facts = ActionFacts::default();
        let allow = r#"{"enabled":true,"rules":{"gmail.send":{"decision":"allow"}}}"#;
        let off = r#"{"enabled":false,"rules":{"gmail.send":{"decision":"allow"}}}"#;
        for (outcome, word) in [
            (judge(false, allow, allow, &facts), "ACTIONS_ENABLED"),
            (judge(true, off, off, &facts), "every workspace"),
            (judge(true, allow, off, &facts), "workspace `acme`"),
        ] {
            assert!(matches!(&outcome, Err(Denial::Disabled(why)) if why.contains(word)), "{outcome:?}");
        }
        assert_eq!(judge(true, allow, allow, &facts), Ok(FREE));
    }

    #[test]
    fn a_workspace_cannot_widen_and_the_default_document_can() {
        let allowed = BTreeSet::new();
        let settings = Settings { enabled: true, allowed: &allowed };
        let allow = document(r#"{"rules":{"*":{"decision":"allow"}}}"#);
        let alone = ruling(settings, None, Some(("acme", &allow)), "gmail.send");
        assert!(matches!(&alone, Err(Denial::NotAllowed(why)) if why.contains("ALLOW_ACTIONS_DEFAULT")), "{alone:?}");
        assert!(ruling(settings, Some(&allow), None, "gmail.send").is_ok());
    }

    #[test]
    fn the_stricter_decision_holds_whoever_says_it() {
        let of = |decision: &str| format!(r#"{{"rules":{{"*":{{"decision":"{decision}"}}}}}}"#);
        let wait = APPROVAL_WAIT;
        for (default, own, expected) in [
            ("allow", "approve", Some(Verdict::Approve { max_per_hour: None, wait })),
            ("approve", "allow", Some(Verdict::Approve { max_per_hour: None, wait })),
            ("approve", "dry_run", Some(Verdict::DryRun)),
            ("dry_run", "allow", Some(Verdict::DryRun)),
            ("allow", "deny", None),
            ("deny", "allow", None),
        ] {
            assert_eq!(plain(&of(default), &of(own)).ok(), expected, "{default} {own}");
        }
    }

    #[test]
    fn a_rule_of_its_own_comes_before_the_one_for_any_in_each_document() {
        let default = r#"{"rules":{"gmail.send":{"decision":"allow"},"*":{"decision":"deny"}}}"#;
        assert_eq!(plain(default, "{}"), Ok(FREE));
        let outcome = plain("{}", r#"{"rules":{"*":{"decision":"deny"}}}"#);
        assert!(matches!(&outcome, Err(Denial::NotAllowed(why)) if why.contains("rule `*` of workspace `acme`")));
    }

    #[test]
    fn limits_of_both_documents_hold() {
        let default =
            r#"{"rules":{"gmail.send":{"decision":"approve","max_per_hour":9,"approval":{"expires_seconds":60}}}}"#;
        let own = r#"{"rules":{"gmail.send":{"decision":"allow","max_per_hour":5,"approval":{"expires_seconds":90}}}}"#;
        let wait = Duration::from_secs(60);
        assert_eq!(plain(default, own), Ok(Verdict::Approve { max_per_hour: Some(5), wait }));
        let to = |addresses: &[&str]| ActionFacts {
            recipients: addresses.iter().map(ToString::to_string).collect(),
            ..ActionFacts::default()
        };
        let default =
            r#"{"rules":{"gmail.send":{"decision":"allow","recipient_domains":["example.org","*.example.org"]}}}"#;
        let own = r#"{"rules":{"*":{"decision":"allow","recipient_domains":["eu.example.org"],"max_bytes":10}}}"#;
        assert_eq!(judge(true, default, own, &to(&["A@EU.Example.org"])), Ok(FREE));
        for bad in
            [&["a@example.org"][..], &["a@eu.example.org", "b@evil.net"], &["a"], &["a@eu.example.org@x.org"], &[]]
        {
            assert!(matches!(judge(true, default, own, &to(bad)), Err(Denial::NotAllowed(_))), "{bad:?}");
        }
        let large = ActionFacts { bytes: 11, ..to(&["a@eu.example.org"]) };
        assert!(judge(true, default, own, &large).unwrap_err().to_string().contains("max_bytes"));
    }

    #[test]
    fn a_limit_of_a_named_rule_holds_for_jobs_that_do_not_say() {
        for limit in [r#""hosts":["example.org"]"#, r#""repositories":["acme/*"]"#, r#""recipient_domains":["a.org"]"#]
        {
            let named = format!(r#"{{"rules":{{"gmail.send":{{"decision":"allow",{limit}}}}}}}"#);
            assert!(plain("{}", &named).is_err(), "{limit}");
            let any = format!(r#"{{"rules":{{"*":{{"decision":"allow",{limit}}}}}}}"#);
            assert_eq!(plain("{}", &any), Ok(FREE), "{limit}");
        }
        let rule = r#"{"rules":{"*":{"decision":"allow","hosts":["example.org"],"repositories":["acme/*"]}}}"#;
        let facts = |host: &str, repository: &str| ActionFacts {
            host: Some(host.to_owned()),
            repository: Some(repository.to_owned()),
            ..ActionFacts::default()
        };
        assert_eq!(judge(true, "{}", rule, &facts("example.org", "acme/x")), Ok(FREE));
        assert!(judge(true, "{}", rule, &facts("example.net", "acme/x")).is_err());
        assert!(judge(true, "{}", rule, &facts("example.org", "other/x")).is_err());
    }
}
