//! Help is complete and shows how.

use super::process::run;

#[test]
fn the_overview_names_every_command_and_the_exit_codes() {
    let help = run(&["--help"], &[]).ok();
    for word in [
        "dev",
        "demo",
        "serve",
        "worker",
        "fake-llm",
        "doctor",
        "openapi",
        "config",
        "jobs",
        "why",
        "queues",
        "workers",
        "dead",
        "operations",
        "providers",
        "usage",
        "keys",
        "workspaces",
        "Examples:",
        "5 unreachable",
        "WINDLASS_API_KEY",
    ] {
        assert!(help.contains(word), "{word} is missing in:\n{help}");
    }
}

#[test]
fn every_noun_has_its_verbs() {
    for (noun, verbs) in [
        ("jobs", &["submit", "list", "show", "cancel", "redrive", "hold", "release", "move", "why"][..]),
        ("queues", &["list", "pause", "resume", "drain", "stats"]),
        ("workers", &["list", "quiet", "resume", "stop", "restart"]),
        ("dead", &["list", "show", "redrive", "discard"]),
        ("operations", &["list", "show", "watch", "stop", "resume"]),
        ("providers", &["list", "test", "models"]),
        ("keys", &["create", "list", "revoke"]),
        ("workspaces", &["limits"]),
        ("config", &["check"]),
    ] {
        let help = run(&[noun, "--help"], &[]).ok();
        for verb in verbs {
            assert!(help.lines().any(|l| l.trim_start().starts_with(verb)), "{noun} {verb} is missing in:\n{help}");
        }
    }
}

#[test]
fn a_key_cannot_be_given_on_the_command_line() {
    assert_eq!(run(&["--api-key", "wl_x", "jobs", "list"], &[]).code, 2);
}

#[test]
fn the_openapi_document_is_printed_as_it_is_committed() {
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json")).unwrap();
    assert_eq!(run(&["openapi"], &[]).ok().trim_end(), committed.trim_end());
}
