//! A TCP proxy in front of a test's Redis that can go silent, break, or swallow one reply.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use windlass::engine::tasks;
use windlass::store::{Store, StoreOptions};

use super::redis::TestRedis;

#[derive(Clone, Debug)]
enum Mode {
    Forward,
    /// Connections stay open and nothing passes; those numbered from here on work.
    Silent(usize),
    /// Connections are closed as they come.
    Refuse,
    /// The first request with these bytes gets through, and its connection breaks before the reply.
    Swallow(Vec<u8>),
    /// The first request with these bytes does not get through; this is its reply, in one piece with that to the
    /// next.
    Deny(Vec<u8>, &'static str),
}

/// The proxy; ends with its test's runtime.
pub(crate) struct Proxy {
    address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
    target: Arc<watch::Sender<PathBuf>>,
    swallowed: watch::Receiver<usize>,
    opened: Arc<AtomicUsize>,
    base: String,
}

impl Proxy {
    pub(crate) async fn start(redis: &TestRedis) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mode = Arc::new(watch::Sender::new(Mode::Forward));
        let (count, swallowed) = watch::channel(0);
        let (opened, target) = (Arc::new(AtomicUsize::new(0)), Arc::new(watch::Sender::new(redis.socket())));
        let sockets = Arc::clone(&target);
        let shared = (Arc::clone(&mode), Arc::new(count), Arc::clone(&opened));
        tasks::spawn("proxy", async move {
            while let Ok((client, _)) = listener.accept().await {
                client.set_nodelay(true).expect("a socket");
                let number = shared.2.fetch_add(1, Ordering::SeqCst);
                tasks::spawn(
                    "carry",
                    carry(client, sockets.borrow().clone(), number, Arc::clone(&shared.0), Arc::clone(&shared.1)),
                );
            }
        });
        Self { address, mode, target, swallowed, opened, base: redis.base().to_owned() }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// A store that reaches Redis through the proxy over one connection.
    pub(crate) async fn store(&self) -> Store {
        self.store_with(|_| {}).await
    }

    /// The same with other options.
    pub(crate) async fn store_with(&self, change: impl FnOnce(&mut StoreOptions)) -> Store {
        let mut options = StoreOptions::new(&format!("redis://{}", self.address));
        options.pool_size = 1;
        self.base.clone_into(&mut options.base);
        options.command_timeout = std::time::Duration::from_secs(2);
        change(&mut options);
        let store = Store::connect(options).await.expect("a usable URL");
        store.wait_connected(std::time::Duration::from_secs(20)).await.expect("the proxy forwards");
        store
    }

    /// New connections lead to this server, as when an address is moved.
    pub(crate) fn point_to(&self, redis: &TestRedis) {
        self.target.send_replace(redis.socket());
    }

    /// Nothing passes any more, on old connections and on new ones.
    pub(crate) fn go_silent(&self) {
        self.mode.send_replace(Mode::Silent(usize::MAX));
    }

    /// Nothing passes on the connections that exist; new ones work.
    pub(crate) fn silence_old(&self) {
        self.mode.send_replace(Mode::Silent(self.opened.load(Ordering::SeqCst)));
    }

    /// Breaks every connection and refuses new ones.
    pub(crate) fn refuse(&self) {
        self.mode.send_replace(Mode::Refuse);
    }

    pub(crate) fn forward(&self) {
        self.mode.send_replace(Mode::Forward);
    }

    /// Lets the next request that contains `needle` through and breaks its connection before the reply.
    pub(crate) fn swallow_reply_to(&self, needle: &str) {
        self.mode.send_replace(Mode::Swallow(needle.as_bytes().to_vec()));
    }

    /// Denies the next request that contains `needle`, once another was answered behind it.
    pub(crate) fn deny(&self, needle: &str, reply: &'static str) {
        self.mode.send_replace(Mode::Deny(needle.as_bytes().to_vec(), reply));
    }

    /// Waits until a request was denied or a reply swallowed.
    pub(crate) async fn swallowed(&mut self) {
        self.swallowed.wait_for(|n| *n > 0).await.expect("the proxy runs");
    }
}

async fn carry(
    mut client: TcpStream,
    socket: PathBuf,
    number: usize,
    mode: Arc<watch::Sender<Mode>>,
    swallowed: Arc<watch::Sender<usize>>,
) {
    let Ok(mut redis) = UnixStream::connect(socket).await else { return };
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    let (mut changes, mut owed) = (mode.subscribe(), "");
    loop {
        let now = changes.borrow_and_update().clone();
        let silent = match &now {
            Mode::Refuse => return,
            Mode::Silent(from) => number < *from,
            Mode::Forward | Mode::Swallow(_) | Mode::Deny(..) => false,
        };
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            read = client.read(&mut asked), if !silent => {
                let Ok(n @ 1..) = read else { return };
                let has = |needle: &[u8]| asked[..n].windows(needle.len()).any(|w| w == needle);
                if let Mode::Deny(needle, reply) = &now && has(needle) {
                    owed = reply;
                    mode.send_replace(Mode::Forward);
                    swallowed.send_modify(|n| *n += 1);
                    continue;
                }
                if redis.write_all(&asked[..n]).await.is_err() {
                    return;
                }
                let Mode::Swallow(needle) = &now else { continue };
                if !has(needle) {
                    continue;
                }
                let Ok(n @ 1..) = redis.read(&mut answered).await else { return };
                if !answered.starts_with(b"-NOSCRIPT") {
                    mode.send_replace(Mode::Forward);
                    swallowed.send_modify(|n| *n += 1);
                    return;
                }
                if client.write_all(&answered[..n]).await.is_err() {
                    return;
                }
            }
            read = redis.read(&mut answered), if !silent => {
                let Ok(n @ 1..) = read else { return };
                let reply = [std::mem::take(&mut owed).as_bytes(), &answered[..n]].concat();
                if client.write_all(&reply).await.is_err() {
                    return;
                }
            }
        }
    }
}
