//! `windlass dead …`.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::bulk::{self, Filter, How};
use super::failure::{Code, Failure};
use super::output::{Output, facts};
use crate::api::dead::{DeadGroupView, DeadList};
use crate::api::filter::{FilterView, fingerprint};
use crate::api::operation::{BeginOperation, WorkspaceCount};
use crate::client::Client;
use crate::domain::{FailureReason, JobType, OperationAction, QueueName};

const EXAMPLES: &str = "Examples:
  windlass dead redrive --fingerprint 3f9c0a12b4de --dry-run
  windlass dead redrive --queue default --reason retries_exhausted --older-than 1h --rate 50/s
  windlass dead discard --type webhook.send --older-than 2w --yes

The jobs are counted and shown, then it asks. The operation runs on the server; Ctrl-C only stops watching it.";

/// List dead letters by cause, and redrive or discard them.
#[derive(Debug, Subcommand)]
pub enum DeadCommand {
    /// List dead letters by cause, most dead first
    #[command(after_help = "Examples:
  windlass dead list
  windlass dead list --queue mail --reason retries_exhausted

`windlass dead show FINGERPRINT` says more of one cause; \
        `windlass dead redrive --fingerprint FINGERPRINT` gives its jobs another life.")]
    List(ListArgs),
    /// Show the dead letters of one cause: the latest failure in words, and which workspaces have how many
    Show {
        /// The cause, as `windlass dead list` shows it
        #[arg(value_parser = fingerprint)]
        fingerprint: String,
    },
    /// Give dead letters another life, at a pace that workers keep up with
    #[command(after_help = EXAMPLES)]
    Redrive(Box<BulkArgs>),
    /// Remove dead letters for good
    #[command(after_help = EXAMPLES)]
    Discard(Box<BulkArgs>),
}

/// Options of `dead list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only of this queue
    #[arg(long)]
    queue: Option<QueueName>,
    /// Only of this type
    #[arg(long = "type", value_name = "TYPE")]
    job_type: Option<JobType>,
    /// Only those that died of this
    #[arg(long, hide_possible_values = true,
          value_parser = FailureReason::ALL.iter().map(|r| r.as_str()).collect::<Vec<_>>())]
    reason: Option<String>,
}

/// Which dead letters, and how.
#[derive(Debug, Args)]
pub struct BulkArgs {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    how: How,
}

/// What is known of one cause.
#[derive(Serialize)]
struct Cause {
    #[serde(flatten)]
    list: DeadList,
    workspaces: Vec<WorkspaceCount>,
    other_workspaces: u64,
}

/// Runs one of the commands.
pub(super) async fn run(command: DeadCommand, client: &Client, out: &mut Output) -> Result<(), Failure> {
    match command {
        DeadCommand::List(args) => {
            let words = [
                ("queue", args.queue.map(|queue| queue.to_string())),
                ("type", args.job_type.map(|job_type| job_type.to_string())),
                ("reason", args.reason),
            ];
            let query: Vec<_> = words.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let header = ["COUNT", "QUEUE", "TYPE", "REASON", "FINGERPRINT", "FIRST", "LAST", "SAMPLE"];
            out.table(&client.dead(&query).await?, &header, |list| list.groups.iter().map(row).collect())
        }
        DeadCommand::Show { fingerprint } => {
            let list = client.dead(&[("fingerprint", fingerprint.clone())]).await?;
            if list.groups.is_empty() {
                return Err(Failure::new(Code::NotFound, "no dead letter has this fingerprint"));
            }
            // Who is hit: by a look that changes nothing.
            let filter = FilterView { fingerprint: Some(fingerprint.clone()), ..FilterView::default() };
            let action = OperationAction::Redrive.to_string();
            let found =
                client.preview_operation(&BeginOperation { action, filter, ..BeginOperation::default() }).await?;
            let cause = Cause { list, workspaces: found.workspaces.clone(), other_workspaces: found.other_workspaces };
            out.text(&cause, |cause| describe(&cause.list, &fingerprint, bulk::workspaces(&found)))
        }
        DeadCommand::Redrive(args) => bulk(OperationAction::Redrive, &args, client, out).await,
        DeadCommand::Discard(args) => bulk(OperationAction::Discard, &args, client, out).await,
    }
}

async fn bulk(action: OperationAction, args: &BulkArgs, client: &Client, out: &mut Output) -> Result<(), Failure> {
    bulk::carry_out(bulk::order(action, &args.filter, None, &args.how), &args.how, client, out).await
}

fn row(group: &DeadGroupView) -> Vec<String> {
    vec![
        group.count.to_string(),
        group.queue.clone(),
        group.job_type.clone(),
        group.reason.clone().unwrap_or_default(),
        group.fingerprint.clone(),
        group.first_at.clone(),
        group.last_at.clone(),
        group.sample.clone(),
    ]
}

fn describe(list: &DeadList, fingerprint: &str, workspaces: Option<String>) -> String {
    let mut groups: Vec<String> = list.groups.iter().map(group).collect();
    groups.extend(workspaces.map(|of| format!("workspaces {of}")));
    format!("{}\n\nwindlass dead redrive --fingerprint {fingerprint} --dry-run", groups.join("\n\n"))
}

fn group(group: &DeadGroupView) -> String {
    let mut rows = vec![
        ("dead", format!("{} of {} in queue {}", group.count, group.job_type, group.queue)),
        ("reason", group.reason.clone().unwrap_or_default()),
        ("first", group.first_at.clone()),
        ("last", format!("{}, {}", group.last_at, group.sample)),
    ];
    if let Some(job) = &group.job {
        rows.push(("of", format!("workspace {}", job.workspace)));
        rows.push(("attempt", format!("{} of {}", job.attempt, job.max_attempts)));
        rows.extend(job.failure.as_ref().map(|failure| ("failure", failure.message.clone())));
    }
    facts(&rows)
}
