//! redis-server as a child: a primary, and a replica behind a proxy of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::Child;
use tokio::sync::watch;

use super::children::{self, Launcher};
use super::pace;
use super::proxy::{Proxy, Target};
use super::resp::{Connection, Reply};

/// A start that takes longer has failed.
const START: Duration = Duration::from_secs(30);

/// Nothing that was answered is lost by a kill: `always`. The rest opens what the faults need.
const ARGUMENTS: &[&str] = &[
    "--port 0",
    "--appendonly yes",
    "--appendfsync always",
    "--aof-timestamp-enabled yes",
    "--auto-aof-rewrite-percentage 100",
    "--auto-aof-rewrite-min-size 128mb",
    "--save \"\"",
    "--maxmemory 2gb",
    "--maxmemory-policy noeviction",
    "--enable-debug-command local",
    "--enable-protected-configs local",
    "--busy-reply-threshold 200",
    "--repl-diskless-sync-delay 0",
    "--repl-timeout 5",
];

/// One server and its data folder.
pub(crate) struct Server {
    pub(crate) name: String,
    folder: PathBuf,
    logs: PathBuf,
    launcher: Launcher,
    child: tokio::sync::Mutex<Option<Child>>,
    pid: Mutex<u32>,
}

impl Server {
    fn new(name: &str, root: &Path, logs: &Path, launcher: &Launcher) -> Self {
        let (folder, logs) = (root.join(name), logs.join(format!("{name}.log")));
        Self {
            name: name.to_owned(),
            folder,
            logs,
            launcher: launcher.clone(),
            child: tokio::sync::Mutex::default(),
            pid: Mutex::new(0),
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("s")
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn pid(&self) -> u32 {
        *self.pid.lock().unwrap()
    }

    /// Starts on the data that is there, and waits until commands are answered. A write past a file
    /// size limit fails instead of killing the server: the signal for it is ignored from the start.
    pub(crate) async fn launch(&self) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let _ = std::fs::remove_file(self.socket());
        let log = std::fs::File::options().create(true).append(true).open(&self.logs)?;
        let options = ARGUMENTS.join(" ");
        let line = format!("trap '' XFSZ; exec redis-server --unixsocket s {options}");
        let child = self
            .launcher
            .command("sh")
            .args(["-c", &line])
            .current_dir(&self.folder)
            .stdout(log.try_clone()?)
            .stderr(Stdio::from(log))
            .spawn()?;
        *self.pid.lock().unwrap() = child.id().unwrap_or(0);
        *self.child.lock().await = Some(child);
        let up = pace::until!(START, {
            self.ask(&["PING"]).await.is_some_and(|reply| reply == Reply::Text("PONG".to_owned()))
        });
        if up { Ok(()) } else { Err(std::io::Error::other(format!("{} does not start", self.name))) }
    }

    /// SIGKILL, and waits for the end.
    pub(crate) async fn kill(&self) {
        *self.pid.lock().unwrap() = 0;
        if let Some(mut child) = self.child.lock().await.take() {
            children::end(&mut child).await;
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        children::signal(self.pid(), signal);
    }

    /// Whether the process has ended by itself.
    pub(crate) async fn ended(&self) -> bool {
        match self.child.lock().await.as_mut() {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => true,
        }
    }

    /// One command on a connection of its own; `None` without a reply.
    pub(crate) async fn ask(&self, args: &[&str]) -> Option<Reply> {
        let mut connection = Connection::open(&self.socket()).await.ok()?;
        connection.ask(args).await.ok()
    }

    /// Sets a parameter; whether Redis took it.
    pub(crate) async fn set(&self, name: &str, value: &str) -> bool {
        self.ask(&["CONFIG", "SET", name, value]).await == Some(Reply::Text("OK".to_owned()))
    }

    /// A line of `INFO`.
    pub(crate) async fn info(&self, section: &str, field: &str) -> String {
        let text = self.ask(&["INFO", section]).await.map(|reply| reply.text()).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(str::to_owned));
        line.unwrap_or_default()
    }

    /// The newest entry of the transition log.
    pub(crate) async fn newest_entry(&self) -> Option<String> {
        let reply = self.ask(&["XREVRANGE", "ai:events", "+", "-", "COUNT", "1"]).await?;
        match reply {
            Reply::List(entries) => Some(entries.first().map_or_else(|| "0-0".to_owned(), |e| e.list()[0].text())),
            _ => None,
        }
    }
}

/// Who is primary, who is replica, and where every client's edge leads.
pub(crate) struct Pair {
    members: Mutex<(Arc<Server>, Arc<Server>)>,
    /// Edges of clients lead here.
    pub(crate) target: watch::Sender<Option<Target>>,
    /// The replication link leads here.
    replication: watch::Sender<Option<Target>>,
    pub(crate) link: Arc<Proxy>,
}

impl Pair {
    /// Starts both.
    pub(crate) async fn start(root: &Path, logs: &Path, launcher: &Launcher) -> std::io::Result<Self> {
        let [first, second] = ["redis-a", "redis-b"].map(|name| Arc::new(Server::new(name, root, logs, launcher)));
        first.launch().await?;
        let target = watch::Sender::new(Some(Target::Unix(first.socket())));
        let replication = watch::Sender::new(Some(Target::Unix(first.socket())));
        let link = Proxy::start("replication", replication.subscribe()).await?;
        let pair = Self { members: Mutex::new((first, second)), target, replication, link };
        pair.attach_replica().await?;
        Ok(pair)
    }

    pub(crate) fn primary(&self) -> Arc<Server> {
        Arc::clone(&self.members.lock().unwrap().0)
    }

    pub(crate) fn replica(&self) -> Arc<Server> {
        Arc::clone(&self.members.lock().unwrap().1)
    }

    /// Starts the replica on no data and waits until it follows.
    pub(crate) async fn attach_replica(&self) -> std::io::Result<()> {
        let replica = self.replica();
        replica.kill().await;
        let _ = std::fs::remove_dir_all(replica.folder());
        replica.launch().await?;
        let port = self.link.address.port().to_string();
        replica.ask(&["REPLICAOF", "127.0.0.1", &port]).await;
        if self.follows(START).await { Ok(()) } else { Err(std::io::Error::other("the replica does not follow")) }
    }

    /// Waits until the replica's link stands.
    pub(crate) async fn follows(&self, limit: Duration) -> bool {
        let replica = self.replica();
        pace::until!(limit, replica.info("replication", "master_link_status").await == "up")
    }

    /// The replica becomes the primary that every edge leads to; the old one is out.
    pub(crate) async fn promote(&self) {
        let (old, new) = self.members.lock().unwrap().clone();
        new.ask(&["REPLICAOF", "NO", "ONE"]).await;
        *self.members.lock().unwrap() = (Arc::clone(&new), old);
        self.replication.send_replace(Some(Target::Unix(new.socket())));
    }

    /// Leads the edges to the primary of now.
    pub(crate) fn retarget(&self) {
        self.target.send_replace(Some(Target::Unix(self.primary().socket())));
    }
}
