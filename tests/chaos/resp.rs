//! A plain connection to Redis for the harness' own commands. It retries nothing and hides nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// A command that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(10);

/// A reply.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    Nil,
    Int(i64),
    Text(String),
    Error(String),
    List(Vec<Reply>),
}

impl Reply {
    /// The text of a string or number; empty for the rest.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Int(n) => n.to_string(),
            _ => String::new(),
        }
    }

    pub(crate) fn list(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// A flat list of names and values as a JSON object.
    pub(crate) fn object(&self) -> Value {
        let pairs = self.list().chunks(2).filter(|pair| pair.len() == 2);
        Value::Object(pairs.map(|pair| (pair[0].text(), pair[1].json())).collect())
    }

    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Nil => Value::Null,
            Self::Int(n) => json!(n),
            Self::Text(text) | Self::Error(text) => json!(text),
            Self::List(items) => Value::Array(items.iter().map(Self::json).collect()),
        }
    }
}

/// A connection over a unix socket.
pub(crate) struct Connection {
    stream: BufReader<UnixStream>,
}

impl Connection {
    pub(crate) async fn open(socket: &Path) -> std::io::Result<Self> {
        Ok(Self { stream: BufReader::new(UnixStream::connect(socket).await?) })
    }

    /// One command and its reply; an error reply is a reply.
    pub(crate) async fn ask<S: AsRef<str>>(&mut self, args: &[S]) -> std::io::Result<Reply> {
        tokio::time::timeout(LIMIT, self.exchange(args)).await?
    }

    /// The same for a reply that may be hundreds of megabytes.
    pub(crate) async fn ask_for_much<S: AsRef<str>>(&mut self, args: &[S]) -> std::io::Result<Reply> {
        tokio::time::timeout(30 * LIMIT, self.exchange(args)).await?
    }

    async fn exchange<S: AsRef<str>>(&mut self, args: &[S]) -> std::io::Result<Reply> {
        let mut command = format!("*{}\r\n", args.len());
        for arg in args {
            let arg = arg.as_ref();
            command.push_str(&format!("${}\r\n{arg}\r\n", arg.len()));
        }
        self.stream.get_mut().write_all(command.as_bytes()).await?;
        self.read().await
    }

    async fn read(&mut self) -> std::io::Result<Reply> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let bad = || std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "a reply broke off");
        if !line.ends_with("\r\n") {
            return Err(bad());
        }
        let (mark, rest) = line.trim_end().split_at(1);
        let number = || rest.parse::<i64>().map_err(|_| bad());
        match mark {
            "+" => Ok(Reply::Text(rest.to_owned())),
            "-" => Ok(Reply::Error(rest.to_owned())),
            ":" => Ok(Reply::Int(number()?)),
            "$" => match usize::try_from(number()?) {
                Err(_) => Ok(Reply::Nil),
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.stream.read_exact(&mut bytes).await?;
                    bytes.truncate(length);
                    Ok(Reply::Text(String::from_utf8_lossy(&bytes).into_owned()))
                }
            },
            _ => {
                let Ok(length) = usize::try_from(number()?) else { return Ok(Reply::Nil) };
                let mut items = Vec::with_capacity(length);
                for _ in 0..length {
                    items.push(Box::pin(self.read()).await?);
                }
                Ok(Reply::List(items))
            }
        }
    }
}

/// A connection that is opened when needed and given up after any failure.
pub(crate) struct Patient {
    socket: PathBuf,
    open: Option<Connection>,
}

impl Patient {
    pub(crate) fn new() -> Self {
        Self { socket: PathBuf::new(), open: None }
    }

    /// Asks the server behind `socket`; `None` when it gave no reply.
    pub(crate) async fn ask<S: AsRef<str>>(&mut self, socket: &Path, args: &[S]) -> Option<Reply> {
        if self.socket != socket {
            (self.socket, self.open) = (socket.to_owned(), None);
        }
        if self.open.is_none() {
            self.open = Connection::open(socket).await.ok();
        }
        let reply = self.open.as_mut()?.ask(args).await;
        if reply.is_err() {
            self.open = None;
        }
        reply.ok()
    }
}
