//! A tiny HTTP server with canned answers that remembers what it was sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use windlass::engine::tasks;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Received {
    /// The value of a header, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A server on a port of its own. Each connection gets the same answer and is closed.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Vec<Received>>>,
    connections: Arc<Mutex<usize>>,
    /// A message for each connection that the client closed before it had an answer.
    pub(crate) hang_ups: mpsc::UnboundedReceiver<()>,
}

/// A complete answer.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
}

impl Receiver {
    /// Answers every request with `answer`; an empty one is never sent, so the client waits.
    pub(crate) async fn start(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(0));
        let (sender, hang_ups) = mpsc::unbounded_channel();
        let (own_log, own_connections) = (log.clone(), connections.clone());
        tasks::spawn("receiver", async move {
            while let Ok((stream, _)) = listener.accept().await {
                *own_connections.lock().unwrap() += 1;
                let (log, sender, answer) = (own_log.clone(), sender.clone(), answer.clone());
                tasks::spawn("connection", handle(stream, answer, log, sender));
            }
        });
        Self { address, log, connections, hang_ups }
    }

    /// A server that must never be reached.
    pub(crate) async fn canary() -> Self {
        Self::start(answer(200, "", "{}")).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

async fn handle(
    mut stream: TcpStream,
    answer: String,
    log: Arc<Mutex<Vec<Received>>>,
    hang_ups: mpsc::UnboundedSender<()>,
) -> Option<()> {
    let mut bytes = Vec::new();
    let (head_end, length) = loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(end) = text.find("\r\n\r\n") {
            let request = Received { head: text[..end].to_owned(), body: String::new() };
            let length: usize = request.header("content-length").map_or(0, |v| v.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                break (end, length);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes).unwrap();
    let body = text[head_end + 4..head_end + 4 + length].to_owned();
    log.lock().unwrap().push(Received { head: text[..head_end].to_owned(), body });
    if answer.is_empty() {
        let gone = stream.read_u8().await.is_err();
        return if gone { hang_ups.send(()).ok() } else { None };
    }
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}
