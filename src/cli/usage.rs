//! `windlass usage`.

use clap::{Args, ValueEnum};

use super::failure::Failure;
use super::output::Output;
use super::providers::usd;
use crate::api::usage::{GroupBy, UsageReport, UsageView};
use crate::client::Client;

/// Options of `usage`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass usage
  windlass usage --from 2026-01-01 --to 2026-01-31 --by workspace")]
pub struct UsageArgs {
    /// The first day, UTC [default: today]
    #[arg(long, value_name = "DAY")]
    pub from: Option<String>,
    /// The last day, UTC [default: today]
    #[arg(long, value_name = "DAY")]
    pub to: Option<String>,
    /// What the lines are for
    #[arg(long, value_enum, default_value_t = By::Model)]
    pub by: By,
}

/// What the lines are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Workspaces.
    Workspace,
    /// Providers.
    Provider,
    /// Models of providers.
    Model,
}

/// Runs the command.
pub(super) async fn run(args: UsageArgs, client: &Client, out: &mut Output) -> Result<(), Failure> {
    let group_by = match args.by {
        By::Workspace => GroupBy::Workspace,
        By::Provider => GroupBy::Provider,
        By::Model => GroupBy::Model,
    };
    let report = client.usage(args.from.as_deref(), args.to.as_deref(), group_by).await?;
    let header = ["NAME", "CALLS", "FAILED", "INPUT", "CACHED", "OUTPUT", "REASONING", "COST", "ESTIMATED", "UNPRICED"];
    out.table(&report, &header, rows)
}

/// The lines, and their sum below if there are several.
fn rows(report: &UsageReport) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = report.lines.iter().map(|line| row(&line.name, &line.usage)).collect();
    if rows.len() > 1 {
        rows.push(row("total", &report.total));
    }
    rows
}

fn row(name: &str, usage: &UsageView) -> Vec<String> {
    vec![
        name.to_owned(),
        usage.calls.to_string(),
        usage.failed.to_string(),
        usage.input_tokens.to_string(),
        usage.cached_tokens.to_string(),
        usage.output_tokens.to_string(),
        usage.reasoning_tokens.to_string(),
        usd(usage.nano_usd),
        usage.estimated_calls.to_string(),
        usage.unpriced_calls.to_string(),
    ]
}
