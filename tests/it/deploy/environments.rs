//! The example environments: a process starts with each of them, and every name in them is one that it reads.

use std::path::{Path, PathBuf};
use std::process::Command;

use windlass::config::SETTINGS;

fn deploy(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(below)
}

fn read(below: &str) -> String {
    std::fs::read_to_string(deploy(below)).unwrap_or_else(|e| panic!("{below}: {e}"))
}

/// Names and values of the lines that are in force, or of those that are commented out.
fn lines(text: &str, commented: bool) -> Vec<(String, String)> {
    let lines = text.lines().filter_map(|line| if commented { line.strip_prefix('#') } else { Some(line) });
    let pairs = lines.filter_map(|line| line.split_once('='));
    let pairs = pairs.filter(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Whether a process reads this variable.
fn known(name: &str) -> bool {
    SETTINGS.iter().any(|s| s.env == name || (s.kind.is_secret() && name.strip_suffix("_FILE") == Some(s.env)))
}

#[test]
fn a_process_starts_with_each_of_the_example_environments() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["dev", "production", "llm-heavy"] {
        let settings = lines(&read(&format!("environments/{name}.env")), false);
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command.args(["config", "check"]).current_dir(dir.path()).env_clear().envs(settings.iter().cloned());
        let output = command.env("REDIS_URL", "redis://default:pw@redis:6379").output().unwrap();
        let (said, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name}: {said}{why}");
        for (variable, _) in settings {
            assert!(said.contains(&format!("environment {variable}")), "{name}: {variable} is not read:\n{said}");
        }
    }
}

#[test]
fn every_variable_that_deploy_names_is_one_that_a_process_reads() {
    let mut unknown = Vec::new();
    let mut look = |place: &str, names: Vec<String>| {
        assert!(!names.is_empty(), "{place} names none");
        unknown.extend(names.into_iter().filter(|name| !known(name)).map(|name| format!("{place}: {name}")));
    };
    for name in ["dev", "production", "llm-heavy"] {
        let text = read(&format!("environments/{name}.env"));
        look(name, lines(&text, false).into_iter().chain(lines(&text, true)).map(|(name, _)| name).collect());
    }
    look(
        "windlass.env.example",
        lines(&read("windlass.env.example"), true).into_iter().map(|(name, _)| name).collect(),
    );
    for place in ["kubernetes/settings.yaml", "helm/windlass/templates/settings.yaml"] {
        let text = read(place);
        let keys = text.lines().filter_map(|line| line.strip_prefix("  ")?.split_once(": ").map(|(key, _)| key));
        look(place, keys.filter(|key| key.starts_with(|c: char| c.is_ascii_uppercase())).map(str::to_owned).collect());
    }
    assert!(unknown.is_empty(), "{unknown:?}");
}
