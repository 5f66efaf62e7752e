//! Everything that can be typed, and its help.

use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use super::actions::ActionsCommand;
use super::credentials::CredentialsCommand;
use super::dead::DeadCommand;
use super::jobs::JobsCommand;
use super::keys::KeysCommand;
use super::logs::LogsCommand;
use super::operations::OperationsCommand;
use super::paint::ColorWhen;
use super::providers::ProvidersCommand;
use super::queues::QueuesCommand;
use super::shell::{CompletionsArgs, ManArgs};
use super::top::TopArgs;
use super::usage::UsageArgs;
use super::workers::WorkersCommand;
use super::workspaces::WorkspacesCommand;

const EXAMPLES: &str = "Examples:
  windlass dev                                    everything on this machine, nothing to configure
  REDIS_URL=redis://10.0.0.5 windlass serve       the API
  REDIS_URL=redis://10.0.0.5 windlass worker      a worker, on as many machines as you like
  windlass jobs submit echo --input '{\"text\":\"hello\"}' --wait 10
  windlass jobs list --state dead --output json
  windlass top                                    what goes on, live
  windlass why 01dVmX8Y1uj8y5I0EHlEd0             what a job waits for, and what to do
  windlass why default                            the same for the jobs of a queue

The operator commands speak to WINDLASS_URL with the key in WINDLASS_API_KEY.
Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 refused, 5 unreachable, 130 interrupted.";

/// Heading of the options that every command has, so that those of one stand together.
const GLOBAL: &str = "Global options";

/// The job queue engine for AI work.
#[derive(Debug, Parser)]
#[command(name = "windlass", version, about, after_help = EXAMPLES, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Parses the arguments of this process; prints help or a usage error and exits when they ask
    /// for it.
    #[must_use]
    pub fn of_process() -> Self {
        let color = ColorWhen::among(std::env::args_os()).for_clap();
        let matches = Self::command().color(color).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// What holds for every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Settings file [default: windlass.toml if there is one]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Tables for people, or JSON for scripts
    #[arg(long, short, global = true, help_heading = GLOBAL, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// Colours on a terminal [env: NO_COLOR, CLICOLOR=0, TERM=dumb]
    #[arg(long, global = true, help_heading = GLOBAL, value_enum, value_name = "WHEN", default_value_t = ColorWhen::Auto)]
    pub color: ColorWhen,
    /// API to talk to [env: WINDLASS_URL]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "URL")]
    pub url: Option<String>,
    /// File that holds the API key [env: WINDLASS_API_KEY holds the key itself]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
}

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For scripts.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything on this machine: a private Redis, a fake model, the API and workers
    Dev(DevArgs),
    /// Show the queue at work: mixed jobs, replays, a killed worker, and nothing lost
    Demo(DemoArgs),
    /// Run the API
    Serve(ServeArgs),
    /// Run a worker process
    Worker(WorkerArgs),
    /// Run an OpenAI-compatible server that makes up its answers
    FakeLlm(FakeLlmArgs),
    /// Check Redis (REDIS_URL) and the API (WINDLASS_URL), and say what to do
    Doctor,
    /// Print the OpenAPI document
    Openapi,
    /// Show or check the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write those of all commands
    Man(ManArgs),
    /// Commands that speak to the API.
    #[command(flatten)]
    Operator(OperatorCommand),
}

/// Commands that speak to the API.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// Watch queues, workers, dead letters and what is wrong with them, live
    Top(TopArgs),
    /// Submit, list and show jobs; cancel, redrive, hold, release and move them; decide about held ones
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// Say what a job, or the jobs of a queue, wait for, and what to do
    Why {
        /// A job's id or a queue's name
        #[arg(value_name = "JOB|QUEUE")]
        subject: String,
    },
    /// Show and set the rules for actions: job types with effects outside
    #[command(subcommand)]
    Actions(ActionsCommand),
    /// List, pause, resume and drain queues; figures for autoscalers
    #[command(subcommand)]
    Queues(QueuesCommand),
    /// List worker processes, quiet, resume, stop and restart them from afar
    #[command(subcommand)]
    Workers(WorkersCommand),
    /// Show and test the providers of language models
    #[command(subcommand)]
    Providers(ProvidersCommand),
    /// Show what calls to language models used and cost
    Usage(UsageArgs),
    /// List dead letters by cause, and redrive or discard them
    #[command(subcommand)]
    Dead(DeadCommand),
    /// List, show, watch, stop and resume bulk operations
    #[command(subcommand)]
    Operations(OperationsCommand),
    /// Create, list and revoke API keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Show and change what the fleet logs
    #[command(subcommand)]
    Logs(LogsCommand),
    /// Add, list, test, remove and re-encrypt credentials of workspaces
    #[command(subcommand)]
    Credentials(CredentialsCommand),
    /// Show and set the limits of a workspace
    #[command(subcommand)]
    Workspaces(WorkspacesCommand),
}

/// Show or check the settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every setting with its source, secrets redacted; exit 2 when they cannot be used
    Check,
}

/// Options of `serve`.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// Address to listen on [env: HOST]
    #[arg(long)]
    pub host: Option<String>,
    /// Port to listen on; 0 takes any free one [env: PORT]
    #[arg(long)]
    pub port: Option<u16>,
}

/// Options of `worker`.
#[derive(Debug, Default, Args)]
#[command(after_help = "Example:
  REDIS_URL=redis://10.0.0.5 windlass worker --queues mail=3,default=1 --concurrency 16")]
pub struct WorkerArgs {
    /// Queues with weights, such as `mail=3,default=1` [env: QUEUES]
    #[arg(long, value_name = "LIST")]
    pub queues: Option<String>,
    /// Jobs at once; 0 means four per core [env: WORKER_CONCURRENCY]
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u32>,
    /// Port of the health server; 0 switches it off [env: WORKER_PORT]
    #[arg(long)]
    pub port: Option<u16>,
}

/// Options of `dev`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass dev
  OPENAI_API_KEY=sk-... windlass dev --real-llm --workers 2")]
pub struct DevArgs {
    /// Folder for Redis data and worker logs; kept between runs
    #[arg(long, value_name = "DIR", default_value = ".windlass")]
    pub data: PathBuf,
    /// Port of the API; 0 takes any free one [env: PORT]
    #[arg(long)]
    pub port: Option<u16>,
    /// Worker processes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=64))]
    pub workers: u16,
    /// Use the configured LLM provider instead of the built-in fake model
    #[arg(long)]
    pub real_llm: bool,
    /// Redis server binary [default: valkey-server or redis-server from PATH]
    #[arg(long, value_name = "FILE")]
    pub redis_bin: Option<PathBuf>,
}

/// Options of `demo`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass demo
  windlass demo --jobs 2000 --keep")]
pub struct DemoArgs {
    /// Folder for Redis data and logs; kept between runs
    #[arg(long, value_name = "DIR", default_value = ".demo")]
    pub data: PathBuf,
    /// Jobs to submit
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(40..=100_000))]
    pub jobs: u32,
    /// Keep everything running after the table, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
    /// Redis server binary [default: valkey-server or redis-server from PATH]
    #[arg(long, value_name = "FILE")]
    pub redis_bin: Option<PathBuf>,
}

/// Options of `fake-llm`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  windlass fake-llm --port 11435 --requests-per-minute 60 --fault-rate 0.1")]
pub struct FakeLlmArgs {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    pub host: std::net::IpAddr,
    /// Port to listen on; 0 takes any free one
    #[arg(long, default_value_t = 11435)]
    pub port: u16,
    /// Milliseconds before an answer begins
    #[arg(long, value_name = "MS", default_value_t = 50)]
    pub delay_ms: u64,
    /// Calls begun in any minute; further ones are answered with 429
    #[arg(long, value_name = "N")]
    pub requests_per_minute: Option<usize>,
    /// Calls at once; further ones are answered with 429
    #[arg(long, value_name = "N")]
    pub concurrency: Option<usize>,
    /// Share of calls that fail at random, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub fault_rate: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
