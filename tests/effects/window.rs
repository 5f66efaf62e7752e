//! The moment in which nobody knows: a way to a sink on which the answer to an effect waits, so that a worker can be
//! killed between the effect and its answer; or on which the answer is lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Bytes of a request that are looked at: its first line, and the end of a mail.
const LOOKED_AT: usize = 64 * 1024;

/// How answers to effects are treated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// The share of them that waits.
    pub(crate) held: f64,
    /// For how long at most.
    pub(crate) hold: Duration,
    /// The share of them that is lost: the sink has done it, and the connection ends.
    pub(crate) lost: f64,
}

/// What was seen, over all ways.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Effects whose answer waits now.
    pub(crate) waiting: AtomicUsize,
    /// Effects whose worker was gone before its answer went on.
    pub(crate) orphaned: AtomicUsize,
    /// Answers that were lost on purpose.
    pub(crate) lost: AtomicUsize,
    /// No answer waits or is lost any more.
    pub(crate) over: AtomicBool,
    /// Told whenever an answer begins to wait.
    pub(crate) began: Notify,
}

/// Opens a way to `sink`; it ends with the process.
pub(crate) async fn open(sink: SocketAddr, habits: Habits, seed: u64, seen: Arc<Seen>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let connections = AtomicU64::new(0);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let n = connections.fetch_add(1, Ordering::Relaxed);
            let dice = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(n));
            let seen = seen.clone();
            tokio::spawn(async move {
                let Ok(server) = TcpStream::connect(sink).await else { return };
                // What ends a connection is what this is about.
                let _ = pass(client, server, habits, dice, &seen).await;
            });
        }
    });
    address
}

/// Whether the answer to this is the answer to an effect: the end of a mail, or a POST that is no draft.
fn is_effect(request: &[u8]) -> bool {
    let first = request.split(|b| *b == b'\r').next().unwrap_or_default();
    let posts = first.starts_with(b"POST ") && !first.ends_with(b"/drafts HTTP/1.1");
    posts || request.ends_with(b"\r\n.\r\n")
}

async fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    habits: Habits,
    mut dice: StdRng,
    seen: &Seen,
) -> std::io::Result<()> {
    let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let mut request = Vec::new();
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                let room = LOOKED_AT.saturating_sub(request.len());
                request.extend_from_slice(&up[..read.min(room)]);
                server.write_all(&up[..read]).await?;
            }
            read = server.read(&mut down) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                if is_effect(&request) && !seen.over.load(Ordering::Relaxed) {
                    if dice.random_bool(habits.lost) {
                        seen.lost.fetch_add(1, Ordering::Relaxed);
                        return Ok(());
                    }
                    if dice.random_bool(habits.held) && orphaned(&mut client, habits.hold, seen).await {
                        return Ok(());
                    }
                }
                request.clear();
                client.write_all(&down[..read]).await?;
            }
        }
    }
}

/// Lets an answer wait; true when its worker is gone meanwhile.
async fn orphaned(client: &mut TcpStream, hold: Duration, seen: &Seen) -> bool {
    seen.waiting.fetch_add(1, Ordering::Relaxed);
    seen.began.notify_one();
    let mut byte = [0];
    let gone = tokio::time::timeout(hold, client.peek(&mut byte)).await;
    seen.waiting.fetch_sub(1, Ordering::Relaxed);
    let gone = matches!(gone, Ok(Ok(0) | Err(_)));
    if gone {
        seen.orphaned.fetch_add(1, Ordering::Relaxed);
    }
    gone
}
