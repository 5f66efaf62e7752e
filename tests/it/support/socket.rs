//! A client of the WebSocket.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::api::Api;

/// What takes longer has failed.
const LIMIT: Duration = Duration::from_secs(30);

/// An open WebSocket.
pub(crate) struct Socket {
    pub(crate) inner: WebSocketStream<TcpStream>,
    pub(crate) protocol: Option<String>,
}

impl Socket {
    /// Opens one with these headers; the status of the answer when it is refused.
    pub(crate) async fn open(api: &Api, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let stream = TcpStream::connect(api.address).await.expect("a connection");
        let mut request = format!("ws://{}/ws", api.address).into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((inner, response)) => {
                let protocol = response.headers().get("sec-websocket-protocol");
                let protocol = protocol.and_then(|name| name.to_str().ok()).map(str::to_owned);
                Ok(Self { inner, protocol })
            }
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("no handshake: {error}"),
        }
    }

    /// Opens one with a key in the header.
    pub(crate) async fn with_key(api: &Api, key: &str) -> Self {
        Self::open(api, &[("authorization", &format!("Bearer {key}"))])
            .await
            .unwrap_or_else(|status| panic!("{status}"))
    }

    pub(crate) async fn say(&mut self, message: &Value) {
        self.send(Message::text(message.to_string())).await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.inner.send(message).await.expect("sent");
    }

    /// The next message, or the code with which the server closed; 0 for an end without a word.
    pub(crate) async fn next(&mut self) -> Result<Value, u16> {
        loop {
            match tokio::time::timeout(LIMIT, self.inner.next()).await.expect("a message in time") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(0, |frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(0),
            }
        }
    }

    /// The next message, of this type.
    pub(crate) async fn hear(&mut self, kind: &str) -> Value {
        let message = self.next().await.unwrap_or_else(|code| panic!("closed with {code}"));
        assert_eq!(message["type"], kind, "{message}");
        message
    }

    /// The code with which the server closes, after whatever it says before.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }
}
