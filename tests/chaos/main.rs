//! `make chaos`: real processes, real faults, and a history that a checker judges. README.md has the format.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program"
)]

mod bugs;
mod checker;
mod children;
mod client;
mod cpu;
mod dice;
mod finish;
mod fleet;
mod history;
mod nemesis;
mod pace;
mod proxy;
mod redis;
mod requests;
mod resp;
mod run;
mod sinks;
mod watch;
mod workload;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use run::Options;
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str =
    "usage: chaos run [--seed N] [--minutes N] [--out FOLDER] [--faults a,b] | kinds | check FOLDER | bugs [NAME…]";

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The short run in `make test` sees it too.
    let misfits = bugs::misfits();
    if !misfits.is_empty() {
        eprintln!("chaos: planted bugs that are none:\n  {}", misfits.join("\n  "));
        return ExitCode::from(2);
    }
    match words.split_first() {
        Some((&"run", rest)) => match options(rest) {
            Some(options) => make_history(&options).await,
            None => usage(),
        },
        Some((&"check", [folder])) => judge(Path::new(folder)),
        Some((&"bugs", names)) => bugs::run(names).await,
        Some((&"drill", rest)) => match options(rest) {
            Some(options) => drill(&options).await,
            None => usage(),
        },
        Some((&"kinds", [])) => {
            nemesis::kinds().for_each(|(lane, kinds)| println!("{lane}: {}", kinds.join(" ")));
            checker::CLASSES.iter().for_each(|(class, meaning)| println!("checked: {class}: {meaning}"));
            ExitCode::SUCCESS
        }
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn options(words: &[&str]) -> Option<Options> {
    let (mut seed, mut minutes, mut folder, mut faults, mut bug, mut quiet) = (7, 2.0, None, Vec::new(), None, 60);
    for pair in words.chunks(2) {
        let [name, value] = pair else { return None };
        match *name {
            "--seed" => seed = value.parse().ok()?,
            "--minutes" => minutes = value.parse().ok()?,
            "--out" => folder = Some(PathBuf::from(value)),
            "--faults" => faults = value.split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect(),
            "--bug" => bug = Some((*value).to_owned()),
            "--quiet" => quiet = value.parse().ok()?,
            _ => return None,
        }
    }
    let folder = folder.unwrap_or_else(|| PathBuf::from(format!("target/chaos/{seed}")));
    Some(Options { seed, minutes, folder, faults, bug, quiet: Duration::from_secs(quiet) })
}

/// SIGINT or SIGTERM; everything that runs is dropped then, and dies.
async fn told_to_stop() {
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be watched");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// One history for `chaos bugs`, unjudged.
async fn drill(options: &Options) -> ExitCode {
    match run::drill(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::from(3)
        }
    }
}

async fn make_history(options: &Options) -> ExitCode {
    println!("chaos: seed {}, {} minutes", options.seed, options.minutes);
    let made = tokio::select! {
        made = run::run(options) => made,
        () = told_to_stop() => Err(std::io::Error::other("interrupted")),
    };
    match made {
        // Whatever did not come up or become quiet, the history has it too.
        Ok(()) => judge(&options.folder),
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::from(3)
        }
    }
}

/// Prints what the checker finds, and keeps it beside the history.
fn judge(folder: &Path) -> ExitCode {
    let report = checker::check(folder);
    println!("{}", report.text);
    // One line for whoever collects verdicts of many runs.
    let classes: BTreeSet<&str> = report.violations.iter().map(|violation| violation.name).collect();
    println!("verdict: {} {}", if report.valid { "valid" } else { "not valid" }, Vec::from_iter(classes).join(" "));
    if let Err(error) = std::fs::write(folder.join("report.txt"), &report.text) {
        eprintln!("chaos: the report could not be kept: {error}");
    }
    if report.valid { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
