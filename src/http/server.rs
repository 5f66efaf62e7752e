//! The server loop: accepts connections within limits, times out slow ones, and stops gracefully.
//!
//! It exists because `axum::serve` installs no timer, which leaves hyper's header timeout inert,
//! and bounds neither connections nor idle time. A connection is bounded in all of its phases: it
//! has to begin a first request in time, to send the head of each in time, and is closed when idle.

mod connection;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::tasks;
use crate::metrics::HTTP_CONNECTIONS;

pub(super) use connection::TakenOver;

/// Limits of the server. The defaults are for production.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// The head of a request has to arrive within this time; an idle HTTP/1 connection is closed
    /// after it as well.
    pub header_timeout: Duration,
    /// A connection without a request in work is closed after this time.
    pub idle_timeout: Duration,
    /// Connections at once. Beyond it, a small reserve answers one request per connection, so
    /// that health checks get through; beyond that, connections wait to be accepted.
    pub max_connections: usize,
    /// After the signal to stop, requests in work have this long to finish.
    pub grace: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            max_connections: 10_000,
            grace: Duration::from_secs(20),
        }
    }
}

/// Connections in the reserve, and how long each may take to send its request.
const RESERVE: usize = 64;
const RESERVE_HEADER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long to wait before accepting again after running out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `shutdown`, then finishes what is in work within the grace.
/// Failures to accept are logged and survived.
pub async fn serve(listener: TcpListener, router: Router, options: ServerOptions, shutdown: CancellationToken) {
    let slots = Slots::new(options.max_connections);
    let tracker = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = slots.accept(&listener) => accepted,
        };
        let (stream, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        let limits = connection::Limits {
            header_timeout: if slot.reserved { RESERVE_HEADER_TIMEOUT } else { options.header_timeout },
            idle_timeout: options.idle_timeout,
            keep_alive: !slot.reserved,
        };
        let (router, shutdown) = (router.clone(), shutdown.clone());
        tasks::spawn(
            "http connection",
            tracker.track_future(async move {
                ::metrics::gauge!(HTTP_CONNECTIONS.name).increment(1);
                connection::serve(stream, router, limits, shutdown).await;
                ::metrics::gauge!(HTTP_CONNECTIONS.name).decrement(1);
                drop(slot);
            }),
        );
    }
    drop(listener);
    tracker.close();
    if tokio::time::timeout(options.grace, tracker.wait()).await.is_err() {
        tracing::warn!(connections = tracker.len(), "some requests did not finish within the grace");
    }
}

/// A failed accept: of one connection (go on at once), or of the process (EMFILE, ENFILE, ENOMEM:
/// an accept loop that spins or ends would turn a shortage into an outage).
async fn pause(error: &io::Error) {
    use io::ErrorKind as K;
    if matches!(error.kind(), K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::Interrupted) {
        return;
    }
    tracing::warn!(%error, "cannot accept connections");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// The right to hold a connection.
struct Slot {
    reserved: bool,
    _permit: OwnedSemaphorePermit,
}

struct Slots {
    regular: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
}

impl Slots {
    fn new(max: usize) -> Self {
        Self { regular: Arc::new(Semaphore::new(max)), reserve: Arc::new(Semaphore::new(RESERVE)) }
    }

    /// Takes a slot, then a connection: what is not accepted waits in the kernel's queue.
    async fn accept(&self, listener: &TcpListener) -> io::Result<(TcpStream, Slot)> {
        let closed = |_| io::Error::other("closed");
        let slot = match self.regular.clone().try_acquire_owned() {
            Ok(permit) => Slot { reserved: false, _permit: permit },
            Err(_) => {
                let reserve = self.reserve.clone().acquire_owned();
                tokio::select! {
                    biased;
                    permit = self.regular.clone().acquire_owned() => {
                        Slot { reserved: false, _permit: permit.map_err(closed)? }
                    }
                    permit = reserve => Slot { reserved: true, _permit: permit.map_err(closed)? },
                }
            }
        };
        let (stream, _) = listener.accept().await?;
        Ok((stream, slot))
    }
}
