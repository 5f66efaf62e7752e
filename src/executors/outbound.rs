//! What every outgoing HTTP call of an executor has in common.

use futures_util::StreamExt;
use tokio::time::timeout;

use std::time::Duration;

/// The HTTP client could not be built, for example because the system has no trusted certificates.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be built: {0}")]
pub struct HttpClientError(#[from] reqwest::Error);

/// A client builder with everything off that would act behind the caller's back: redirects (they
/// would carry keys and bypass checks of the address), proxies from the environment, and re-sends.
pub(super) fn client_builder(connect_timeout: Duration) -> reqwest::ClientBuilder {
    // reqwest panics when no TLS provider is installed; the binary installs one first thing, an
    // embedding program may not have. Losing the race to another installer is fine.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        drop(rustls::crypto::ring::default_provider().install_default());
    }
    reqwest::Client::builder()
        .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .connect_timeout(connect_timeout)
        .tcp_keepalive(Duration::from_secs(30))
}

/// How reading a body ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// The whole body was read.
    Complete,
    /// The limit was reached; what was read up to it is kept.
    Cut,
    /// The peer closed the connection in the middle.
    Broken,
    /// Nothing arrived for the idle time.
    Stalled,
}

/// Reads at most `limit` bytes of a body, waiting at most `idle` for each piece.
pub(super) async fn read_at_most(response: reqwest::Response, limit: usize, idle: Duration) -> (Vec<u8>, BodyEnd) {
    let mut stream = response.bytes_stream();
    let mut body = Vec::new();
    loop {
        match timeout(idle, stream.next()).await {
            Err(_) => return (body, BodyEnd::Stalled),
            Ok(None) => return (body, BodyEnd::Complete),
            Ok(Some(Err(_))) => return (body, BodyEnd::Broken),
            Ok(Some(Ok(piece))) => {
                let room = limit - body.len();
                body.extend_from_slice(&piece[..piece.len().min(room)]);
                if piece.len() > room {
                    return (body, BodyEnd::Cut);
                }
            }
        }
    }
}

/// The innermost sentence of a transport error, without the URL.
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    crate::domain::clip_text(&cause.to_string(), 200)
}
