//! A server for fakes of services that speak JSON over HTTP/1.1. It may also close a connection without an answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use windlass::engine::tasks;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Decoded segments of the path.
    pub(crate) path: Vec<String>,
    pub(crate) query: BTreeMap<String, String>,
    /// By lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn param(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Json(u16, Vec<(String, String)>, Value),
    HangUp,
}

impl Reply {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::Json(status, Vec::new(), body)
    }
}

/// What happens to one request that changes something.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It is done, and the connection is closed without an answer.
    DoneThenHangUp,
    /// It is done, and a gateway answers 502.
    DoneThenBadGateway,
    /// It is not done; this is the answer.
    Refuse(u16, Vec<(String, String)>, Value),
}

/// Answers with `handler`, on a port of its own, until it is dropped with its runtime.
pub(crate) struct JsonServer {
    address: SocketAddr,
}

impl JsonServer {
    pub(crate) async fn start(handler: impl Fn(Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let handler = Arc::new(handler);
        tasks::spawn("json-server", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let handler = handler.clone();
                tasks::spawn("json-connection", async move { serve(stream, &*handler).await });
            }
        });
        Self { address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(mut stream: TcpStream, handler: &(impl Fn(Asked) -> Reply + Send + Sync)) -> Option<()> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let pair = |line: &str| line.split_once(':').map(|(k, v)| (k.to_ascii_lowercase(), v.trim().to_owned()));
    let headers: BTreeMap<String, String> = lines.filter_map(pair).collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&bytes[end + 4..]).unwrap_or(Value::Null);
    let url = url::Url::parse(&format!("http://x{target}")).unwrap();
    let path = url.path_segments()?.map(|s| s.replace("%40", "@").replace("%20", " ")).collect();
    let query = url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
    match handler(Asked { method, path, query, headers, body }) {
        Reply::HangUp => None,
        Reply::Json(status, headers, body) => {
            let body = if status == 204 { String::new() } else { body.to_string() };
            let extra: String = headers.iter().map(|(k, v)| format!("{k}: {v}\r\n")).collect();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json; charset=utf-8\r\n{extra}connection: close\r\n"
            );
            let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.ok()?;
            stream.shutdown().await.ok()
        }
    }
}
