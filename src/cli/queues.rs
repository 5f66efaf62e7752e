//! `windlass queues …`.

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::output::Output;
use crate::api::queue::{QueueCommand, QueueView};
use crate::client::Client;
use crate::domain::{JobType, QueueName, Workspace};

/// List, pause, resume and drain queues.
#[derive(Debug, Subcommand)]
pub enum QueuesCommand {
    /// List queues with their depth and switches
    List,
    /// Stop workers from claiming; jobs stay in line and new ones are accepted
    Pause(SwitchArgs),
    /// Lift a pause, and open the intake again after a drain
    Resume(SwitchArgs),
    /// Refuse new jobs; workers finish what is in line
    Drain {
        /// The queue
        queue: QueueName,
        /// Why, for the record
        #[arg(long)]
        reason: Option<String>,
    },
}

/// What a pause or a resume covers.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass queues pause mail --reason 'the provider is down'
  windlass queues resume mail --type smtp.send")]
pub struct SwitchArgs {
    /// The queue
    queue: QueueName,
    /// Only jobs of this type
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "workspace")]
    job_type: Option<JobType>,
    /// Only jobs of this workspace
    #[arg(long)]
    workspace: Option<Workspace>,
    /// Why, for the record
    #[arg(long)]
    reason: Option<String>,
}

impl SwitchArgs {
    fn body(&self) -> QueueCommand {
        QueueCommand {
            job_type: self.job_type.as_ref().map(ToString::to_string),
            workspace: self.workspace.as_ref().map(ToString::to_string),
            reason: self.reason.clone(),
        }
    }
}

/// Runs one of the commands.
pub(super) async fn run(command: QueuesCommand, client: &Client, out: &mut Output) -> Result<(), Failure> {
    match command {
        QueuesCommand::List => {
            let list = client.queues().await?;
            let header =
                ["QUEUE", "DEPTH", "PARKED", "SCHEDULED", "RUNNING", "HELD", "DEAD", "WORKERS", "OLDEST", "SWITCHES"];
            out.table(&list, &header, |list| list.queues.iter().map(row).collect())
        }
        QueuesCommand::Pause(args) => {
            client.queue_command(&args.queue, "pause", &args.body()).await?;
            out.note(&format!("{} is paused", args.queue))
        }
        QueuesCommand::Resume(args) => {
            client.queue_command(&args.queue, "resume", &args.body()).await?;
            out.note(&format!("{} goes on", args.queue))
        }
        QueuesCommand::Drain { queue, reason } => {
            client.queue_command(&queue, "drain", &QueueCommand { reason, ..QueueCommand::default() }).await?;
            out.note(&format!("{queue} takes no new jobs"))
        }
    }
}

fn row(queue: &QueueView) -> Vec<String> {
    let switch = |name: &str, switch: &Option<crate::api::queue::SwitchView>| {
        switch.as_ref().map(|s| format!("{name} by {} at {} {}", s.by, s.at, s.reason))
    };
    let switches = [switch("paused", &queue.paused), switch("draining", &queue.draining)];
    let mut row = vec![queue.name.clone()];
    let counts = [queue.depth, queue.parked, queue.scheduled, queue.running, queue.held, queue.dead, queue.workers];
    row.extend(counts.iter().map(u64::to_string));
    row.push(queue.oldest_pending_ms.map_or_else(|| "-".to_owned(), age));
    row.push(switches.into_iter().flatten().collect::<Vec<_>>().join("; "));
    row
}

/// Milliseconds as people say it.
fn age(ms: u64) -> String {
    match ms / 1000 {
        0 => format!("{ms} ms"),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}
