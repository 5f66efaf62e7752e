//! `windlass workers …`.

use clap::Subcommand;

use super::failure::Failure;
use super::output::Output;
use crate::api::worker::WorkerView;
use crate::client::Client;

/// List live worker processes.
#[derive(Debug, Subcommand)]
pub enum WorkersCommand {
    /// List live worker processes
    List,
}

/// Runs one of the commands.
pub(super) async fn run(command: WorkersCommand, client: &Client, out: &mut Output) -> Result<(), Failure> {
    match command {
        WorkersCommand::List => {
            let list = client.workers().await?;
            let header = ["WORKER", "HOST", "PID", "VERSION", "STATUS", "BUSY", "QUEUES", "TYPES", "SEEN"];
            out.table(&list, &header, |list| list.workers.iter().map(row).collect())
        }
    }
}

fn row(worker: &WorkerView) -> Vec<String> {
    let queues: Vec<String> = worker.queues.iter().map(|q| format!("{}={}", q.name, q.weight)).collect();
    vec![
        worker.id.clone(),
        worker.host.clone(),
        worker.pid.to_string(),
        worker.version.clone(),
        worker.status.clone(),
        format!("{}/{}", worker.busy, worker.slots),
        queues.join(","),
        worker.types.join(","),
        worker.seen_at.clone(),
    ]
}
