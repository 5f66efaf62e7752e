//! `windlass queues …`.

mod show;

use std::time::Duration;

use clap::{Args, Subcommand};

use super::drain::{self, DrainArgs};
use super::failure::Failure;
use super::output::Output;
use super::span::{self, brief};
use crate::api::queue::{PausedPart, QueueCommand, QueueView, SwitchView};
use crate::api::scaling::QueueFigures;
use crate::client::Client;
use crate::domain::{JobType, QueueName, Workspace};

/// List, pause, resume and drain queues.
#[derive(Debug, Subcommand)]
pub enum QueuesCommand {
    /// List queues with their depth and switches
    List,
    /// Show one queue: how deep it is, what its jobs wait for, who paused it, and which workers serve it
    Show {
        /// The queue
        queue: QueueName,
    },
    /// Stop workers from claiming; jobs stay in line and new ones are accepted
    Pause(SwitchArgs),
    /// Lift a pause, and open the intake again after a drain
    Resume(SwitchArgs),
    /// Refuse new jobs; workers finish what is in line
    Drain(DrainArgs),
    /// Show the figures that autoscalers read, with the number of workers that they suggest
    Stats {
        /// Only this queue
        #[arg(long)]
        queue: Option<QueueName>,
        /// The line is to be worked off within this time, such as 60s
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span::parse)]
        drain_within: Duration,
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
    /// `mail`, or `smtp.send in mail`.
    fn what(&self) -> String {
        let part = self.job_type.as_ref().map(ToString::to_string);
        let part = part.or_else(|| self.workspace.as_ref().map(|name| format!("workspace {name}")));
        part.map_or_else(|| self.queue.to_string(), |part| format!("{part} in {}", self.queue))
    }

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
        QueuesCommand::Show { queue } => show::show(&queue, client, out).await,
        QueuesCommand::Pause(args) => {
            let queue = client.queue_command(&args.queue, "pause", &args.body()).await?;
            let text = match &queue.already {
                Some(first) => format!("{} is paused already, {}", args.what(), by(first)),
                None => format!("{} is paused", args.what()),
            };
            out.done(&queue, &text)
        }
        QueuesCommand::Resume(args) => {
            let queue = client.queue_command(&args.queue, "resume", &args.body()).await?;
            out.done(&queue, &format!("{} goes on", args.what()))
        }
        QueuesCommand::Drain(args) => drain::run(args, client, out).await,
        QueuesCommand::Stats { queue, drain_within } => {
            let stats = client.queue_stats(queue.as_ref(), drain_within).await?;
            let header = ["QUEUE", "PENDING", "RUNNING", "OLDEST", "IN/S", "OUT/S", "WORKERS", "BUSY", "SUGGESTED"];
            out.table(&stats, &header, |stats| {
                let rows = stats.queues.iter().map(|(name, figures)| (name.as_str(), figures));
                rows.chain([("total", &stats.total)]).map(figures_row).collect()
            })
        }
    }
}

fn figures_row((name, of): (&str, &QueueFigures)) -> Vec<String> {
    vec![
        name.to_owned(),
        of.pending.to_string(),
        of.running.to_string(),
        brief(Duration::try_from_secs_f64(of.oldest_seconds).unwrap_or_default()),
        format!("{:.1}", of.enqueue_rate),
        format!("{:.1}", of.dequeue_rate),
        of.workers.to_string(),
        format!("{}/{}", of.busy, of.slots),
        of.suggested_workers.to_string(),
    ]
}

/// `by alice at … reason`.
fn by(switch: &SwitchView) -> String {
    let mut text = format!("by {} at {}", switch.by, switch.at);
    if !switch.reason.is_empty() {
        text.push_str(&format!(" {}", switch.reason));
    }
    if let (Some(deadline), Some(then)) = (&switch.deadline, &switch.then) {
        text.push_str(&format!(" (what is left at {deadline}: {then})"));
    }
    text
}

/// `llm.chat paused by alice at …`.
fn part(part: &PausedPart) -> String {
    let what = part.job_type.as_ref().or(part.workspace.as_ref()).map_or("", String::as_str);
    format!("{what} paused {}", by(&part.switch))
}

fn row(queue: &QueueView) -> Vec<String> {
    let switch = |name: &str, switch: &Option<SwitchView>| switch.as_ref().map(|s| format!("{name} {}", by(s)));
    let switches = [switch("paused", &queue.paused), switch("draining", &queue.draining)];
    let switches = switches.into_iter().chain(queue.paused_parts.iter().map(|one| Some(part(one))));
    let mut row = vec![queue.name.clone()];
    let counts = [queue.depth, queue.parked, queue.scheduled, queue.running, queue.held, queue.dead, queue.workers];
    row.extend(counts.iter().map(u64::to_string));
    row.push(queue.oldest_pending_ms.map_or_else(|| "-".to_owned(), |ms| brief(Duration::from_millis(ms))));
    row.push(switches.flatten().collect::<Vec<_>>().join("; "));
    row
}
