//! The API behind the Caddy and the nginx of `deploy/`: streams come through as they are written, WebSockets open, and
//! what is for inside stays inside. The rest is said by `caddy validate` and `nginx -t` (`make validate-deploy`).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use http::Method;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::api::{Api, send};
use crate::support::cluster::free_port;
use crate::support::feed::Feed;
use crate::support::fleet::until;
use crate::support::socket::Socket;

/// A proxy on a port of its own; ended when dropped.
struct Proxy {
    child: Child,
    address: SocketAddr,
    dir: TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // SIGTERM, so that nginx takes its workers along.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn program(name: &str) -> PathBuf {
    let path = project(&format!("target/proxies/bin/{name}"));
    assert!(path.exists(), "{} is missing: `scripts/proxies.sh` installs it", path.display());
    path
}

fn project(below: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// Below the range that connections get their ports from, so that none takes it meanwhile.
fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

impl Proxy {
    async fn start(mut command: Command, address: SocketAddr, dir: TempDir) -> Self {
        let log = |name| std::fs::File::create(dir.path().join(name)).expect("a file");
        command.stdin(Stdio::null()).stdout(log("stdout")).stderr(log("stderr"));
        let child = command.spawn().expect("the proxy starts");
        let mut proxy = Self { child, address, dir };
        until("the proxy listens", async || {
            assert_eq!(proxy.child.try_wait().expect("a status"), None, "the proxy ended");
            TcpStream::connect(address).await.ok()
        })
        .await;
        proxy
    }

    /// All that it logged so far.
    fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        read("stdout") + &read("stderr") + &read("error.log")
    }

    async fn caddy(upstream: SocketAddr) -> Self {
        let (address, dir) = (free_address(), TempDir::new().expect("a folder"));
        let mut command = Command::new(program("caddy"));
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(project("deploy/Caddyfile"));
        command.env_clear().env("HOME", dir.path()).env("CADDY_ADMIN", "off");
        command.env("WINDLASS_DOMAIN", format!("http://{address}")).env("WINDLASS_UPSTREAM", upstream.to_string());
        Self::start(command, address, dir).await
    }

    async fn nginx(upstream: SocketAddr) -> Self {
        let (address, dir) = (free_address(), TempDir::new().expect("a folder"));
        let shipped = std::fs::read_to_string(project("deploy/nginx/windlass.conf")).expect("the configuration");
        let site = shipped
            .replace("server 127.0.0.1:8000;", &format!("server {upstream};"))
            .replace("listen 80;", &format!("listen {address};"));
        let folder = dir.path().display();
        let main = format!(
            "daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;\n\
             events {{}}\nhttp {{ access_log off; {}\n{site}\n}}\n",
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|kind| format!("{kind}_temp_path {folder}/{kind};"))
                .concat()
        );
        std::fs::write(dir.path().join("nginx.conf"), main).expect("a file");
        let mut command = Command::new(program("nginx"));
        command.arg("-p").arg(dir.path()).arg("-e").arg("error.log").arg("-c").arg(dir.path().join("nginx.conf"));
        Self::start(command, address, dir).await
    }
}

/// What both must do. Returns the key that was used.
async fn serves_the_api(mut api: Api, proxy: &Proxy) -> String {
    let key = api.client_key("acme").await;
    let id = api.submit(&key, "r-1").await.id();
    let direct = api.address;
    api.address = proxy.address;
    assert_eq!(api.get(&key, &format!("/ai/jobs/{id}")).await.status, 200);
    // The stream stays open as long as the job is pending: a proxy that held it back would show nothing.
    let mut feed = Feed::open(&api, &key, id, None).await;
    assert_eq!(feed.next().await.expect("the job, at once").data["state"], "pending");
    let cancelled = api.command(&key, &format!("/ai/jobs/{id}/cancel")).await;
    assert_eq!(cancelled.status, 200, "{cancelled:?}");
    assert_eq!(feed.rest().await.last().expect("an event").data["state"], "cancelled");
    let mut socket = Socket::with_key(&api, &key).await;
    socket.say(&serde_json::json!({"type": "nonsense"})).await;
    socket.hear("error").await;
    drop(socket);
    let named = Socket::open(&api, &[("sec-websocket-protocol", &format!("windlass.v1, {key}"))]).await;
    drop(named.unwrap_or_else(|status| panic!("{status}")));
    assert_eq!(send(api.request(Method::GET, "/metrics")).await.status, 404, "for Prometheus, from inside");
    api.address = direct;
    assert_eq!(send(api.request(Method::GET, "/metrics")).await.status, 200);
    key
}

#[tokio::test]
async fn behind_caddy_streams_and_websockets_come_through() {
    let api = Api::start().await;
    let proxy = Proxy::caddy(api.address).await;
    let key = serves_the_api(api, &proxy).await;
    // Both WebSockets, with the key in a header of their own.
    until("they are logged", async || (proxy.log().matches("\"uri\":\"/ws\"").count() == 2).then_some(())).await;
    assert!(!proxy.log().contains(&key), "a log holds no key");
}

#[tokio::test]
async fn behind_nginx_streams_and_websockets_come_through() {
    let api = Api::start().await;
    let proxy = Proxy::nginx(api.address).await;
    let key = serves_the_api(api, &proxy).await;
    assert!(!proxy.log().contains(&key), "a log holds no key");
}
