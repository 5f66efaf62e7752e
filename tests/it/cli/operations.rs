//! Bulk operations from the command line.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use windlass::domain::JobState;

use super::process::{ADMIN_KEY, Patience, Ran, Server, windlass};
use crate::support::bulk::{adds_up, dead_jobs};
use crate::support::jobs::{enqueue_many, failure, state};
use crate::support::redis::TestRedis;

/// Runs a command under a terminal of its own, with `typed` on its keyboard.
fn at_a_terminal(server: &Server, arguments: &str, typed: &str) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_windlass"));
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .current_dir(dir.path())
        .envs([("WINDLASS_URL", server.url.as_str()), ("WINDLASS_API_KEY", ADMIN_KEY), ("TERM", "xterm")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Kept open until the end: at the end of its input `script` ends what it runs.
    let mut keyboard = child.stdin.take().unwrap();
    keyboard.write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(keyboard);
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Starts a command that goes on by itself.
fn start(server: &Server, dir: &Path, arguments: &[&str]) -> Child {
    let stderr = std::fs::File::create(dir.join("stderr")).unwrap();
    windlass(dir, &[("WINDLASS_URL", &server.url), ("WINDLASS_API_KEY", ADMIN_KEY)])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap()
}

/// The operation that a command began, once it says so.
fn begun(dir: &Path) -> String {
    let mut patience = Patience::for_what("an operation that began");
    loop {
        patience.last_seen = std::fs::read_to_string(dir.join("stderr")).unwrap();
        let line = patience.last_seen.lines().find(|line| line.contains("is under way"));
        if let Some(id) = line.and_then(|line| line.split_whitespace().nth(1)) {
            return id.to_owned();
        }
        patience.pause_here();
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap().success());
}

#[tokio::test]
async fn dead_letters_are_looked_at_then_redriven_and_the_counts_told() {
    let redis = TestRedis::start().await;
    let (server, store) = (Server::start(&redis).await, redis.store().await);
    let dead = dead_jobs(&store, "acme", "d", 12).await;
    let print = failure().fingerprint;
    let shown = server.run(&["dead", "show", &print]).ok();
    assert!(shown.contains("12 of echo") && shown.contains("it broke") && shown.contains("dead redrive"), "{shown}");
    assert_eq!(server.run(&["dead", "show", "000000000000"]).code, 3);
    assert!(server.run(&["dead", "list", "--queue", "default"]).ok().contains(&print));

    let redrive = ["dead", "redrive", "--fingerprint", &print, "--rate", "1000/s"];
    let look = server.run(&[&redrive[..], &["--dry-run"]].concat()).ok();
    for said in ["12 jobs: each goes back in line", "1,000 a second", "default", "echo", "state=dead"] {
        assert!(look.contains(said), "{said}: {look}");
    }
    let found = server.run(&[&redrive[..], &["--dry-run", "-o", "json"]].concat()).json();
    assert_eq!((&found["matched"], &found["dry_run"]), (&json!(12), &json!(true)));
    let unasked = server.run(&redrive);
    assert_eq!(unasked.code, 2, "{}", unasked.stderr);
    assert!(unasked.stderr.contains("12 jobs") && unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    assert_eq!(state(&store, dead[0]).await, JobState::Dead);

    let done = server.run(&[&redrive[..], &["--yes", "--note", "mended", "-o", "json"]].concat());
    assert!(done.stderr.contains("12 jobs") && done.stderr.contains("is under way"), "{}", done.stderr);
    let done: Value = done.json();
    adds_up(&done);
    let told = (&done["state"], &done["done"], &done["expected"], &done["note"]);
    assert_eq!(told, (&json!("finished"), &json!(12), &json!(12), &json!("mended")));
    assert_eq!(state(&store, dead[0]).await, JobState::Pending);
    let again = server.run(&[&redrive[..], &["--yes"]].concat()).ok();
    assert!(again.contains("nothing to do"), "{again}");

    let id = done["id"].as_str().unwrap();
    assert!(server.run(&["operations", "list"]).ok().contains(id));
    let shown = server.run(&["operations", "show", id]).ok();
    assert!(shown.contains("by admin") && shown.contains("mended") && shown.contains(&print), "{shown}");
    assert!(server.run(&["operations", "watch", id]).ok().contains("12 done, 0 skipped"));
    for verb in ["stop", "resume"] {
        let refused = server.run(&["operations", verb, id]);
        assert_eq!((refused.code, refused.stderr.contains("wrong_state")), (4, true), "{}", refused.stderr);
    }
    assert_eq!(server.run(&["operations", "show", "01dYYPmhqlwgqv9oepz~O0"]).code, 3);
}

#[tokio::test]
async fn jobs_are_cancelled_redriven_held_released_moved_and_discarded_by_filter() {
    let redis = TestRedis::start().await;
    let (server, store) = (Server::start(&redis).await, redis.store().await);
    let jobs = enqueue_many(&store, "acme", "a", 3, |_| {}).await;
    let yes = |arguments: &[&str]| server.run(&[arguments, &["--yes"]].concat()).ok();
    assert!(yes(&["jobs", "hold", "--type", "echo", "--workspace", "acme"]).contains("3 done"));
    assert_eq!(state(&store, jobs[0]).await, JobState::Held);
    assert!(yes(&["jobs", "release", "--held-reason", "operator"]).contains("3 done"));
    let moved = server.run(&["jobs", "move", "--queue", "default", "--to", "slow", "--yes"]);
    assert!(moved.stderr.contains("there is no queue slow yet"), "{}", moved.stderr);
    assert!(moved.ok().contains("3 done"));
    assert!(yes(&["jobs", "cancel", "--queue", "slow", "--newer-than", "1d", "--state", "pending"]).contains("3 done"));
    assert!(yes(&["jobs", "redrive", "--state", "cancelled", "--newer-than", "1d"]).contains("3 done"));
    let one = jobs[0].to_string();
    assert!(server.run(&["jobs", "cancel", &one]).ok().contains("cancelled"), "by id as before");
    assert_eq!(state(&store, jobs[1]).await, JobState::Pending);
    dead_jobs(&store, "acme", "d", 2).await;
    assert!(yes(&["dead", "discard", "--all"]).contains("2 done"));
    assert!(server.run(&["dead", "list"]).stderr.contains("(none)"));
    let detached = server.run(&["jobs", "cancel", "--all", "--yes", "--detach"]).ok();
    assert!(detached.contains("windlass operations watch"), "{detached}");
}

#[test]
fn a_wrong_command_line_is_2_and_reaches_nobody() {
    let nowhere = [("WINDLASS_URL", "http://127.0.0.1:9")];
    let id = "01dVmX8Y1uj8y5I0EHlEd0";
    for arguments in [
        &["jobs", "cancel"][..],
        &["jobs", "hold", "--yes"],
        &["jobs", "move", "--queue", "default"],
        &["jobs", "cancel", id, "--queue", "default"],
        &["jobs", "cancel", id, "--dry-run"],
        &["dead", "redrive"],
        &["dead", "redrive", "--all", "--rate", "0"],
        &["dead", "redrive", "--all", "--rate", "5/h"],
        &["dead", "redrive", "--older-than", "soon"],
        &["dead", "redrive", "--metadata", "novalue"],
        &["dead", "redrive", "--fingerprint", "xyz"],
        &["dead", "redrive", "--reason", "luck"],
        &["jobs", "cancel", "--state", "gone"],
        &["operations", "resume", id, "--rate", "0"],
    ] {
        let ran = super::process::run(arguments, &nowhere);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
    }
    let bare = super::process::run(&["dead", "redrive"], &nowhere).stderr;
    assert!(bare.contains("--all") && bare.contains("--queue"), "{bare}");
}

#[tokio::test]
async fn it_asks_at_a_terminal_and_takes_nothing_but_yes() {
    let redis = TestRedis::start().await;
    let (server, store) = (Server::start(&redis).await, redis.store().await);
    let dead = dead_jobs(&store, "acme", "d", 3).await;
    let command = "dead redrive --queue default --rate 1000/s";
    for typed in ["no\n", "y\n", "\n"] {
        let declined = at_a_terminal(&server, command, typed);
        assert_eq!(declined.code, 1, "{}", declined.stdout);
        assert!(declined.stdout.contains("Type yes") && declined.stdout.contains("nothing was changed"));
        assert_eq!(state(&store, dead[0]).await, JobState::Dead, "{typed:?}");
    }
    let agreed = at_a_terminal(&server, command, "yes\n");
    assert_eq!(agreed.code, 0, "{}", agreed.stdout);
    assert!(agreed.stdout.contains("3 done, 0 skipped"), "{}", agreed.stdout);
    assert_eq!(state(&store, dead[0]).await, JobState::Pending);
}

#[tokio::test]
async fn a_killed_command_leaves_the_operation_going() {
    let redis = TestRedis::start().await;
    let (server, store) = (Server::start(&redis).await, redis.store().await);
    dead_jobs(&store, "acme", "d", 40).await;
    let dir = tempfile::tempdir().unwrap();
    let mut child = start(&server, dir.path(), &["dead", "redrive", "--all", "--yes", "--rate", "20"]);
    let id = begun(dir.path());
    signal(&child, "KILL");
    child.wait().unwrap();
    let watched = server.run(&["operations", "watch", &id, "-o", "json"]).json();
    adds_up(&watched);
    assert_eq!(
        (&watched["state"], &watched["done"], &watched["matched"]),
        (&json!("finished"), &json!(40), &json!(40))
    );
}

#[tokio::test]
async fn ctrl_c_stops_watching_and_stop_stops_the_operation() {
    let redis = TestRedis::start().await;
    let (server, store) = (Server::start(&redis).await, redis.store().await);
    dead_jobs(&store, "acme", "d", 300).await;
    let dir = tempfile::tempdir().unwrap();
    let mut child = start(&server, dir.path(), &["dead", "redrive", "--all", "--yes", "--rate", "1"]);
    let id = begun(dir.path());
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let said = std::fs::read_to_string(dir.path().join("stderr")).unwrap();
    for words in ["goes on without this command", &format!("operations watch {id}"), &format!("operations stop {id}")] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(server.run(&["operations", "list", "--state", "running"]).ok().contains(&id));
    assert!(server.run(&["operations", "stop", &id]).ok().contains("stopped"));
    let watched = server.run(&["operations", "watch", &id]);
    assert_eq!(watched.code, 1, "{}", watched.stderr);
    assert!(watched.stderr.contains("stopped by admin") && watched.stderr.contains("operations resume"));
    let resumed = server.run(&["operations", "resume", &id, "--rate", "60000/m"]).ok();
    assert!(resumed.contains("finished: 300 done"), "{resumed}");
}
