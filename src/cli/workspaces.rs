//! `windlass workspaces …`.

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::output::Output;
use super::providers::usd;
use crate::api::workspace::{Limits, LlmLimits};
use crate::client::Client;
use crate::domain::Workspace;
use crate::domain::llm::MOST;

/// Show and set the limits of a workspace.
#[derive(Debug, Subcommand)]
pub enum WorkspacesCommand {
    /// Show limits, or set those that are given
    #[command(after_help = "Examples:
  windlass workspaces limits acme
  windlass workspaces limits acme --weight 3 --max-running 20
  windlass workspaces limits acme --max-running none
  windlass workspaces limits acme --llm-requests 60 --llm-usd-per-day 12.50
  windlass workspaces limits acme --llm-default")]
    Limits {
        /// The workspace
        workspace: Workspace,
        /// Share in line relative to the others
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
        weight: Option<u32>,
        /// Jobs running at once in each queue, or `none`
        #[arg(long, value_name = "N|none", value_parser = parse_cap)]
        max_running: Option<Cap<u32>>,
        #[command(flatten)]
        llm: LlmArgs,
    },
}

/// Limits of calls to language models. A workspace that is given one has limits of its own from then on: the others are
/// none until they are given too.
#[derive(Debug, Args)]
pub struct LlmArgs {
    /// Calls to language models begun in any minute, or `none`
    #[arg(long, value_name = "N|none", value_parser = parse_amount)]
    llm_requests: Option<Cap<u64>>,
    /// Tokens of these calls, or `none`
    #[arg(long, value_name = "N|none", value_parser = parse_amount)]
    llm_tokens: Option<Cap<u64>>,
    /// Calls to language models under way at once, or `none`
    #[arg(long, value_name = "N|none", value_parser = parse_amount)]
    llm_concurrency: Option<Cap<u64>>,
    /// Spending on language models in a day (UTC), or `none`
    #[arg(long, value_name = "USD|none", value_parser = parse_usd)]
    llm_usd_per_day: Option<Cap<u64>>,
    /// No limits of its own for calls to language models: those of the settings
    #[arg(long, conflicts_with_all = ["llm_requests", "llm_tokens", "llm_concurrency", "llm_usd_per_day"])]
    llm_default: bool,
}

impl LlmArgs {
    fn is_empty(&self) -> bool {
        let given = [self.llm_requests, self.llm_tokens, self.llm_concurrency, self.llm_usd_per_day];
        !self.llm_default && given.iter().all(Option::is_none)
    }

    /// What is not given stays.
    fn over(&self, had: Option<LlmLimits>) -> Option<LlmLimits> {
        if self.llm_default || self.is_empty() {
            return had.filter(|_| !self.llm_default);
        }
        let had = had.unwrap_or_default();
        let set = |given: Option<Cap<u64>>, had: Option<u64>| given.map_or(had, |cap| cap.0);
        Some(LlmLimits {
            requests_per_minute: set(self.llm_requests, had.requests_per_minute),
            tokens_per_minute: set(self.llm_tokens, had.tokens_per_minute),
            concurrency: set(self.llm_concurrency, had.concurrency),
            nano_usd_per_day: set(self.llm_usd_per_day, had.nano_usd_per_day),
        })
    }
}

/// A limit, or the wish to have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap<T>(Option<T>);

fn parse_cap(text: &str) -> Result<Cap<u32>, String> {
    match text {
        "none" => Ok(Cap(None)),
        number => match number.parse() {
            Ok(cap @ 1..=1_000_000) => Ok(Cap(Some(cap))),
            _ => Err("must be from 1 to 1000000, or `none`".to_owned()),
        },
    }
}

fn parse_amount(text: &str) -> Result<Cap<u64>, String> {
    match text {
        "none" => Ok(Cap(None)),
        number => match number.parse() {
            Ok(amount @ 1..=MOST) => Ok(Cap(Some(amount))),
            _ => Err(format!("must be from 1 to {MOST}, or `none`")),
        },
    }
}

/// Dollars with at most nine decimals, as nano-USD: no floating point touches money.
fn parse_usd(text: &str) -> Result<Cap<u64>, String> {
    if text == "none" {
        return Ok(Cap(None));
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let fits = !whole.is_empty() && digits(whole) && digits(part) && part.len() <= 9;
    let nano = fits.then(|| format!("{whole}{part:0<9}").parse::<u64>().ok()).flatten();
    match nano {
        Some(nano @ 1..=MOST) => Ok(Cap(Some(nano))),
        _ => Err("must be an amount such as 12.50, up to 1000000 and with at most nine decimals, or `none`".to_owned()),
    }
}

/// Runs one of the commands.
pub(super) async fn run(command: WorkspacesCommand, client: &Client, out: &mut Output) -> Result<(), Failure> {
    let WorkspacesCommand::Limits { workspace, weight, max_running, llm } = command;
    let mut limits = client.limits(&workspace).await?;
    if weight.is_some() || max_running.is_some() || !llm.is_empty() {
        limits = Limits {
            weight: weight.unwrap_or(limits.weight),
            max_running: max_running.map_or(limits.max_running, |cap| cap.0),
            llm: llm.over(limits.llm),
        };
        client.set_limits(&workspace, limits).await?;
    }
    let header = ["WORKSPACE", "WEIGHT", "MAX RUNNING", "LLM REQUESTS/MIN", "TOKENS/MIN", "AT ONCE", "A DAY"];
    out.table(&limits, &header, |limits| vec![row(&workspace, limits)])
}

fn row(workspace: &Workspace, limits: &Limits) -> Vec<String> {
    let none = || "none".to_owned();
    let cap = limits.max_running.map_or_else(none, |cap| cap.to_string());
    let llm = match limits.llm {
        None => [(); 4].map(|()| "default".to_owned()),
        Some(llm) => {
            let [requests, tokens, calls] = [llm.requests_per_minute, llm.tokens_per_minute, llm.concurrency]
                .map(|limit| limit.map_or_else(none, |n| n.to_string()));
            [requests, tokens, calls, llm.nano_usd_per_day.map_or_else(none, usd)]
        }
    };
    [vec![workspace.to_string(), limits.weight.to_string(), cap], llm.to_vec()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_exactly() {
        for (text, nano) in [("12.50", 12_500_000_000), ("1", 1_000_000_000), ("0.000000001", 1), ("1000000", MOST)] {
            assert_eq!(parse_usd(text), Ok(Cap(Some(nano))), "{text}");
        }
        assert_eq!(parse_usd("none"), Ok(Cap(None)));
        for wrong in ["", ".", "0", "0.0", "-1", "1e3", "1,5", "1.0000000001", "1000001", "+1", "1.2.3"] {
            assert!(parse_usd(wrong).is_err(), "{wrong}");
        }
    }
}
