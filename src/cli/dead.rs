//! `windlass dead …`.

use clap::Subcommand;

use super::failure::Failure;
use super::output::Output;
use crate::api::dead::DeadGroupView;
use crate::client::Client;

/// List dead letters by cause.
#[derive(Debug, Subcommand)]
pub enum DeadCommand {
    /// List dead letters by cause, most dead first
    #[command(after_help = "`windlass jobs show SAMPLE` shows one of a group; \
        `windlass jobs redrive JOB` gives it another life.")]
    List,
}

/// Runs one of the commands.
pub(super) async fn run(command: DeadCommand, client: &Client, out: &mut Output) -> Result<(), Failure> {
    match command {
        DeadCommand::List => {
            let list = client.dead().await?;
            let header = ["COUNT", "QUEUE", "TYPE", "REASON", "FINGERPRINT", "FIRST", "LAST", "SAMPLE"];
            out.table(&list, &header, |list| list.groups.iter().map(row).collect())
        }
    }
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
