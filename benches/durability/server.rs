//! Redis children that are killed, lose power or are promoted, and the replication link that is cut.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, UnixStream as Stream};
use tokio_util::sync::CancellationToken;
use windlass::engine::tasks;
use windlass::store::{Store, StoreOptions};

/// A server on a unix socket, with an append-only file that knows its seconds; killed when dropped.
pub(crate) struct Server {
    child: Child,
    dir: TempDir,
    arguments: Vec<String>,
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let child = launch(dir.path(), &arguments);
        Self { child, dir, arguments }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("a status");
    }

    /// What is left of the file when the power goes: everything up to `second`.
    pub(crate) fn truncate(&self, second: u64) {
        let manifest = self.dir.path().join("appendonlydir/appendonly.aof.manifest");
        let output = Command::new("redis-check-aof")
            .args(["--truncate-to-timestamp", &second.to_string()])
            .arg(manifest)
            .output()
            .expect("redis-check-aof is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    /// Starts again on what is left.
    pub(crate) fn restart(&mut self) {
        self.child = launch(self.dir.path(), &self.arguments);
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    pub(crate) async fn store(&self, change: impl FnOnce(&mut StoreOptions)) -> Store {
        let mut options = StoreOptions::new(&format!("redis+unix://{}", self.socket().display()));
        change(&mut options);
        let store = Store::connect(options).await.expect("a usable URL");
        store.wait_connected(Duration::from_secs(20)).await.expect("redis-server answers");
        store
    }

    /// One command; the first line of the reply, or the text of a bulk reply.
    pub(crate) fn ask(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(self.socket()).expect("redis-server listens");
        stream.write_all(format!("{command}\r\n").as_bytes()).expect("redis-server reads");
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("a reply");
        let Some(length) = line.strip_prefix('$').and_then(|n| n.trim().parse::<usize>().ok()) else { return line };
        let mut text = vec![0; length];
        std::io::Read::read_exact(&mut reader, &mut text).expect("a whole reply");
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(dir: &Path, arguments: &[String]) -> Child {
    let socket = dir.join("s");
    let _ = std::fs::remove_file(&socket);
    let child = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "yes", "--aof-timestamp-enabled", "yes"])
        .args(["--maxmemory", "1gb", "--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0"])
        .args(arguments)
        .arg("--unixsocket")
        .arg(&socket)
        .arg("--dir")
        .arg(dir)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed");
    while UnixStream::connect(&socket).is_err() {
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

/// The way of the replication stream, which can go silent: connections stay and nothing passes.
pub(crate) struct Way {
    pub(crate) port: u16,
    silent: CancellationToken,
}

impl Way {
    pub(crate) async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let silent = CancellationToken::new();
        let heard = silent.clone();
        let socket = server.socket();
        tasks::spawn("way", async move {
            while let Ok((mut replica, _)) = listener.accept().await {
                replica.set_nodelay(true).expect("a socket");
                let (socket, heard) = (socket.clone(), heard.clone());
                tasks::spawn("carry", async move {
                    let Ok(mut primary) = Stream::connect(socket).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut replica, &mut primary) => {}
                        () = heard.cancelled() => std::future::pending().await,
                    }
                });
            }
        });
        Self { port, silent }
    }

    pub(crate) fn go_silent(&self) {
        self.silent.cancel();
    }
}
