//! `windlass completions` and `windlass man`: made from the definition of the commands, so that they cannot lag behind.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::args::Cli;
use super::failure::{Code, Failure};
use super::output::Output;

const NAME: &str = "windlass";

/// Options of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass completions bash > ~/.local/share/bash-completion/completions/windlass
  windlass completions zsh > ~/.zfunc/_windlass          (with ~/.zfunc in fpath)
  windlass completions fish > ~/.config/fish/completions/windlass.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Options of `man`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass man | man -l -
  windlass man --dir /usr/local/share/man/man1")]
pub struct ManArgs {
    /// Write a page for every command into this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the script for a shell.
///
/// # Errors
/// When stdout cannot be written.
pub fn completions(args: &CompletionsArgs, out: &mut Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    out.print(String::from_utf8_lossy(&script).trim_end())
}

/// Prints the page of the program, or writes a page for each command.
///
/// # Errors
/// When stdout or the folder cannot be written.
pub fn man(args: &ManArgs, out: &mut Output) -> Result<(), Failure> {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        Man::new(Cli::command()).render(&mut page).map_err(|e| Failure::new(Code::Failure, e))?;
        return out.print(String::from_utf8_lossy(&page).trim_end());
    };
    let failed = |e: std::io::Error| cannot_write(dir, &e);
    std::fs::create_dir_all(dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), dir).map_err(failed)?;
    out.note(&format!("{} has the pages", dir.display()))
}

fn cannot_write(dir: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Code::Failure, format_args!("cannot write into {}: {error}", dir.display()))
        .hint("name a folder of yours with --dir")
}
