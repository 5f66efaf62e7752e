//! `windlass operations …`.

use std::collections::BTreeSet;

use clap::Subcommand;
use indicatif::HumanCount;

use super::bulk::{self, parse_rate};
use super::failure::{Code, Failure};
use super::output::{Output, facts};
use crate::api::operation::{OperationView, ResumeOperation};
use crate::client::Client;
use crate::domain::{JobId, OperationState};

/// List, show, watch, stop and resume bulk operations.
#[derive(Debug, Subcommand)]
pub enum OperationsCommand {
    /// List operations, newest first
    List {
        /// Only in this state
        #[arg(long, value_parser = OperationState::ALL.iter().map(|s| s.as_str()).collect::<Vec<_>>())]
        state: Option<String>,
        /// Operations at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Show one operation: its filter, who began it, what it did
    Show {
        /// The operation's id
        operation: JobId,
    },
    /// Watch an operation to its end; Ctrl-C stops watching and nothing else
    Watch {
        /// The operation's id
        operation: JobId,
    },
    /// Stop an operation; what it did stays done, and nothing more is done behind the answer
    Stop {
        /// The operation's id
        operation: JobId,
    },
    /// Go on with a stopped operation where it was, and watch it
    #[command(after_help = "Examples:
  windlass operations resume 01dYYPmhqlwgqv9oepz~O0
  windlass operations resume 01dYYPmhqlwgqv9oepz~O0 --rate 10/s --detach")]
    Resume {
        /// The operation's id
        operation: JobId,
        /// From now on at this rate: 50, 50/s or 3000/m [default: as before]
        #[arg(long, value_parser = parse_rate)]
        rate: Option<u32>,
        /// Do not watch it to its end
        #[arg(long)]
        detach: bool,
    },
}

/// Runs one of the commands.
pub(super) async fn run(command: OperationsCommand, client: &Client, out: &mut Output) -> Result<(), Failure> {
    match command {
        OperationsCommand::List { state, limit } => {
            let list = client.operations(state.as_deref(), limit).await?;
            let header = ["OPERATION", "ACTION", "STATE", "MET", "DONE", "SKIPPED", "RATE", "BY", "BEGUN", "FILTER"];
            out.table(&list, &header, |list| list.operations.iter().map(row).collect())?;
            let all = list.operations.iter().flat_map(|operation| operation.missing_shards.iter().copied());
            let missing: BTreeSet<u8> = all.collect();
            if missing.is_empty() { Ok(()) } else { out.note(&bulk::missing(missing)) }
        }
        OperationsCommand::Show { operation } => out.text(&client.operation(operation).await?, describe),
        OperationsCommand::Watch { operation } => bulk::watch(operation, client, out).await,
        OperationsCommand::Stop { operation } => {
            let stopped = client.stop_operation(operation).await?;
            out.text(&stopped, bulk::outcome)?;
            if stopped.missing_shards.is_empty() {
                return Ok(());
            }
            let said = format_args!("not told of the stop: {}", bulk::shards(stopped.missing_shards));
            Err(Failure::new(Code::Failure, said).hint(format!(
                "a step may still be made there; `windlass operations stop {operation}` again, when they answer"
            )))
        }
        OperationsCommand::Resume { operation, rate, detach } => {
            let resumed = client.resume_operation(operation, &ResumeOperation { rate }).await?;
            if detach {
                return out.text(&resumed, bulk::outcome);
            }
            bulk::watch(operation, client, out).await
        }
    }
}

fn met(operation: &OperationView) -> String {
    let met = HumanCount(operation.matched);
    operation.expected.map_or_else(|| met.to_string(), |expected| format!("{met} of {}", HumanCount(expected)))
}

fn row(operation: &OperationView) -> Vec<String> {
    let skipped: u64 = operation.skipped.values().sum();
    vec![
        operation.id.clone(),
        action(operation),
        operation.state.clone(),
        met(operation),
        operation.done.to_string(),
        skipped.to_string(),
        format!("{}/s", operation.rate),
        operation.by.clone(),
        operation.created_at.clone(),
        bulk::filter(&operation.filter),
    ]
}

fn action(operation: &OperationView) -> String {
    let to = operation.target.as_ref().map(|target| format!(" to {target}")).unwrap_or_default();
    format!("{}{to}", operation.action)
}

fn describe(operation: &OperationView) -> String {
    let mut rows = vec![
        ("operation", operation.id.clone()),
        ("action", action(operation)),
        ("filter", bulk::filter(&operation.filter)),
        ("state", operation.state.clone()),
        ("met", met(operation)),
        ("done", HumanCount(operation.done).to_string()),
    ];
    rows.extend(operation.skipped.iter().map(|(why, n)| ("skipped", format!("{why} {}", HumanCount(*n)))));
    if !operation.missing_shards.is_empty() {
        rows.push(("missing", bulk::missing(operation.missing_shards.iter().copied())));
    }
    rows.push(("rate", format!("{} a second at most", operation.rate)));
    rows.push(("begun", format!("{} by {}", operation.created_at, operation.by)));
    let changed = operation.changed_at.as_ref().zip(operation.changed_by.as_ref());
    rows.extend(changed.map(|(at, by)| ("changed", format!("{at} by {by}"))));
    rows.extend(operation.finished_at.clone().map(|at| ("finished", at)));
    rows.extend(Some(operation.note.clone()).filter(|note| !note.is_empty()).map(|note| ("note", note)));
    facts(&rows)
}
