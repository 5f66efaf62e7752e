//! Ports of 127.0.0.1 that belong to one test.
//!
//! A port that was free a moment ago may be another test's by the time somebody listens on it. One that is bound and
//! not listened on is given to nobody who asks for any port, and to no outgoing connection.

use tokio::net::TcpSocket;

/// A port that is kept until this is dropped. Connections to it are refused until a server listens on it, which those
/// can that allow the reuse of addresses: all that tests start do.
pub(crate) struct Reserved {
    _socket: TcpSocket,
    port: u16,
}

impl Reserved {
    /// Any port.
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an option of every socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let port = socket.local_addr().expect("an address").port();
        Self { _socket: socket, port }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// As `127.0.0.1:port`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}
