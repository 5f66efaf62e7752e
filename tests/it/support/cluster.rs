//! Servers of a Redis Cluster on loopback, each with a unix socket besides its port. Who owns what is
//! written before they start, so that no test waits for gossip.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::redis::{ask_at, server_binary};

/// Ports below the range that connections get theirs from.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

struct Node {
    child: Option<Child>,
    dir: TempDir,
    port: u16,
    bus: u16,
}

/// Masters, and replicas of the first of them; all killed when dropped.
pub(crate) struct TestCluster {
    nodes: Vec<Node>,
    extra: Vec<String>,
}

impl TestCluster {
    /// Servers with append-only files, ready for commands.
    pub(crate) fn start(masters: usize, replicas: usize, extra: &[&str]) -> Self {
        let ports: Vec<(u16, u16)> = (0..masters + replicas).map(|_| (free_port(), free_port())).collect();
        let nodes = ports.iter().enumerate().map(|(number, (port, bus))| {
            let dir = TempDir::new().expect("a temporary folder");
            fs::write(dir.path().join("nodes.conf"), topology(&ports, masters, number)).expect("a file");
            Node { child: None, dir, port: *port, bus: *bus }
        });
        let mut cluster = Self { nodes: nodes.collect(), extra: extra.iter().map(ToString::to_string).collect() };
        (0..masters + replicas).for_each(|number| cluster.spawn(number));
        (0..masters + replicas).for_each(|number| cluster.wait_ready(number));
        cluster
    }

    #[expect(clippy::disallowed_methods, reason = "tests start their own servers")]
    fn spawn(&mut self, number: usize) {
        let socket = self.socket(number);
        let _ = fs::remove_file(&socket);
        let node = &mut self.nodes[number];
        let child = Command::new(server_binary())
            .args(["--bind", "127.0.0.1", "--port", &node.port.to_string(), "--cluster-port", &node.bus.to_string()])
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--dir")
            .arg(node.dir.path())
            .args(["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "1500"])
            .args(["--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0"])
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""])
            .args(["--maxmemory", "256mb", "--maxmemory-policy", "noeviction", "--enable-debug-command", "local"])
            .args(&self.extra)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        node.child = Some(child);
    }

    fn wait_ready(&self, number: usize) {
        for _ in 0..2_000 {
            if self.socket(number).exists() && self.ask(number, &["CLUSTER", "INFO"]).contains("cluster_state:ok") {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("server {number} of the cluster is not ready");
    }

    pub(crate) fn socket(&self, number: usize) -> PathBuf {
        self.nodes[number].dir.path().join("s")
    }

    pub(crate) fn folder(&self, number: usize) -> &std::path::Path {
        self.nodes[number].dir.path()
    }

    pub(crate) fn pid(&self, number: usize) -> i32 {
        self.nodes[number].child.as_ref().map_or(0, |child| i32::try_from(child.id()).unwrap())
    }

    /// One command to one server, see [`ask_at`].
    pub(crate) fn ask(&self, number: usize, args: &[&str]) -> String {
        ask_at(&self.socket(number), args).unwrap_or_default()
    }

    /// The master that owns a key.
    pub(crate) fn owner(&self, key: &str) -> usize {
        let owns = |number: &usize| {
            self.nodes[*number].child.is_some() && !self.ask(*number, &["EXISTS", key]).starts_with("MOVED")
        };
        (0..self.nodes.len()).find(owns).expect("a server owns the key")
    }

    /// SIGKILL, as a crash.
    pub(crate) fn kill(&mut self, number: usize) {
        if let Some(mut child) = self.nodes[number].child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts a killed server on the data it has.
    pub(crate) fn launch(&mut self, number: usize) {
        self.spawn(number);
        self.wait_ready(number);
    }

    /// Names two servers, as people do; the others are found.
    pub(crate) fn url(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().take(2).map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis-cluster://{}", hosts.join(","))
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        (0..self.nodes.len()).for_each(|number| self.kill(number));
    }
}

/// The id of a server, for `CLUSTER` commands.
pub(crate) fn node_id(number: usize) -> String {
    format!("{:040x}", number + 1)
}

/// What server `own` knows of all: an id, an address and slots each.
fn topology(ports: &[(u16, u16)], masters: usize, own: usize) -> String {
    let mut text = String::new();
    for (number, (port, bus)) in ports.iter().enumerate() {
        let myself = if number == own { "myself," } else { "" };
        let rest = if number < masters {
            let (first, next) = (16_384 * number / masters, 16_384 * (number + 1) / masters);
            format!("{myself}master - 0 0 {} connected {first}-{}", number + 1, next - 1)
        } else {
            format!("{myself}slave {} 0 0 1 connected", node_id(0))
        };
        text.push_str(&format!("{} 127.0.0.1:{port}@{bus} {rest}\n", node_id(number)));
    }
    text + &format!("vars currentEpoch {masters} lastVoteEpoch 0\n")
}

/// A port that nobody listens on. Each process of tests begins elsewhere in the range.
pub(crate) fn free_port() -> u16 {
    let width = PORTS.end - PORTS.start;
    let start = u16::try_from(std::process::id() * 131 % u32::from(width)).unwrap();
    loop {
        let port = PORTS.start + (start + NEXT_PORT.fetch_add(1, Ordering::Relaxed)) % width;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
