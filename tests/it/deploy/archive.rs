//! Runs `backup.sh` and `restore.sh` in folders of a test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::processes::wait_for;
use crate::support::redis::{TestRedis, server_binary};

/// What a script said and how it ended.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: i32,
    pub(super) text: String,
}

impl Said {
    pub(super) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.text);
        self.text
    }

    /// That it ended with this code and said this.
    pub(super) fn says(&self, code: i32, what: &str) {
        assert!(self.code == code && self.text.contains(what), "expected {code} and {what:?}: {self:?}");
    }
}

/// Where archives go, and programs that stand in for those of a machine.
pub(super) struct Yard {
    dir: TempDir,
}

impl Yard {
    pub(super) fn new() -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        for folder in ["out", "bin", "etc"] {
            std::fs::create_dir(dir.path().join(folder)).expect("a folder");
        }
        Self { dir }
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// A file, with what is in it.
    pub(super) fn write(&self, below: &str, text: &str) -> PathBuf {
        let path = self.path(below);
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// A program that comes before that of the machine.
    pub(super) fn program(&self, name: &str, script: &str) {
        let path = self.write(&format!("bin/{name}"), &format!("#!/usr/bin/env bash\n{script}\n"));
        assert!(Command::new("chmod").arg("+x").arg(path).status().expect("chmod").success());
    }

    /// Runs a script of `deploy/scripts` on the Redis at this address.
    pub(super) fn run(&self, script: &str, redis: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Said {
        let search = std::env::var_os("PATH").unwrap_or_default();
        let search = format!("{}:{}", self.path("bin").display(), search.display());
        let output = Command::new("bash")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/scripts").join(script))
            .args(arguments)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", search)
            .env("BACKUP_DIR", self.path("out"))
            .env("BACKUP_CONFIG", self.path("etc"))
            .env("REDIS_URL", redis)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .output()
            .expect("bash");
        let text = [output.stdout, output.stderr].concat();
        Said { code: output.status.code().unwrap_or(-1), text: String::from_utf8_lossy(&text).into_owned() }
    }

    pub(super) fn back_up(&self, redis: &TestRedis) -> Said {
        self.run("backup.sh", &redis.url(), &[], &[])
    }

    pub(super) fn latest(&self) -> String {
        self.path("out/latest.tar.gz").display().to_string()
    }

    /// Names of the archives, without what is beside them.
    pub(super) fn archives(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.path("out")).expect("a folder").flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("windlass-") && name.ends_with(".tar.gz")).collect()
    }

    /// Unpacks the latest archive.
    pub(super) fn unpack(&self) -> PathBuf {
        let to = self.path("unpacked");
        std::fs::create_dir_all(&to).expect("a folder");
        let tar = Command::new("tar").arg("-C").arg(&to).arg("-xzf").arg(self.latest()).status();
        assert!(tar.expect("tar").success());
        to
    }
}

/// A server in the background that was started by a command; stopped when dropped.
pub(super) struct Started(PathBuf);

impl Started {
    /// The command that will start it on a test's folder, and the guard that ends it.
    pub(super) fn by_command(redis: &TestRedis) -> (String, Self) {
        let (folder, socket) = (redis.folder().display(), redis.socket());
        let command = format!(
            "{} --port 0 --unixsocket {} --dir {folder} --appendonly yes --save '' --daemonize yes \
             --maxmemory-policy noeviction --enable-debug-command local --repl-diskless-sync-delay 0",
            server_binary(),
            socket.display()
        );
        (command, Self(socket))
    }

    /// The same, started.
    pub(super) fn now(redis: &TestRedis) -> Self {
        let (command, started) = Self::by_command(redis);
        // That of a killed server is still there.
        let _ = std::fs::remove_file(redis.socket());
        assert!(Command::new("bash").args(["-c", &command]).stdout(Stdio::null()).status().expect("bash").success());
        wait_for("the server answers", || redis.socket().exists() && redis.ask(&["PING"]) == "PONG");
        started
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = Command::new("redis-cli").arg("-s").arg(&self.0).args(["SHUTDOWN", "NOSAVE"]).output();
    }
}
