//! A command on a terminal of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};

use super::process::{ADMIN_KEY, Patience, windlass};

/// A terminal of 80 columns and 24 rows with a command on it; killed when dropped.
pub(super) struct Pty {
    pub(super) child: Child,
    master: File,
    slave: File,
    written: Arc<Mutex<Vec<u8>>>,
    _dir: tempfile::TempDir,
}

impl Pty {
    /// Runs the binary against the API at `url`.
    pub(super) fn run(url: &str, arguments: &[&str]) -> Self {
        Self::on("xterm", url, arguments)
    }

    /// The same on a terminal of this kind (`TERM`).
    pub(super) fn on(term: &str, url: &str, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).unwrap();
        let (master, slave) = (File::from(pair.master), File::from(pair.slave));
        let end = || Stdio::from(slave.try_clone().unwrap());
        let plain = windlass(dir.path(), &[("WINDLASS_URL", url), ("WINDLASS_API_KEY", ADMIN_KEY), ("TERM", term)]);
        // A session of its own with this terminal, so that it is told when the size changes.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(plain.get_program()).args(arguments).env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(dir.path());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let (sink, mut source) = (Arc::clone(&written), master.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut piece = [0; 8192];
            while let Ok(n @ 1..) = source.read(&mut piece) {
                sink.lock().unwrap().extend_from_slice(&piece[..n]);
            }
        });
        Self { child, master, slave, written, _dir: dir }
    }

    /// Everything that was written to the terminal so far.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// What was written after the first `from` bytes, once it has this text.
    pub(super) fn wait_for(&self, from: usize, what: &'static str) -> String {
        let mut patience = Patience::for_what(what);
        loop {
            let text = String::from_utf8_lossy(&self.written.lock().unwrap()[from..]).into_owned();
            if text.contains(what) {
                return text;
            }
            patience.last_seen = text;
            patience.pause_here();
        }
    }

    /// How much was written so far.
    pub(super) fn mark(&self) -> usize {
        self.written.lock().unwrap().len()
    }

    /// Types.
    pub(super) fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Gives the terminal another size.
    pub(super) fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let terminal = Stdio::from(self.slave.try_clone().unwrap());
        let done = Command::new("stty").args(["cols", &columns, "rows", &rows]).stdin(terminal).status().unwrap();
        assert!(done.success());
    }

    /// Whether what is typed is shown and read by the line, as a shell wants it.
    pub(super) fn is_sane(&self) -> bool {
        let flags = tcgetattr(&self.slave).unwrap().local_flags;
        flags.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG)
    }

    /// The process that runs the binary.
    pub(super) fn pid(&self) -> String {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let below = std::fs::read_to_string(children).unwrap_or_default();
        below.split_whitespace().next().map_or_else(|| self.child.id().to_string(), str::to_owned)
    }

    /// Its exit code, once it has ended.
    pub(super) fn ended(&mut self) -> Option<i32> {
        let mut patience = Patience::for_what("the end of the command");
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            patience.last_seen = self.text();
            patience.pause_here();
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
