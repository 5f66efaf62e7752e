//! `windlass workers …`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::failure::{Code, Failure};
use super::output::{Output, clean, facts, render};
use super::restart::{self, RestartArgs};
use super::span::relative;
use crate::api::worker::{JobInHand, OrderView, WorkerDetail, WorkerView};
use crate::client::Client;
use crate::clock;
use crate::domain::{Order, Timestamp, WorkerId};

/// Between two looks at whether a worker obeyed.
const LOOK: Duration = Duration::from_millis(100);
/// A live worker obeys within a moment; one that does not is cut off from Redis, or hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// List live worker processes, and tell them what to do.
#[derive(Debug, Subcommand)]
pub enum WorkersCommand {
    /// List live worker processes
    List,
    /// Show one worker: how it stands, what it serves, and the jobs that it holds now
    Show {
        /// Its id, as `windlass workers list` shows it
        worker: WorkerId,
    },
    /// Tell workers to claim nothing more; what they run goes on
    Quiet(Targets),
    /// Tell quiet workers to claim again
    Resume(Targets),
    /// Tell workers to end as after SIGTERM: finish within their grace, hand back the rest, exit 0
    Stop(Targets),
    /// Restart the fleet, a few processes at a time; their supervisor has to start new ones
    Restart(RestartArgs),
}

/// Which workers are meant.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
#[command(after_help = "Examples, of quiet, resume and stop alike:
  windlass workers quiet --host gpu-3
  windlass workers resume --all
  windlass workers stop 01dYbQxCuc9WqkFEDcvbzN")]
pub struct Targets {
    /// Their ids
    #[arg(value_name = "WORKER")]
    ids: Vec<WorkerId>,
    /// Every live one
    #[arg(long)]
    all: bool,
    /// Every live one on this machine
    #[arg(long)]
    host: Option<String>,
}

/// Runs one of the commands.
pub(super) async fn run(command: WorkersCommand, client: &Client, out: &mut Output) -> Result<(), Failure> {
    match command {
        WorkersCommand::List => {
            let list = client.workers().await?;
            let header = ["WORKER", "HOST", "PID", "VERSION", "STATE", "BUSY", "QUEUES", "TYPES", "SEEN"];
            out.table(&list, &header, |list| list.workers.iter().map(row).collect())
        }
        WorkersCommand::Show { worker } => match client.worker(worker).await {
            Ok(found) => out.text(&found, describe),
            Err(error) if error.code() == Some("not_found") => {
                Err(Failure::from(error).hint("`windlass workers list` shows who lives; an id is fresh on every start"))
            }
            Err(error) => Err(error.into()),
        },
        WorkersCommand::Quiet(targets) => tell(Order::Quiet, &targets, client, out).await,
        WorkersCommand::Resume(targets) => tell(Order::Resume, &targets, client, out).await,
        WorkersCommand::Stop(targets) => tell(Order::Stop, &targets, client, out).await,
        WorkersCommand::Restart(args) => restart::run(args, client, out).await,
    }
}

fn row(worker: &WorkerView) -> Vec<String> {
    let queues: Vec<String> = worker.queues.iter().map(|q| format!("{}={}", q.name, q.weight)).collect();
    vec![
        worker.id.clone(),
        worker.host.clone(),
        worker.pid.to_string(),
        worker.version.clone(),
        standing(worker),
        format!("{}/{}", worker.busy, worker.slots),
        queues.join(","),
        worker.types.join(","),
        worker.seen_at.clone(),
    ]
}

/// Id, host, state and slots, for the table of a queue.
pub(super) fn brief(worker: &WorkerView) -> Vec<String> {
    let slots = format!("{}/{}", worker.busy, worker.slots);
    vec![worker.id.clone(), worker.host.clone(), standing(worker), slots]
}

fn describe(found: &WorkerDetail) -> String {
    let worker = &found.worker;
    let queues: Vec<String> = worker.queues.iter().map(|q| format!("{} (weight {})", q.name, q.weight)).collect();
    let mut rows = vec![
        ("worker", worker.id.clone()),
        ("state", standing(worker)),
        ("host", format!("{}, process {}", worker.host, worker.pid)),
        ("version", worker.version.clone()),
        ("queues", queues.join(", ")),
        ("types", worker.types.join(", ")),
        ("slots", format!("{} of {} taken at the last heartbeat", worker.busy, worker.slots)),
        ("started", moment(&worker.started_at, &found.at)),
        ("heard", moment(&worker.seen_at, &found.at)),
    ];
    if !worker.hears {
        rows.push(("orders", "ignored: its version knows none".to_owned()));
    }
    let more = if found.jobs_complete { "" } else { " or more" };
    rows.push(("jobs", format!("{}{more}", found.jobs.len())));
    let mut text = facts(&rows);
    if !found.jobs.is_empty() {
        let since = |job: &JobInHand| job.started_at.as_ref().map(|at| moment(at, &found.at)).unwrap_or_default();
        let row = |job: &JobInHand| {
            let (queue, workspace, attempt) = (job.queue.clone(), job.workspace.clone(), job.attempt.to_string());
            vec![job.id.clone(), job.job_type.clone(), queue, workspace, attempt, since(job)]
        };
        let header = ["JOB", "TYPE", "QUEUE", "WORKSPACE", "ATTEMPT", "SINCE"];
        text.push_str(&format!("\n\n{}", render(&header, found.jobs.iter().map(row).collect())));
    }
    text
}

/// A time, and how long ago it was by Redis' clock.
fn moment(at: &str, now: &str) -> String {
    match (Timestamp::parse(at), Timestamp::parse(now)) {
        (Ok(then), Ok(now)) => format!("{at}, {}", relative(then, now)),
        _ => at.to_owned(),
    }
}

/// `quiet by alice`.
fn standing(worker: &WorkerView) -> String {
    let state = worker.standing();
    match &worker.told_by {
        Some(by) => format!("{state} by {by}"),
        None => state.to_owned(),
    }
}

async fn tell(order: Order, targets: &Targets, client: &Client, out: &mut Output) -> Result<(), Failure> {
    let ids = chosen(targets, client).await?;
    let mut told = Vec::new();
    let mut gone = None;
    for id in ids {
        match client.order(id, order).await {
            Ok(answer) => told.push(answer),
            // One that ended meanwhile does not keep the others from being told.
            Err(error) if error.code() == Some("not_found") => gone = Some((id, error)),
            Err(error) => return Err(error.into()),
        }
    }
    let waiting = confirm(order, &told, client).await?;
    out.table(&told, &["WORKER", "TOLD", "BY", "RESULT"], |told| {
        let row = |one: &OrderView| vec![one.id.clone(), one.order.clone(), one.by.clone(), result(one, &waiting)];
        told.iter().map(row).collect()
    })?;
    if let Some((id, error)) = gone.filter(|_| !targets.all && targets.host.is_none()) {
        let failure = Failure::from(error);
        return Err(Failure { message: format!("{id}: {}", failure.message), ..failure }
            .hint("`windlass workers list` shows who lives; an id is fresh on every start"));
    }
    if told.iter().any(|one| !one.hears) {
        return Err(Failure::new(Code::Failure, "workers of an older version ignore orders")
            .hint("send SIGTERM to them on their machine; `windlass workers list` shows HOST and PID"));
    }
    match waiting.len() {
        0 => Ok(()),
        n => Err(Failure::new(Code::Failure, format_args!("{n} workers did not obey within {} s", PATIENCE.as_secs()))
            .hint("`windlass workers list` shows how they stand; one that hangs needs a signal on its machine")),
    }
}

async fn chosen(targets: &Targets, client: &Client) -> Result<Vec<WorkerId>, Failure> {
    if !targets.ids.is_empty() {
        return Ok(targets.ids.clone());
    }
    let list = client.workers().await?;
    let meant = |worker: &&WorkerView| targets.host.as_ref().is_none_or(|host| worker.host == *host);
    let ids: Vec<WorkerId> = list.workers.iter().filter(meant).filter_map(|worker| worker.id.parse().ok()).collect();
    match (ids.is_empty(), &targets.host) {
        (false, _) => Ok(ids),
        (true, Some(host)) => Err(Failure::new(Code::NotFound, format_args!("no live worker on {}", clean(host)))
            .hint("`windlass workers list` shows the hosts")),
        (true, None) => Err(Failure::new(Code::NotFound, "no worker is alive")),
    }
}

/// Waits until the told ones show that they obeyed; returns those that do not.
async fn confirm(order: Order, told: &[OrderView], client: &Client) -> Result<Vec<String>, Failure> {
    let end = clock::now() + PATIENCE;
    loop {
        let list = client.workers().await?;
        let state = |id: &str| list.workers.iter().find(|worker| worker.id == id).map(|worker| worker.state.as_str());
        let done = |one: &&OrderView| match (order, state(&one.id)) {
            (Order::Quiet, state) => matches!(state, Some("quiet" | "stopping") | None),
            (Order::Resume, state) => !matches!(state, Some("quiet")),
            (Order::Stop, state) => matches!(state, Some("stopping") | None),
        };
        let waiting: Vec<String> =
            told.iter().filter(|one| one.hears && !done(one)).map(|one| one.id.clone()).collect();
        if waiting.is_empty() || clock::now() >= end {
            return Ok(waiting);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn result(told: &OrderView, waiting: &[String]) -> String {
    match () {
        () if !told.hears => "ignores it: its version knows no orders".to_owned(),
        () if waiting.contains(&told.id) => "did not obey yet".to_owned(),
        () => "obeys".to_owned(),
    }
}
