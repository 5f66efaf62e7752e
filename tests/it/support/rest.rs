//! A tiny REST server made of a function, which may also hang up instead of answering. Fakes of vendors stand on it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Mutex;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use windlass::engine::tasks;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) head: String,
    /// `null` when it is no JSON.
    pub(crate) body: Value,
}

impl Request {
    /// The value of a header, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The segments of the path, as they were sent.
    pub(crate) fn path(&self) -> Vec<&str> {
        self.target.split('?').next().unwrap_or_default().trim_matches('/').split('/').collect()
    }
}

/// What a server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answers; headers are lines that end in CRLF.
    Answer { status: u16, headers: String, body: String },
    /// Closes the connection.
    HangUp,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::Answer { status, headers: String::new(), body: body.to_string() }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::Answer { status, headers: String::new(), body: String::new() }
    }

    pub(crate) fn with(self, header: &str) -> Self {
        match self {
            Self::Answer { status, headers, body } => {
                Self::Answer { status, headers: format!("{headers}{header}\r\n"), body }
            }
            Self::HangUp => Self::HangUp,
        }
    }
}

/// How one operation fails.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Does nothing and replies this.
    Instead(Reply),
    /// Does it and replies this.
    After(Reply),
}

/// Faults to come, each for one call of an operation.
#[derive(Default)]
pub(crate) struct Faults(Mutex<VecDeque<(&'static str, Fault)>>);

impl Faults {
    pub(crate) fn add(&self, operation: &'static str, fault: Fault) {
        self.0.lock().unwrap().push_back((operation, fault));
    }

    /// The next fault of an operation, once.
    pub(crate) fn take(&self, operation: &str) -> Option<Fault> {
        let mut faults = self.0.lock().unwrap();
        let at = faults.iter().position(|(of, _)| *of == operation)?;
        faults.remove(at).map(|(_, fault)| fault)
    }

    /// What comes of an operation under its next fault.
    pub(crate) fn apply(&self, operation: &str, act: impl FnOnce() -> Reply) -> Reply {
        match self.take(operation) {
            Some(Fault::Instead(reply)) => reply,
            Some(Fault::After(reply)) => {
                act();
                reply
            }
            None => act(),
        }
    }
}

/// Serves requests on a free port of this machine.
pub(crate) async fn serve(handler: impl Fn(Request) -> Reply + Clone + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks::spawn("rest", async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handler = handler.clone();
            tasks::spawn("connection", async move { answer(stream, handler).await });
        }
    });
    address
}

async fn answer(mut stream: TcpStream, handler: impl Fn(Request) -> Reply) -> Option<()> {
    let request = read(&mut stream).await?;
    let Reply::Answer { status, headers, body } = handler(request) else { return None };
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut request = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes.drain(..end + 4).collect()).ok()?;
            let mut words = head.split(' ');
            let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
            break Request { method, target, head: head.clone(), body: Value::Null };
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let length: usize = request.header("content-length").map_or(Some(0), |value| value.parse().ok())?;
    while bytes.len() < length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    request.body = serde_json::from_slice(&bytes).unwrap_or_default();
    Some(request)
}
