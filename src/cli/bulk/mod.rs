//! One action on every job that a filter names: look, ask, begin, watch.
//!
//! The operation runs on the server. What happens to this command changes nothing about it.

mod confirm;
mod flags;
mod look;
mod progress;
mod watch;

use clap::{Args, Subcommand};

use super::failure::{Code, Failure};
use super::output::Output;
use crate::api::operation::{BeginOperation, OperationView, PreviewView};
use crate::client::{Client, ClientError};
use crate::domain::{JobId, OperationAction, QueueName};

pub(super) use flags::{Filter, How, parse_rate};
pub(super) use look::{filter, workspaces};
pub(super) use watch::{missing, outcome, shards, watch};

const EXAMPLES: &str =
    "With ids, these jobs at once; with a filter, every job that it names, as an operation on the server:
counted and shown first, then confirmed, paced, and watched. `windlass operations` has those under way.

Examples:
  windlass jobs cancel 01dVmX8Y1uj8y5I0EHlEd0
  windlass jobs cancel --type llm.chat --older-than 2d --dry-run
  windlass jobs redrive --state cancelled --workspace acme --rate 50/s
  windlass jobs move --queue default --type webhook.send --to hooks --yes";

/// What is done to jobs by id, or to all that a filter names.
#[derive(Debug, Subcommand)]
pub enum BulkCommand {
    /// Cancel jobs, running ones included
    #[command(after_help = EXAMPLES)]
    Cancel(Box<JobsArgs>),
    /// Give dead, cancelled or expired jobs another life; by filter, dead ones unless --state says otherwise
    #[command(after_help = EXAMPLES)]
    Redrive(Box<JobsArgs>),
    /// Put held jobs back in line that wait for actions, a credential or an operator
    #[command(after_help = EXAMPLES)]
    Release(Box<JobsArgs>),
    /// Set jobs aside until someone releases them
    #[command(after_help = EXAMPLES)]
    Hold(Box<FilterArgs>),
    /// Put jobs into another queue
    #[command(after_help = EXAMPLES)]
    Move(Box<MoveArgs>),
}

/// Jobs by id, or by filter.
#[derive(Debug, Args)]
pub struct JobsArgs {
    /// The jobs' ids
    #[arg(conflicts_with_all = ["States", "Filter", "How"])]
    jobs: Vec<JobId>,
    #[command(flatten)]
    states: flags::States,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    how: How,
}

/// Jobs by filter alone.
#[derive(Debug, Args)]
pub struct FilterArgs {
    #[command(flatten)]
    states: flags::States,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    how: How,
}

/// Options of `jobs move`.
#[derive(Debug, Args)]
pub struct MoveArgs {
    /// The queue to move them to
    #[arg(long = "to", value_name = "QUEUE")]
    target: QueueName,
    #[command(flatten)]
    those: FilterArgs,
}

/// Runs one of the commands.
pub(super) async fn run(command: BulkCommand, client: &Client, out: &mut Output) -> Result<(), Failure> {
    match command {
        BulkCommand::Cancel(args) => these_or_all(OperationAction::Cancel, *args, client, out).await,
        BulkCommand::Redrive(args) => these_or_all(OperationAction::Redrive, *args, client, out).await,
        BulkCommand::Release(args) => these_or_all(OperationAction::Release, *args, client, out).await,
        BulkCommand::Hold(args) => {
            let wanted = order(OperationAction::Hold, &args.filter, Some(&args.states), &args.how);
            carry_out(wanted, &args.how, client, out).await
        }
        BulkCommand::Move(args) => {
            let those = &args.those;
            let wanted = order(OperationAction::Move, &those.filter, Some(&those.states), &those.how);
            let wanted = BeginOperation { target: Some(args.target.to_string()), ..wanted };
            carry_out(wanted, &those.how, client, out).await
        }
    }
}

async fn these_or_all(
    action: OperationAction,
    args: JobsArgs,
    client: &Client,
    out: &mut Output,
) -> Result<(), Failure> {
    if args.jobs.is_empty() {
        let wanted = order(action, &args.filter, Some(&args.states), &args.how);
        return carry_out(wanted, &args.how, client, out).await;
    }
    for id in args.jobs {
        let job = match action {
            OperationAction::Cancel => client.cancel(id).await?,
            OperationAction::Release => client.release(id).await?,
            _ => client.redrive(id).await?,
        };
        out.text(&job, |job| format!("{} {}", job.id, job.state))?;
    }
    Ok(())
}

/// The operation that flags describe.
pub(super) fn order(
    action: OperationAction,
    filter: &Filter,
    states: Option<&flags::States>,
    how: &How,
) -> BeginOperation {
    let mut view = filter.view();
    if let Some(states) = states {
        states.add_to(&mut view);
    }
    BeginOperation {
        action: action.to_string(),
        filter: view,
        all: filter.all,
        rate: how.rate,
        note: how.note.clone(),
        ..BeginOperation::default()
    }
}

/// Looks, asks, begins and watches.
pub(super) async fn carry_out(
    wanted: BeginOperation,
    how: &How,
    client: &Client,
    out: &mut Output,
) -> Result<(), Failure> {
    if !how.dry_run && !wanted.all && wanted.filter.is_empty() {
        let said = format!("which jobs? This would {} every one that it can", wanted.action);
        return Err(Failure::new(Code::Usage, said).hint(
            "name some with --queue, --type, --workspace, --older-than …, or say --all; --help lists the flags",
        ));
    }
    let found = client.preview_operation(&wanted).await?;
    if how.dry_run || found.matched == 0 {
        return out.text(&found, |found| look::describe(found, wanted.rate));
    }
    out.note(&look::describe(&found, wanted.rate))?;
    warn_of_target(&found, client, out).await?;
    if !how.yes {
        confirm::ask(found.matched, out).await?;
    }
    let operation = begin(&wanted, &found, client).await?;
    let id: JobId = watch::id_of(&operation)?;
    if how.detach {
        return out.text(&operation, begun);
    }
    out.note(&begun(&operation))?;
    watch(id, client, out).await
}

async fn begin(wanted: &BeginOperation, found: &PreviewView, client: &Client) -> Result<OperationView, Failure> {
    let made = u64::try_from(crate::clock::wall().unix_ms()).unwrap_or_default();
    let id = JobId::new(made, 0);
    let wanted = BeginOperation { expected: Some(found.matched), ..wanted.clone() };
    client.begin_operation(id, &wanted).await.map_err(|error| {
        let refused = matches!(&error, ClientError::Problem(problem) if problem.status < 500);
        let failure = Failure::from(error);
        if refused {
            return failure;
        }
        failure.hint(format!("it may have begun all the same: `windlass operations show {id}` tells"))
    })
}

fn begun(operation: &OperationView) -> String {
    let id = &operation.id;
    format!("operation {id} is under way; `windlass operations watch {id}` and `stop {id}` work from anywhere")
}

/// A typing error in `--to` should not hide the jobs in a queue that nobody serves.
async fn warn_of_target(found: &PreviewView, client: &Client, out: &mut Output) -> Result<(), Failure> {
    let Some(target) = &found.target else { return Ok(()) };
    let Ok(list) = client.queues().await else { return Ok(()) };
    match list.queues.iter().find(|queue| queue.name == *target) {
        None => out.note(&format!("warning: there is no queue {target} yet; it would be a new one, without workers")),
        Some(queue) if queue.workers == 0 => out.note(&format!("warning: no live worker serves queue {target}")),
        Some(_) => Ok(()),
    }
}
