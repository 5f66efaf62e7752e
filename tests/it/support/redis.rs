//! A redis-server child of its own for each test, on a unix socket in a temporary folder.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use windlass::domain::WorkerId;
use windlass::store::{Store, StoreOptions};

/// A private server; killed when dropped.
pub(crate) struct TestRedis {
    child: Option<Child>,
    dir: TempDir,
    extra: Vec<String>,
}

impl TestRedis {
    /// A server with an append-only file, ready for commands.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A server that loses nothing when it is killed: under `everysec` Redis holds a write back while an fsync is
    /// overdue, and a busy disk makes it overdue.
    pub(crate) async fn start_durable() -> Self {
        Self::start_with(&["--appendfsync", "always"]).await
    }

    /// The same with more arguments for redis-server.
    pub(crate) async fn start_with(extra: &[&str]) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let mut redis = Self { child: None, dir, extra: extra.iter().map(ToString::to_string).collect() };
        redis.launch().await;
        redis
    }

    /// Starts the server on the data it has.
    #[expect(clippy::disallowed_methods, reason = "tests start their own servers")]
    pub(crate) async fn launch(&mut self) {
        let socket = self.socket();
        let _ = std::fs::remove_file(&socket);
        let child = Command::new("redis-server")
            .args(["--port", "0", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(self.dir.path())
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""])
            .args(["--maxmemory", "256mb", "--maxmemory-policy", "noeviction", "--enable-debug-command", "local"])
            .args(&self.extra)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        self.child = Some(child);
        let store = self.store().await;
        store.wait_connected(Duration::from_secs(20)).await.expect("redis-server answers");
    }

    /// The process id, for signals.
    pub(crate) fn pid(&self) -> i32 {
        self.child.as_ref().map_or(0, |child| i32::try_from(child.id()).unwrap())
    }

    /// SIGKILL, as a crash.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its data folder.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// A store with default options.
    pub(crate) async fn store(&self) -> Store {
        self.store_with(|_| {}).await
    }

    /// A store with changed options, connected.
    pub(crate) async fn store_with(&self, change: impl FnOnce(&mut StoreOptions)) -> Store {
        let mut options = StoreOptions::new(&self.url());
        options.pool_size = 2;
        change(&mut options);
        let store = Store::connect(options).await.expect("a usable URL");
        store.wait_connected(Duration::from_secs(20)).await.expect("redis-server answers");
        store
    }

    /// Runs redis-cli, as an operator would, and returns what it printed.
    #[expect(clippy::disallowed_methods, reason = "what an operator does is what is tested")]
    pub(crate) fn cli(&self, args: &[&str]) -> String {
        let output = Command::new("redis-cli").arg("-s").arg(self.socket()).args(args).output().expect("redis-cli");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// One command over a connection of its own, a hundred times faster than a redis-cli process.
    /// Nested replies are joined by line ends; an error reply is returned as its text.
    pub(crate) fn ask(&self, args: &[&str]) -> String {
        let mut stream = UnixStream::connect(self.socket()).expect("redis-server listens");
        let mut command = format!("*{}\r\n", args.len());
        for arg in args {
            command.push_str(&format!("${}\r\n{arg}\r\n", arg.len()));
        }
        stream.write_all(command.as_bytes()).expect("redis-server reads");
        reply(&mut BufReader::new(stream))
    }

    /// Ends a worker's registration as if it had run out.
    pub(crate) fn forget_worker(&self, worker: WorkerId) {
        let id = worker.to_string();
        self.ask(&["ZREM", "ai:workers", &id]);
        self.ask(&["ZREM", "ai:queue:workers", &id]);
    }

    /// The same as a number.
    pub(crate) fn cli_int(&self, args: &[&str]) -> i64 {
        let text = self.cli(args);
        text.parse().unwrap_or_else(|_| panic!("{args:?} printed {text:?}"))
    }
}

fn reply(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("a reply");
    let (kind, rest) = line.trim_end().split_at(1);
    match (kind, rest.parse::<i64>()) {
        ("$", Ok(length)) if length >= 0 => {
            let mut bytes = vec![0; length as usize + 2];
            from.read_exact(&mut bytes).expect("a whole reply");
            String::from_utf8_lossy(&bytes[..length as usize]).into_owned()
        }
        ("*", Ok(n)) => (0..n).map(|_| reply(from)).collect::<Vec<_>>().join("\n"),
        ("$", _) => String::new(),
        _ => rest.to_owned(),
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        self.kill();
    }
}
