//! `windlass actions …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::value::RawValue;

use super::failure::{Code, Failure};
use super::output::Output;
use crate::api::actions::{ActionRule, ActionRules, ActionsView};
use crate::client::Client;
use crate::domain::{DEFAULT_DOCUMENT, Decision, Workspace};

/// Show and set the rules for actions: job types with effects outside.
#[derive(Debug, Subcommand)]
pub enum ActionsCommand {
    /// Show the rules, and what becomes of each action
    Show(OfWorkspace),
    /// Set rules: a whole document from a file, or the decision of single actions
    #[command(after_help = "Examples:
  windlass actions set --workspace acme rules.json
  windlass actions set --workspace acme --rule gmail.send=approve --rule '*=deny'
  windlass actions set --workspace '*' --rule webhook.send=allow

Decisions are allow, approve, dry_run and deny. --rule keeps the other rules, and the limits of the one that it changes.")]
    Set(SetArgs),
    /// Switch actions off: jobs are refused, and those in line are set aside
    Disable(OfWorkspace),
    /// Switch actions on again; jobs that were set aside come back
    Enable(OfWorkspace),
    /// Remove the rules
    Remove(OfWorkspace),
}

/// Whose rules.
#[derive(Debug, Args)]
pub struct OfWorkspace {
    /// The workspace, or `*` for the default rules of all
    #[arg(long, default_value = DEFAULT_DOCUMENT, value_parser = whose)]
    workspace: String,
}

/// Options of `actions set`.
#[derive(Debug, Args)]
pub struct SetArgs {
    #[command(flatten)]
    of: OfWorkspace,
    /// File with the whole document as JSON; `-` is stdin
    #[arg(required_unless_present = "rules", conflicts_with = "rules")]
    file: Option<PathBuf>,
    /// The decision for an action, or for `*`; may be repeated
    #[arg(long = "rule", value_name = "ACTION=DECISION", value_parser = rule)]
    rules: Vec<(String, Decision)>,
}

fn whose(text: &str) -> Result<String, String> {
    if text == DEFAULT_DOCUMENT {
        return Ok(text.to_owned());
    }
    Workspace::new(text).map(|name| name.to_string()).map_err(|error| error.to_string())
}

fn rule(text: &str) -> Result<(String, Decision), String> {
    let (action, word) = text.split_once('=').ok_or("must be ACTION=DECISION")?;
    let decision = Decision::from_word(word).ok_or("the decision must be allow, approve, dry_run or deny")?;
    Ok((action.to_owned(), decision))
}

/// Runs one of the commands.
pub(super) async fn run(command: ActionsCommand, client: &Client, out: &mut Output) -> Result<(), Failure> {
    let view = match command {
        ActionsCommand::Show(of) => client.actions(&of.workspace).await?,
        ActionsCommand::Set(args) => set(args, client).await?,
        ActionsCommand::Disable(of) => client.switch_actions(&of.workspace, false).await?,
        ActionsCommand::Enable(of) => client.switch_actions(&of.workspace, true).await?,
        ActionsCommand::Remove(of) => {
            client.remove_actions(&of.workspace).await?;
            let gone = serde_json::json!({"removed": of.workspace.to_string()});
            return out.done(&gone, &format!("no rules of {} are left", of.workspace));
        }
    };
    let header = ["ACTION", "DECISION", "RULE", "LIMITS", "WHY"];
    if view.own.as_ref().and_then(|own| own.enabled) == Some(false) {
        out.note(&format!("actions of {} are switched off", view.workspace))?;
    }
    out.table(&view, &header, rows)
}

async fn set(args: SetArgs, client: &Client) -> Result<ActionsView, Failure> {
    let Some(file) = args.file else {
        return change(&args.of.workspace, client, |own| {
            for (action, decision) in args.rules {
                let word = decision.to_string();
                own.rules.entry(action).or_insert_with(|| ActionRule::of(decision)).decision = word;
            }
        })
        .await;
    };
    let text = super::jobs::read_text(&file)?;
    // Sent as written, so that the server sees what is wrong with it.
    let document: &RawValue = serde_json::from_str(text.trim())
        .map_err(|error| Failure::new(Code::Usage, format_args!("{} is not JSON: {error}", file.display())))?;
    Ok(client.set_actions(&args.of.workspace, document).await?)
}

/// Reads the document, changes it and writes it back.
async fn change(
    workspace: &str,
    client: &Client,
    change: impl FnOnce(&mut ActionRules),
) -> Result<ActionsView, Failure> {
    let mut own = client.actions(workspace).await?.own.unwrap_or_default();
    change(&mut own);
    let document = serde_json::value::to_raw_value(&own).map_err(|error| Failure::new(Code::Failure, error))?;
    Ok(client.set_actions(workspace, &document).await?)
}

fn rows(view: &ActionsView) -> Vec<Vec<String>> {
    let rules = view.own.as_ref().map(|own| &own.rules);
    let row = |name: &str, decision: &str, why: &str| {
        let rule = rules.and_then(|rules| rules.get(name));
        let own = rule.map_or("-", |rule| rule.decision.as_str());
        vec![name.to_owned(), decision.to_owned(), own.to_owned(), rule.map(limits).unwrap_or_default(), why.to_owned()]
    };
    let mut rows: Vec<_> =
        view.actions.iter().map(|a| row(&a.name, &a.decision, a.why.as_deref().unwrap_or_default())).collect();
    if rules.is_some_and(|rules| rules.contains_key(DEFAULT_DOCUMENT)) {
        rows.push(row(DEFAULT_DOCUMENT, "-", "for actions without a rule of their own"));
    }
    rows
}

/// The limits of a rule as people write them.
fn limits(rule: &ActionRule) -> String {
    let list = |name: &str, list: &Option<Vec<String>>| list.as_ref().map(|list| format!("{name} {}", list.join(" ")));
    let parts = [
        list("to", &rule.recipient_domains),
        list("in", &rule.repositories),
        list("at", &rule.hosts),
        rule.max_per_hour.map(|most| format!("{most} an hour")),
        rule.max_bytes.map(|most| format!("{most} bytes")),
        rule.approval.map(|approval| format!("approved within {} s", approval.expires_seconds)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
