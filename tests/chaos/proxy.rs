//! A TCP proxy on one edge between two processes, with the faults of a network.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};
use windlass::clock::{self, Instant};
use windlass::engine::tasks;

use super::dice::Dice;
use super::pace;

/// Where an edge leads; `None` refuses.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// What an edge does to what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Forward,
    /// Every piece is late by this much, and up to `jitter` more.
    Delay {
        ms: u64,
        jitter: u64,
    },
    /// Bytes a second, each way.
    Bandwidth(u64),
    /// Connections stand, and nothing passes.
    Blackhole,
    /// What clients send does not arrive; answers would.
    HalfOpenUp,
    /// What clients send arrives; answers do not.
    HalfOpenDown,
    /// This percentage of answers is lost with its connection: the request was carried out.
    CutReply(u64),
    /// A connection breaks in the middle of an answer, after about this many bytes of answers.
    CutAfter(u64),
    /// Connections are closed as they come.
    Refuse,
}

#[derive(Clone, Copy, Debug)]
struct State {
    mode: Mode,
    /// Connections of an earlier epoch are broken.
    epoch: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

impl Mode {
    fn passes(self, way: Way) -> bool {
        match self {
            Self::Blackhole | Self::Refuse => false,
            Self::HalfOpenUp => way == Way::Down,
            Self::HalfOpenDown => way == Way::Up,
            _ => true,
        }
    }
}

/// One edge.
pub(crate) struct Proxy {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
}

struct Edge {
    state: watch::Receiver<State>,
    target: watch::Receiver<Option<Target>>,
    salt: AtomicU64,
}

impl Proxy {
    /// Listens on a free port; ends with the runtime.
    pub(crate) async fn start(name: &str, target: watch::Receiver<Option<Target>>) -> io::Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (state, watched) = watch::channel(State { mode: Mode::Forward, epoch: 0 });
        let edge = Arc::new(Edge { state: watched, target, salt: AtomicU64::new(0) });
        tasks::spawn("proxy", async move {
            loop {
                match listener.accept().await {
                    Ok((client, _)) => drop(tasks::spawn("edge", carry(client, Arc::clone(&edge)))),
                    Err(_) => pace::pause_ms(20).await,
                }
            }
        });
        Ok(Arc::new(Self { name: name.to_owned(), address, state }))
    }

    /// Changes what happens to what passes, on old connections and new ones.
    pub(crate) fn set(&self, mode: Mode) {
        self.state.send_modify(|state| {
            state.mode = mode;
            state.epoch += u64::from(mode == Mode::Refuse);
        });
    }

    /// Breaks every connection with an RST.
    pub(crate) fn reset(&self) {
        self.state.send_modify(|state| state.epoch += 1);
    }
}

type Half = Box<dyn AsyncRead + Send + Unpin>;
type OtherHalf = Box<dyn AsyncWrite + Send + Unpin>;

async fn open(target: Option<Target>) -> io::Result<(Half, OtherHalf)> {
    match target {
        Some(Target::Unix(path)) => {
            let (read, write) = UnixStream::connect(path).await?.into_split();
            Ok((Box::new(read), Box::new(write)))
        }
        Some(Target::Tcp(address)) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (read, write) = stream.into_split();
            Ok((Box::new(read), Box::new(write)))
        }
        None => Err(io::ErrorKind::ConnectionRefused.into()),
    }
}

async fn carry(mut client: TcpStream, edge: Arc<Edge>) {
    let mut state = edge.state.clone();
    let born = *state.borrow_and_update();
    let target = edge.target.borrow().clone();
    let opened =
        if born.mode == Mode::Refuse { Err(io::ErrorKind::ConnectionRefused.into()) } else { open(target).await };
    let Ok((from_server, to_server)) = opened else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = client.set_nodelay(true);
    let salt = edge.salt.fetch_add(1, Ordering::Relaxed);
    let broken = {
        let (from_client, to_client) = client.split();
        tokio::select! {
            broken = pump(from_client, to_server, Way::Up, edge.state.clone(), salt) => broken,
            broken = pump(from_server, to_client, Way::Down, edge.state.clone(), salt) => broken,
            _ = state.wait_for(|now| now.epoch != born.epoch) => Err(io::ErrorKind::ConnectionReset.into()),
        }
    };
    if broken.is_err() {
        let _ = client.set_zero_linger();
    }
}

/// Carries one direction until its end, `Ok`, or until something breaks it.
async fn pump<R, W>(from: R, to: W, way: Way, state: watch::Receiver<State>, salt: u64) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (pieces, queue) = mpsc::channel(256);
    let (read, written) = tokio::join!(read(from, pieces, way, state.clone(), salt), write(to, queue, way, state));
    read.and(written)
}

async fn gate(way: Way, state: &mut watch::Receiver<State>) -> io::Result<Mode> {
    let open = state.wait_for(|now| now.mode.passes(way)).await;
    open.map(|now| now.mode).map_err(|_| io::ErrorKind::BrokenPipe.into())
}

async fn read<R: AsyncRead + Unpin>(
    mut from: R,
    pieces: mpsc::Sender<(Instant, Vec<u8>, bool)>,
    way: Way,
    mut state: watch::Receiver<State>,
    salt: u64,
) -> io::Result<()> {
    let mut dice = Dice::of(salt, "edge");
    let (mut buffer, mut due, mut passed) = (vec![0; 32 * 1024], clock::now(), 0_u64);
    loop {
        let mode = gate(way, &mut state).await?;
        let n = tokio::select! {
            read = from.read(&mut buffer) => read?,
            changed = state.changed() => {
                changed.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
                continue;
            }
        };
        if n == 0 {
            return Ok(());
        }
        let (mut piece, mut last) = (buffer[..n].to_vec(), false);
        match mode {
            Mode::CutReply(percent) if way == Way::Down && dice.chance(percent) => {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Mode::CutAfter(bytes) if way == Way::Down => {
                passed += n as u64;
                last = passed >= bytes;
                if last {
                    piece.truncate(n / 2);
                }
            }
            Mode::Delay { ms, jitter } => {
                due = due.max(clock::now() + Duration::from_millis(ms + dice.between(0, jitter)));
            }
            _ => passed = 0,
        }
        if pieces.send((due, piece, last)).await.is_err() {
            return Ok(());
        }
    }
}

async fn write<W: AsyncWrite + Unpin>(
    mut to: W,
    mut queue: mpsc::Receiver<(Instant, Vec<u8>, bool)>,
    way: Way,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    while let Some((due, piece, last)) = queue.recv().await {
        pace::pause_until(due).await;
        if let Mode::Bandwidth(rate) = gate(way, &mut state).await? {
            pace::pause(Duration::from_secs_f64(piece.len() as f64 / rate.max(1) as f64)).await;
        }
        to.write_all(&piece).await?;
        to.flush().await?;
        if last {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
    }
    Ok(())
}
