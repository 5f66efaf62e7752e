//! Completions, manual pages, and the help of every command.

use std::process::{Command, Stdio};

use clap::CommandFactory;
use windlass::cli::Cli;

use super::process::{run, run_in};

/// The commands with the path to each, parents first.
fn walk(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let path = format!("{path} {}", sub.get_name());
        found.push((path.clone(), sub.clone()));
        walk(sub, &path, found);
    }
}

fn commands() -> Vec<(String, clap::Command)> {
    let mut root = Cli::command();
    root.build();
    let mut found = vec![("windlass".to_owned(), root.clone())];
    walk(&root, "windlass", &mut found);
    found
}

#[test]
fn every_help_has_a_summary_fits_a_terminal_and_shows_how() {
    let all = commands();
    assert!(all.len() > 40, "{}", all.len());
    let mut wrong = Vec::new();
    for (path, mut command) in all {
        let help = command.render_long_help().to_string();
        let mut say = |what: String| wrong.push(format!("{path}: {what}"));
        if command.get_about().is_none_or(|about| about.to_string().is_empty()) {
            say("has no summary".to_owned());
        }
        let wide = help.lines().filter(|line| line.chars().count() > 100);
        wide.for_each(|line| say(format!("a line of more than 100 columns: {line}")));
        let own = command.get_arguments().filter(|arg| !arg.is_global_set() && arg.get_id() != "help");
        let own = own.filter(|arg| arg.get_id() != "version").count();
        if own >= 3 && command.get_subcommands().next().is_none() && !help.contains("Example") {
            say(format!("takes {own} arguments and shows no example"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn lists_are_called_list_and_one_thing_is_shown_by_show() {
    for (path, command) in commands() {
        let other = ["ls", "get", "describe", "info", "rm", "delete"];
        assert!(!other.contains(&command.get_name()), "{path}: the verbs are list, show, remove");
    }
}

#[test]
fn completions_name_every_command_and_are_scripts_of_their_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell], &[]).ok();
        for (path, command) in commands() {
            assert!(script.contains(command.get_name()), "{shell}: {path} is missing");
        }
        // What is not installed cannot judge.
        let checked = Command::new(shell).arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let (Ok(mut child), true) = (checked, matches!(shell, "bash" | "zsh" | "fish")) else { continue };
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
        let said = child.wait_with_output().unwrap();
        assert!(said.status.success(), "{shell}: {}", String::from_utf8_lossy(&said.stderr));
    }
    assert_eq!(run(&["completions", "tcsh"], &[]).code, 2);
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let page = run(&["man"], &[]).ok();
    assert!(page.contains(".TH windlass 1") && page.contains("windlass dev"), "{page}");
    let dir = tempfile::tempdir().unwrap();
    run_in(dir.path(), &["man", "--dir", "pages"], &[]);
    let pages: Vec<String> = std::fs::read_dir(dir.path().join("pages"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in ["windlass.1", "windlass-top.1", "windlass-jobs-tail.1"] {
        assert!(pages.iter().any(|page| page == name), "{name} is missing in {pages:?}");
    }
}

#[test]
fn colours_are_for_terminals_and_can_be_asked_for() {
    let away = |arguments: &[&str], variables: &[(&str, &str)]| {
        let all: Vec<(&str, &str)> =
            [("WINDLASS_URL", "http://127.0.0.1:9")].iter().chain(variables).copied().collect();
        run(arguments, &all).stderr
    };
    assert!(!away(&["queues", "list"], &[]).contains('\u{1b}'), "a file is no terminal");
    let painted = away(&["queues", "list", "--color", "always"], &[("NO_COLOR", "1")]);
    assert!(painted.contains("\u{1b}[31merror:\u{1b}[0m"), "{painted:?}");
    assert!(run(&["--color", "always", "--help"], &[]).stdout.contains('\u{1b}'));
    assert!(!run(&["--color", "never", "--help"], &[]).stdout.contains('\u{1b}'));
}

#[test]
fn a_slip_of_the_fingers_is_answered_with_what_was_meant() {
    let ran = run(&["queus", "list"], &[]);
    assert!(ran.code == 2 && ran.stderr.contains("queues"), "{}", ran.stderr);
    let ran = run(&["jobs", "tial"], &[]);
    assert!(ran.code == 2 && ran.stderr.contains("tail"), "{}", ran.stderr);
}
