//! A redis-server child of its own for each test, on a unix socket in a temporary folder.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
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

    /// The same with more arguments for redis-server.
    pub(crate) async fn start_with(extra: &[&str]) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let mut redis = Self { child: None, dir, extra: extra.iter().map(ToString::to_string).collect() };
        redis.launch().await;
        redis
    }

    /// Starts the server on the data it has.
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

    /// SIGKILL, as a crash.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The process id, for signals.
    pub(crate) fn pid(&self) -> i32 {
        self.child.as_ref().map(Child::id).unwrap_or_default() as i32
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
    pub(crate) fn cli(&self, args: &[&str]) -> String {
        let output = Command::new("redis-cli").arg("-s").arg(self.socket()).args(args).output().expect("redis-cli");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// The same as a number.
    pub(crate) fn cli_int(&self, args: &[&str]) -> i64 {
        let text = self.cli(args);
        text.parse().unwrap_or_else(|_| panic!("{args:?} printed {text:?}"))
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        self.kill();
    }
}
