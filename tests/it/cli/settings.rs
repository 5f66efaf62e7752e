//! Settings as the binary sees them.

use super::process::{run, run_in};

#[test]
fn check_prints_every_setting_with_its_source_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("windlass.toml"), "[queue]\nmax_depth = 5\n").unwrap();
    let variables = [("REDIS_URL", "redis://u:hunter2@h:6379"), ("OPENAI_API_KEY", "sk-hunter2"), ("PORT", "")];
    let ran = run_in(dir.path(), &["config", "check"], &variables);
    let line = |name: &str| ran.stdout.lines().find(|l| l.contains(name)).unwrap_or_default().to_owned();
    assert!(line("MAX_DEPTH").contains('5') && line("MAX_DEPTH").contains("windlass.toml"), "{}", ran.stdout);
    assert!(line("REDIS_URL").contains("u:***@h") && line("REDIS_URL").contains("environment"), "{}", ran.stdout);
    assert!(line("OPENAI_API_KEY").contains("(set)") && line(" PORT ").contains("default"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"));
    assert_eq!(ran.code, 0);
}

#[test]
fn check_shows_the_providers_of_the_file_without_their_keys() {
    let dir = tempfile::tempdir().unwrap();
    let list = "[[providers]]\nname = \"farm\"\nkind = \"compatible\"\nbase_url = \"http://h:1/v1\"\n\
                api_key = \"sk-hunter2\"\ndefault_model = \"qwen\"\n";
    std::fs::write(dir.path().join("windlass.toml"), list).unwrap();
    let ran = run_in(dir.path(), &["config", "check"], &[]);
    let row = ran.stdout.lines().find(|line| line.contains("providers.farm")).unwrap_or_default();
    assert!(
        row.contains("http://h:1/v1, key set, default model qwen") && row.contains("windlass.toml"),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("list prices of models are of 20"), "{}", ran.stderr);
    std::fs::write(dir.path().join("windlass.toml"), list.replace("kind", "kond")).unwrap();
    let ran = run_in(dir.path(), &["config", "check"], &[]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("providers[0]") && !ran.stderr.contains("hunter2"), "{}", ran.stderr);
}

#[test]
fn check_as_json_is_for_scripts() {
    let rows = run(&["config", "check", "--output", "json"], &[]).json();
    let rows = rows.as_array().unwrap();
    assert!(rows.iter().any(|row| row["variable"] == "REDIS_URL" && row["from"] == "default"), "{rows:?}");
}

#[test]
fn bad_values_are_2_and_all_are_named() {
    let ran = run(&["config", "check"], &[("PORT", "http"), ("REDIS_POOL_SIZE", "11"), ("EVENTS", "perhaps")]);
    assert_eq!(ran.code, 2);
    for name in ["PORT", "REDIS_POOL_SIZE", "EVENTS"] {
        assert!(ran.stderr.contains(name), "{}", ran.stderr);
    }
}

#[test]
fn roles_refuse_to_start_on_settings_that_lose_work() {
    for (role, variables) in [
        ("serve", [("RETENTION_SECONDS", "60")]),
        ("worker", [("DRAIN_GRACE_SECONDS", "31")]),
        ("worker", [("HEARTBEAT_MS", "6000")]),
        ("serve", [("DURABILITY_REPLICAS", "1")]),
    ] {
        let ran = run(&[role], &variables);
        assert_eq!(ran.code, 2, "{role} {variables:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(variables[0].0), "{}", ran.stderr);
    }
}

#[test]
fn an_unknown_key_of_the_file_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("windlass.toml"), "[redis]\nurll = \"x\"\n").unwrap();
    let ran = run_in(dir.path(), &["config", "check"], &[]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("redis.urll") && ran.stderr.contains("windlass.toml"), "{}", ran.stderr);
}

#[test]
fn a_named_file_has_to_exist() {
    assert_eq!(run(&["--config", "nowhere.toml", "config", "check"], &[]).code, 2);
}
