//! `windlass logs …`.

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::output::Output;
use super::span;
use crate::api::control::{LOG_LEVEL_MOST, LogLevel, SetLogLevel};
use crate::client::Client;

/// Our own modules, which may be named without their crate.
const MODULES: [&str; 13] = [
    "access",
    "api",
    "app",
    "cli",
    "client",
    "config",
    "domain",
    "engine",
    "executors",
    "http",
    "metrics",
    "store",
    "telemetry",
];

/// Show and change what the fleet logs.
#[derive(Debug, Subcommand)]
pub enum LogsCommand {
    /// Show what is logged, or change it on every process for a while
    #[command(after_help = "Examples:
  windlass logs level
  windlass logs level debug
  windlass logs level debug --for 1h
  windlass logs level --target http=debug --target store=trace
  windlass logs level --reset")]
    Level(LevelArgs),
}

/// Options of `logs level`.
#[derive(Debug, Args)]
pub struct LevelArgs {
    /// error, warn, info, debug or trace, or directives as in LOG_LEVEL
    level: Option<String>,
    /// For how long, such as 90s, 10m or 2h; a day at most
    #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = parse_time)]
    length: u64,
    /// Another level for one module; the rest keeps to LEVEL, or to info
    #[arg(long = "target", value_name = "MODULE=LEVEL", value_parser = parse_target)]
    targets: Vec<String>,
    /// Back to each process's own settings, now
    #[arg(long, conflicts_with_all = ["level", "targets", "length"])]
    reset: bool,
}

/// Runs one of the commands.
pub(super) async fn run(command: LogsCommand, client: &Client, out: &mut Output) -> Result<(), Failure> {
    let LogsCommand::Level(args) = command;
    if args.reset {
        client.reset_log_level().await?;
        let shown = client.log_level().await?;
        return out.done(&shown, "every process logs by its own settings again within two seconds");
    }
    let shown = if args.level.is_none() && args.targets.is_empty() {
        client.log_level().await?
    } else {
        let mut level = args.level.unwrap_or_else(|| "info".to_owned());
        for target in &args.targets {
            level.push_str(&format!(",{target}"));
        }
        client.set_log_level(&SetLogLevel { level, for_seconds: Some(args.length) }).await?
    };
    out.text(&shown, text)
}

fn text(shown: &LogLevel) -> String {
    match (&shown.until, &shown.by) {
        (Some(until), Some(by)) => {
            format!("{} until {until}, by {by}; then {} as configured", shown.level, shown.configured)
        }
        _ => format!("{} as configured", shown.level),
    }
}

/// Seconds, of a day at most.
fn parse_time(text: &str) -> Result<u64, String> {
    let seconds = span::parse(text).ok().map(|time| time.as_secs());
    seconds
        .filter(|seconds| (1..=LOG_LEVEL_MOST).contains(seconds))
        .ok_or_else(|| "must be a time from 1s to 24h, such as 90s, 10m or 2h".to_owned())
}

fn parse_target(text: &str) -> Result<String, String> {
    let (module, level) = text.split_once('=').ok_or("must be MODULE=LEVEL, such as http=debug")?;
    let head = module.split("::").next().unwrap_or_default();
    let ours = MODULES.contains(&head);
    Ok(if ours { format!("windlass::{module}={level}") } else { format!("{module}={level}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_bounds() {
        assert_eq!(["45", "90s", "10m", "24h"].map(|text| parse_time(text).ok()), [45, 90, 600, 86_400].map(Some));
        for bad in ["", "0", "m", "10d", "25h", "-1", "1.5h", "99999999999999999999h"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn our_modules_need_no_crate() {
        assert_eq!(parse_target("http=debug").as_deref(), Ok("windlass::http=debug"));
        assert_eq!(parse_target("store::link=trace").as_deref(), Ok("windlass::store::link=trace"));
        assert_eq!(parse_target("windlass::http=debug").as_deref(), Ok("windlass::http=debug"));
        assert_eq!(parse_target("fred=debug").as_deref(), Ok("fred=debug"));
        assert!(parse_target("http").is_err());
    }
}
