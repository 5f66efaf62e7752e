//! `windlass dev`: one command, and nothing left behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::process::{Patience, run_in, windlass};

/// A running `windlass dev` without workers, and what it printed.
struct Dev {
    child: Child,
    dir: tempfile::TempDir,
    text: String,
}

impl Dev {
    fn start(dir: tempfile::TempDir) -> Self {
        let mut child = windlass(dir.path(), &[])
            .args(["dev", "--workers", "0", "--port", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut text = String::new();
        for line in BufReader::new(child.stderr.take().unwrap()).lines() {
            text.push_str(&line.unwrap());
            text.push('\n');
            if text.contains("jobs submit") {
                break;
            }
        }
        assert!(text.contains("Windlass is up"), "{text}");
        Self { child, dir, text }
    }

    /// A value that the printed lines export.
    fn exported(&self, name: &str) -> String {
        let start = format!("export {name}=");
        self.text.lines().find_map(|l| l.trim().strip_prefix(&start)).unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> super::process::Ran {
        let (url, key) = (self.exported("WINDLASS_URL"), self.exported("WINDLASS_API_KEY"));
        run_in(self.dir.path(), arguments, &[("WINDLASS_URL", &url), ("WINDLASS_API_KEY", &key)])
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    fn stop(mut self) -> (Option<i32>, tempfile::TempDir) {
        self.signal("TERM");
        (self.child.wait().unwrap().code(), self.dir)
    }
}

fn redis_pid(dir: &Path) -> String {
    let socket = dir.join(".windlass/redis.sock");
    let output = Command::new("redis-cli").arg("-s").arg(socket).args(["info", "server"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|l| l.strip_prefix("process_id:")).unwrap().trim().to_owned()
}

/// Whether a process still runs; one that is dead and only waits to be collected does not.
fn runs(pid: &str) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", pid]).output().unwrap();
    let state = String::from_utf8(output.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

#[test]
fn data_and_key_survive_a_restart() {
    let dev = Dev::start(tempfile::tempdir().unwrap());
    let job = dev.run(&["jobs", "submit", "echo", "--workspace", "acme", "-o", "json"]).json();
    let key = dev.exported("WINDLASS_API_KEY");
    let (code, dir) = dev.stop();
    assert_eq!(code, Some(0), "a stop on request is no failure");
    let dev = Dev::start(dir);
    assert_eq!(dev.exported("WINDLASS_API_KEY"), key);
    assert!(dev.run(&["jobs", "show", job["id"].as_str().unwrap()]).ok().contains("pending"));
    dev.stop();
}

#[test]
fn a_folder_in_use_is_refused() {
    let dev = Dev::start(tempfile::tempdir().unwrap());
    let second = dev.run(&["dev", "--workers", "0", "--port", "0"]);
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("in use"), "{}", second.stderr);
    dev.stop();
}

#[cfg(target_os = "linux")]
#[test]
fn redis_dies_with_a_parent_that_is_killed() {
    let mut dev = Dev::start(tempfile::tempdir().unwrap());
    let redis = redis_pid(dev.dir.path());
    assert!(runs(&redis));
    dev.signal("KILL");
    dev.child.wait().unwrap();
    let patience = Patience::for_what("redis to die");
    while runs(&redis) {
        patience.pause_here();
    }
}

#[test]
fn without_a_redis_binary_the_line_to_type_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let ran = run_in(dir.path(), &["dev", "--redis-bin", "/nonexistent/redis-server"], &[]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("/nonexistent/redis-server"), "{}", ran.stderr);
    let ran = run_in(dir.path(), &["dev"], &[("PATH", "/nonexistent")]);
    assert!(ran.stderr.contains("apt-get install redis-server"), "{}", ran.stderr);
}
