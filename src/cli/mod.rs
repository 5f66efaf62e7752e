//! The command line: what it accepts, and the operator commands that speak HTTP to the API.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 ok, 1 failure, 2 usage, 3 not
//! found, 4 refused, 5 unreachable, 130 interrupted. Text from the server is cleaned of control characters
//! before it reaches a terminal.

mod actions;
mod args;
mod bulk;
mod credentials;
mod dead;
mod drain;
mod failure;
mod follow;
mod held;
mod jobs;
mod keys;
mod logs;
mod nearest;
mod operations;
mod output;
mod paint;
mod providers;
mod queues;
mod restart;
mod shell;
mod span;
mod tail;
mod top;
mod usage;
mod why;
mod workers;
mod workspaces;

pub use args::{
    Cli, Command, ConfigCommand, DemoArgs, DevArgs, FakeLlmArgs, Format, Global, OperatorCommand, ServeArgs, WorkerArgs,
};
pub use failure::{Code, Failure};
pub use output::{Output, clean, render};
pub use paint::{ColorWhen, Look, Paint};
pub use shell::{CompletionsArgs, ManArgs, completions, man};

use crate::client::Client;

/// Runs one operator command.
///
/// # Errors
/// What went wrong, with the exit code it deserves.
pub async fn operate(command: OperatorCommand, client: &Client, out: &mut Output) -> Result<(), Failure> {
    match command {
        OperatorCommand::Actions(command) => actions::run(command, client, out).await,
        OperatorCommand::Top(args) => Box::pin(top::run(args, client, out)).await,
        OperatorCommand::Jobs(command) => jobs::run(command, client, out).await,
        OperatorCommand::Why { subject } => why::run(&subject, client, out).await,
        OperatorCommand::Queues(command) => queues::run(command, client, out).await,
        OperatorCommand::Workers(command) => workers::run(command, client, out).await,
        OperatorCommand::Providers(command) => providers::run(command, client, out).await,
        OperatorCommand::Usage(args) => usage::run(args, client, out).await,
        OperatorCommand::Dead(command) => dead::run(command, client, out).await,
        OperatorCommand::Operations(command) => operations::run(command, client, out).await,
        OperatorCommand::Keys(command) => keys::run(command, client, out).await,
        OperatorCommand::Logs(command) => logs::run(command, client, out).await,
        OperatorCommand::Credentials(command) => credentials::run(command, client, out).await,
        OperatorCommand::Workspaces(command) => workspaces::run(command, client, out).await,
    }
}
