//! A redis-server child of its own for each test, on a unix socket in a temporary folder; or a cluster,
//! of which the test uses one shard under the names of a single server: `WINDLASS_TEST_TOPOLOGY=cluster`.
//! `WINDLASS_TEST_SERVER` names another server binary.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use windlass::domain::WorkerId;
use windlass::store::{Shards, Store, StoreOptions};

use super::cluster::TestCluster;
use super::halted::HaltedClock;

/// What keys begin with in tests, and on the shard of a cluster.
const BASE: &str = "ai";
const SHARD_BASE: &str = "{ai:0}";

/// A private server, or cluster; killed when dropped.
pub(crate) struct TestRedis {
    child: Option<Child>,
    dir: TempDir,
    extra: Vec<String>,
    /// A cluster, and which of its servers has the shard.
    cluster: Option<(TestCluster, usize)>,
    /// A clock that tests set.
    clock: Option<HaltedClock>,
}

/// The server that tests start.
#[expect(clippy::disallowed_methods, reason = "the one setting of tests besides the topology")]
pub(crate) fn server_binary() -> String {
    std::env::var("WINDLASS_TEST_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the one setting of tests besides the server")]
fn on_a_cluster() -> bool {
    std::env::var("WINDLASS_TEST_TOPOLOGY").is_ok_and(|topology| topology == "cluster")
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
        if on_a_cluster() {
            return Self::cluster(3, 0, extra);
        }
        let dir = TempDir::new().expect("a temporary folder");
        let mut redis = Self {
            child: None,
            dir,
            extra: extra.iter().map(ToString::to_string).collect(),
            cluster: None,
            clock: None,
        };
        redis.launch().await;
        redis
    }

    /// A single server whose clock stands at `unix_ms` until [`Self::set_clock`]; without an append-only file.
    pub(crate) async fn start_halted(unix_ms: i64) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let clock = HaltedClock::new(dir.path());
        clock.set(unix_ms);
        let extra = vec!["--appendonly".to_owned(), "no".to_owned()];
        let mut redis = Self { child: None, dir, extra, cluster: None, clock: Some(clock) };
        redis.launch().await;
        redis
    }

    /// Sets the clock of a server that was started with one.
    pub(crate) fn set_clock(&self, unix_ms: i64) {
        self.clock.as_ref().expect("a halted clock").set(unix_ms);
    }

    /// A cluster of masters, and of replicas of the first.
    pub(crate) fn cluster(masters: usize, replicas: usize, extra: &[&str]) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let cluster = TestCluster::start(masters, replicas, extra);
        let home = cluster.owner("{ai:0}:jobs");
        Self { child: None, dir, extra: Vec::new(), cluster: Some((cluster, home)), clock: None }
    }

    /// The servers of a cluster.
    pub(crate) fn servers(&mut self) -> &mut TestCluster {
        &mut self.cluster.as_mut().expect("a cluster").0
    }

    /// All shards of a cluster, connected.
    pub(crate) async fn shards(&self, count: u8) -> Shards {
        let options = StoreOptions { shards: count, pool_size: 2, ..StoreOptions::new(&self.url()) };
        let shards = Shards::connect(options).await.expect("a usable URL");
        shards.wait_connected(Duration::from_secs(20)).await.expect("the cluster answers");
        shards
    }

    /// Starts the server on the data it has.
    #[expect(clippy::disallowed_methods, reason = "tests start their own servers")]
    pub(crate) async fn launch(&mut self) {
        if let Some((cluster, home)) = &mut self.cluster {
            return cluster.launch(*home);
        }
        let socket = self.socket();
        let _ = std::fs::remove_file(&socket);
        let child = Command::new(server_binary())
            .args(["--port", "0", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(self.dir.path())
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""])
            .args(["--maxmemory", "256mb", "--maxmemory-policy", "noeviction", "--enable-debug-command", "local"])
            .args(&self.extra)
            .envs(self.clock.iter().flat_map(HaltedClock::variables))
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
        if let Some((cluster, home)) = &self.cluster {
            return cluster.pid(*home);
        }
        self.child.as_ref().map_or(0, |child| i32::try_from(child.id()).unwrap())
    }

    /// SIGKILL, as a crash.
    pub(crate) fn kill(&mut self) {
        if let Some((cluster, home)) = &mut self.cluster {
            cluster.kill(*home);
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its data folder.
    pub(crate) fn folder(&self) -> &Path {
        self.cluster.as_ref().map_or(self.dir.path(), |(cluster, home)| cluster.folder(*home))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder().join("s")
    }

    pub(crate) fn url(&self) -> String {
        match &self.cluster {
            Some((cluster, _)) => cluster.url(),
            None => format!("redis+unix://{}", self.socket().display()),
        }
    }

    /// What keys begin with on the server.
    pub(crate) fn base(&self) -> &'static str {
        if self.cluster.is_some() { SHARD_BASE } else { BASE }
    }

    /// An argument of a test in the names of the server.
    pub(crate) fn named(&self, arg: &str) -> String {
        match arg.strip_prefix("ai:") {
            Some(rest) if self.cluster.is_some() => format!("{SHARD_BASE}:{rest}"),
            _ => arg.to_owned(),
        }
    }

    /// A reply of the server in the names of the test.
    fn told(&self, reply: String) -> String {
        if self.cluster.is_some() { reply.replace("{ai:0}:", "ai:") } else { reply }
    }

    /// A store with default options.
    pub(crate) async fn store(&self) -> Store {
        self.store_with(|_| {}).await
    }

    /// A store with changed options, connected.
    pub(crate) async fn store_with(&self, change: impl FnOnce(&mut StoreOptions)) -> Store {
        let mut options = StoreOptions::new(&self.url());
        (options.pool_size, options.shards) = (2, 1);
        change(&mut options);
        let store = Shards::connect(options).await.expect("a usable URL").first().clone();
        store.wait_connected(Duration::from_secs(20)).await.expect("redis-server answers");
        store
    }

    /// Runs redis-cli, as an operator would, and returns what it printed.
    #[expect(clippy::disallowed_methods, reason = "what an operator does is what is tested")]
    pub(crate) fn cli(&self, args: &[&str]) -> String {
        let args = args.iter().map(|arg| self.named(arg));
        let output = Command::new("redis-cli").arg("-s").arg(self.socket()).args(args).output().expect("redis-cli");
        self.told(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// One command over a connection of its own, a hundred times faster than a redis-cli process.
    /// Nested replies are joined by line ends; an error reply is returned as its text.
    pub(crate) fn ask(&self, args: &[&str]) -> String {
        let args: Vec<String> = args.iter().map(|arg| self.named(arg)).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.told(ask_at(&self.socket(), &args).expect("redis-server listens"))
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

/// One command over a connection of its own, see [`TestRedis::ask`]; `None` when no server listens.
pub(crate) fn ask_at(socket: &Path, args: &[&str]) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    let mut command = format!("*{}\r\n", args.len());
    for arg in args {
        command.push_str(&format!("${}\r\n{arg}\r\n", arg.len()));
    }
    stream.write_all(command.as_bytes()).expect("redis-server reads");
    Some(reply(&mut BufReader::new(stream)))
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
