//! Limits of the server: slow clients, many connections, large heads, and a graceful stop.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use windlass::http::ServerOptions;

use crate::support::api::Api;
use crate::support::redis::TestRedis;

async fn api_with(change: impl FnOnce(&mut ServerOptions)) -> Api {
    Api::start_with(TestRedis::start().await, |_, server| change(server)).await
}

async fn open(api: &Api, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(api.address).await.expect("a connection");
    stream.write_all(bytes).await.expect("sent");
    stream
}

/// Everything until the server closes, which it has to do.
async fn closed(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text);
    // A reset is as good as an end.
    let _ = tokio::time::timeout(Duration::from_secs(20), read).await.expect("the server closed the connection");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn slow_and_silent_clients_are_cut_off() {
    let api = api_with(|server| server.header_timeout = Duration::from_millis(300)).await;
    for start in [&b""[..], b"P", b"PRI * HTTP/2.0", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let text = closed(open(&api, start).await).await;
        assert!(!text.contains("200 OK"), "{text}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let api = api_with(|server| {
        server.header_timeout = Duration::from_millis(300);
        server.idle_timeout = Duration::from_millis(300);
    })
    .await;
    let text = closed(open(&api, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await).await;
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
}

#[tokio::test]
async fn health_answers_while_idle_connections_fill_the_server() {
    let api = api_with(|server| server.max_connections = 5).await;
    let mut idle = Vec::new();
    for _ in 0..10 {
        idle.push(open(&api, b"").await);
    }
    let text = closed(open(&api, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await).await;
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    assert!(text.to_lowercase().contains("connection: close"), "a reserve connection serves one request: {text}");
}

#[tokio::test]
async fn a_body_that_crawls_is_given_up() {
    let redis = TestRedis::start().await;
    let api = Api::start_with(redis, |options, _| options.body_timeout = Duration::from_millis(200)).await;
    let key = api.client_key("acme").await;
    let head = format!(
        "POST /ai/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{{"
    );
    let text = closed(open(&api, head.as_bytes()).await).await;
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("body_timeout"), "{text}");
}

#[tokio::test]
async fn ambiguous_and_oversized_heads_are_refused() {
    let api = Api::start().await;
    let many: String = (0..10_000).map(|i| format!("x-{i}: y\r\n")).collect();
    let large = format!("x: {}\r\n", "y".repeat(128 * 1024));
    let twice = "Content-Length: 2\r\nContent-Length: 3\r\n".to_owned();
    for headers in [many, large, twice] {
        let text =
            closed(open(&api, format!("POST /ai/jobs HTTP/1.1\r\nHost: x\r\n{headers}\r\n{{}}").as_bytes()).await)
                .await;
        let status = text.split(' ').nth(1).unwrap_or_default();
        assert!(matches!(status, "" | "400" | "431"), "{text}");
    }
}

#[tokio::test]
async fn both_framings_at_once_smuggle_nothing() {
    let api = Api::start().await;
    let smuggled = "GET /meta HTTP/1.1\r\nHost: x\r\n\r\n";
    let text = format!(
        "POST /ai/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
        smuggled.len() + 5
    );
    let mut stream = open(&api, text.as_bytes()).await;
    stream.shutdown().await.expect("half closed");
    let answer = closed(stream).await;
    assert!(!answer.contains("api_version") || answer.matches("HTTP/1.1").count() == 2, "{answer}");
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test]
async fn a_stopping_server_finishes_what_it_began_and_accepts_no_more() {
    let api = Api::start().await;
    let key = api.client_key("acme").await;
    let body = r#"{"client_request_id":"r1","type":"echo"}"#;
    let head = format!(
        "POST /ai/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    let mut stream = open(&api, head.as_bytes()).await;
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.expect("asked for the body");
    assert!(interim.starts_with(b"HTTP/1.1 100"), "the handler runs");
    api.shutdown.cancel();
    while TcpStream::connect(api.address).await.is_ok() {}
    assert!(!api.stopped.is_cancelled(), "a request is in work");
    stream.write_all(body.as_bytes()).await.expect("sent");
    let text = closed(stream).await;
    // The queue's side of the process stops at the same time; the client gets an answer all the same.
    assert!(text.starts_with("HTTP/1.1 202") || text.starts_with("HTTP/1.1 503"), "{text}");
    tokio::time::timeout(Duration::from_secs(10), api.stopped.cancelled()).await.expect("the server stopped");
}
