//! `windlass workspaces …`.

use clap::Subcommand;

use super::failure::Failure;
use super::output::Output;
use crate::api::workspace::Limits;
use crate::client::Client;
use crate::domain::Workspace;

/// Show and set the limits of a workspace.
#[derive(Debug, Subcommand)]
pub enum WorkspacesCommand {
    /// Show limits, or set those that are given
    #[command(after_help = "Examples:
  windlass workspaces limits acme
  windlass workspaces limits acme --weight 3 --max-running 20
  windlass workspaces limits acme --max-running none")]
    Limits {
        /// The workspace
        workspace: Workspace,
        /// Share in line relative to the others
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
        weight: Option<u32>,
        /// Jobs running at once in each queue, or `none`
        #[arg(long, value_name = "N|none", value_parser = parse_cap)]
        max_running: Option<Cap>,
    },
}

/// A cap, or the wish to have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap(Option<u32>);

fn parse_cap(text: &str) -> Result<Cap, String> {
    match text {
        "none" => Ok(Cap(None)),
        number => match number.parse() {
            Ok(cap @ 1..=1_000_000) => Ok(Cap(Some(cap))),
            _ => Err("must be from 1 to 1000000, or `none`".to_owned()),
        },
    }
}

/// Runs one of the commands.
pub(super) async fn run(command: WorkspacesCommand, client: &Client, out: &mut Output) -> Result<(), Failure> {
    let WorkspacesCommand::Limits { workspace, weight, max_running } = command;
    let mut limits = client.limits(&workspace).await?;
    if weight.is_some() || max_running.is_some() {
        limits = Limits {
            weight: weight.unwrap_or(limits.weight),
            max_running: max_running.map_or(limits.max_running, |cap| cap.0),
        };
        client.set_limits(&workspace, limits).await?;
    }
    out.table(&limits, &["WORKSPACE", "WEIGHT", "MAX RUNNING"], |limits| {
        let cap = limits.max_running.map_or_else(|| "none".to_owned(), |cap| cap.to_string());
        vec![vec![workspace.to_string(), limits.weight.to_string(), cap]]
    })
}
