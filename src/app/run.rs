//! From a parsed command line to the part that does the work.

use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use super::instruments::Instruments;
use super::{StartError, demo, dev, doctor, fake_llm, serve, settings, worker};
use crate::cli::{self, Cli, Code, Command, ConfigCommand, Failure, Global, Output, Paint, ServeArgs, WorkerArgs};
use crate::client::Client;
use crate::config::{Config, Environment, Overrides, read_secret};
use crate::engine::tasks;
use crate::telemetry::{self, FileLogs, LogOutput, Logging, Traces};

/// Does what the command line says; returns when it is done or `shutdown` has fired. Must be called
/// on the main thread, because children die with the thread that started them.
///
/// # Errors
/// What went wrong, with the exit code it deserves.
pub async fn run(cli: Cli, environment: &Environment, shutdown: CancellationToken) -> Result<(), Failure> {
    let Cli { global, command } = cli;
    let stdout = std::io::stdout().is_terminal();
    let mut out = Output::new(global.output).painted(paint(&global, environment, stdout));
    if is_dumb(environment) {
        out = out.plain();
    }
    match command {
        Command::Serve(args) => {
            let config = load(&global, environment, serve_flags(&args))?;
            let server = start_server("windlass-api", "api", &config)?;
            Ok(Box::pin(serve::run(&config, server.instruments(), shutdown)).await?)
        }
        Command::Worker(args) => {
            let config = load(&global, environment, worker_flags(&args))?;
            let server = start_server("windlass-worker", "worker", &config)?;
            Ok(Box::pin(worker::run(&config, server.instruments(), shutdown)).await?)
        }
        Command::Dev(args) => {
            let config = load(&global, environment, Overrides::default())?;
            let logging = start_logging("windlass-dev", config.quiet_log_level(), LogOutput::Plain)?;
            Ok(Box::pin(dev::run(&args, &global, environment, (logging.levels().clone(), shutdown))).await?)
        }
        Command::Demo(args) => {
            let config = load(&global, environment, Overrides::default())?;
            let logging = start_logging("windlass-demo", &config.log.level, log_file(&args.data)?)?;
            Ok(Box::pin(demo::run(&args, &global, environment, (logging.levels().clone(), shutdown))).await?)
        }
        Command::FakeLlm(args) => {
            let config = load(&global, environment, Overrides::default())?;
            let _logging = start_logging("windlass-fake-llm", &config.log.level, LogOutput::Plain)?;
            Ok(fake_llm::run(&args, shutdown).await?)
        }
        other => tokio::select! {
            () = shutdown.cancelled() => Err(Failure::new(Code::Interrupted, "interrupted")),
            done = Box::pin(look(other, &global, environment, &mut out)) => done,
        },
    }
}

/// Whether the terminal knows no escape sequences, as in an editor's shell: it is written to as a pipe is.
fn is_dumb(environment: &Environment) -> bool {
    environment.get("TERM") == Some("dumb")
}

/// The colours of a stream, which is a terminal or not.
#[must_use]
pub fn paint(global: &Global, environment: &Environment, terminal: bool) -> Paint {
    let terminal = terminal && !is_dumb(environment);
    Paint::decide(global.color, terminal, environment.get("NO_COLOR").is_some(), environment.get("CLICOLOR"))
}

/// The commands that look and ask, and leave nothing running.
async fn look(command: Command, global: &Global, environment: &Environment, out: &mut Output) -> Result<(), Failure> {
    match &command {
        Command::Openapi => return out.print(crate::http::openapi_json().trim_end()),
        Command::Completions(args) => return cli::completions(args, out),
        Command::Man(args) => return cli::man(args, out),
        _ => {}
    }
    let config = load(global, environment, client_flags(global)?)?;
    let _logging = start_logging("windlass-cli", "warn", LogOutput::Plain)?;
    match command {
        Command::Doctor => doctor::run(&config, out).await,
        Command::Config(ConfigCommand::Check) => settings::check(&config, out),
        Command::Operator(command) => {
            let client = Client::new(&config.client.url, config.client.api_key.clone())?;
            cli::operate(command, &client, out).await
        }
        _ => Ok(()),
    }
}

fn load(global: &Global, environment: &Environment, overrides: Overrides) -> Result<Config, Failure> {
    Config::load(global.config.as_deref(), environment, &overrides)
        .map_err(|e| Failure::new(Code::Usage, e).hint("`windlass config check` shows every setting and its source"))
}

fn serve_flags(args: &ServeArgs) -> Overrides {
    Overrides::default().with_option("HOST", "--host", args.host.as_ref()).with_option("PORT", "--port", args.port)
}

fn worker_flags(args: &WorkerArgs) -> Overrides {
    Overrides::default()
        .with_option("QUEUES", "--queues", args.queues.as_ref())
        .with_option("WORKER_CONCURRENCY", "--concurrency", args.concurrency)
        .with_option("WORKER_PORT", "--port", args.port)
}

fn client_flags(global: &Global) -> Result<Overrides, Failure> {
    let overrides = Overrides::default().with_option("WINDLASS_URL", "--url", global.url.as_ref());
    match &global.api_key_file {
        Some(path) => {
            let key = read_secret(path).map_err(|e| Failure::new(Code::Usage, e))?;
            Ok(overrides.with("WINDLASS_API_KEY", "--api-key-file", key))
        }
        None => Ok(overrides),
    }
}

/// What a server process tells of itself; its last lines and spans are written when it is dropped.
struct Telling {
    traces: Traces,
    logging: Logging,
    prometheus: PrometheusHandle,
}

impl Telling {
    fn instruments(&self) -> Instruments {
        Instruments {
            prometheus: self.prometheus.clone(),
            levels: self.logging.levels().clone(),
            tracer: self.traces.tracer(),
        }
    }
}

/// Logs of servers go to stdout as JSON, where shippers expect them, and to files if wanted.
fn start_server(service: &'static str, role: &'static str, config: &Config) -> Result<Telling, Failure> {
    let failed = |e| Failure::new(Code::Failure, e);
    // First, since the log counts what it drops.
    let prometheus = telemetry::start_metrics().map_err(failed)?;
    let log = &config.log;
    let files = log.dir.clone().map(|dir| FileLogs { dir, rotate_bytes: log.rotate_bytes, keep_days: log.keep_days });
    let logging = start_logging(service, &log.level, LogOutput::Server(files, role))?;
    let traces = Traces::start(&config.traces, service).map_err(failed)?;
    tasks::spawn("metrics-upkeep", telemetry::keep_folded(prometheus.clone()));
    Ok(Telling { traces, logging, prometheus })
}

fn start_logging(service: &'static str, level: &str, output: LogOutput) -> Result<Logging, Failure> {
    telemetry::start_logging(service, level, output).map_err(|e| Failure::new(Code::Failure, e))
}

/// The demo's terminal belongs to its progress, so its log is a file.
fn log_file(data: &Path) -> Result<LogOutput, StartError> {
    std::fs::create_dir_all(data).map_err(|e| StartError::folder(data, &e))?;
    let path = data.join("demo.log");
    let file = File::options().create(true).append(true).open(&path);
    file.map(LogOutput::File).map_err(|e| StartError::folder(&path, &e))
}
