//! A private redis-server child without persistence, a raw pipelining client, and the CPU time of
//! the server's main thread.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use windlass::store::{Store, StoreOptions};

/// A server on a unix socket; killed when dropped.
pub(crate) struct Redis {
    child: Child,
    dir: TempDir,
}

impl Redis {
    /// A server that accepts connections.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more arguments, which win over those here.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(dir.path().join("s"))
            .arg("--dir")
            .arg(dir.path())
            .args(arguments)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let redis = Self { child, dir };
        while UnixStream::connect(redis.socket()).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        redis
    }

    /// A server that is a whole cluster by itself.
    pub(crate) fn start_cluster() -> Self {
        let bus = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let redis = Self::start_with(&["--cluster-enabled", "yes", "--cluster-port", &bus.port().to_string()]);
        let mut raw = redis.raw();
        raw.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        while !raw.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok") {
            std::thread::sleep(Duration::from_millis(50));
        }
        redis
    }

    fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("s")
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// A store on one connection; `change` sets options.
    pub(crate) async fn store(&self, change: impl FnOnce(&mut StoreOptions)) -> Store {
        let mut options = StoreOptions { pool_size: 1, max_depth: 100_000_000, ..StoreOptions::new(&self.url()) };
        options.command_timeout = Duration::from_secs(30);
        change(&mut options);
        let store = Store::connect(options).await.expect("a usable URL");
        store.wait_connected(Duration::from_secs(20)).await.expect("redis-server answers");
        store
    }

    pub(crate) fn raw(&self) -> Raw {
        Raw { stream: UnixStream::connect(self.socket()).expect("redis-server listens"), out: Vec::new(), pending: 0 }
    }

    /// Nanoseconds that the main thread has run, waiting for a core not included.
    pub(crate) fn cpu_ns(&self) -> u64 {
        let pid = self.child.id();
        let text =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/schedstat")).expect("a Linux with schedstat");
        text.split(' ').next().and_then(|first| first.parse().ok()).expect("nanoseconds")
    }

    /// Bytes in use, as Redis accounts them.
    pub(crate) fn used_memory(&self) -> u64 {
        let info = self.raw().ask(&["INFO", "memory"]);
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("used_memory");
        line.trim().parse().expect("bytes")
    }

    /// Empties it, and forgets what emptying cost.
    pub(crate) fn flush(&self) {
        self.raw().ask(&["FLUSHALL", "SYNC"]);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client as thin as can be: what it costs is not measured, what it sends is.
pub(crate) struct Raw {
    stream: UnixStream,
    out: Vec<u8>,
    pending: usize,
}

impl Raw {
    /// Adds a command to the pipeline.
    pub(crate) fn push(&mut self, parts: &[&str]) {
        write!(self.out, "*{}\r\n", parts.len()).expect("memory");
        for part in parts {
            write!(self.out, "${}\r\n{part}\r\n", part.len()).expect("memory");
        }
        self.pending += 1;
    }

    /// Sends the pipeline and reads its replies: lines and bulk strings only.
    pub(crate) fn flush(&mut self) -> Vec<String> {
        self.stream.write_all(&self.out).expect("redis-server reads");
        self.out.clear();
        let (mut input, mut at, mut replies) = (Vec::new(), 0, Vec::new());
        while replies.len() < self.pending {
            match reply(&input[at..]) {
                Some((text, used)) => {
                    assert!(!text.starts_with("-"), "redis-server answered {text}");
                    replies.push(text);
                    at += used;
                }
                None => {
                    let mut chunk = [0; 65536];
                    let n = self.stream.read(&mut chunk).expect("redis-server answers");
                    assert!(n > 0, "redis-server hung up");
                    input.extend_from_slice(&chunk[..n]);
                }
            }
        }
        self.pending = 0;
        replies
    }

    /// One command, one reply.
    pub(crate) fn ask(&mut self, parts: &[&str]) -> String {
        self.push(parts);
        self.flush().remove(0)
    }

    /// The same as a number; nothing is 0.
    pub(crate) fn ask_number(&mut self, parts: &[&str]) -> u64 {
        self.ask(parts).trim_start_matches(':').parse().unwrap_or_default()
    }
}

/// The first reply in `input` and its length, once it is complete.
fn reply(input: &[u8]) -> Option<(String, usize)> {
    let end = input.windows(2).position(|pair| pair == b"\r\n")?;
    let line = String::from_utf8_lossy(&input[..end]).into_owned();
    let Some(length) = line.strip_prefix('$') else { return Some((line, end + 2)) };
    let Ok(length) = length.parse::<usize>() else { return Some((String::new(), end + 2)) };
    let body = input.get(end + 2..end + 2 + length + 2)?;
    Some((String::from_utf8_lossy(&body[..length]).into_owned(), end + 2 + length + 2))
}
