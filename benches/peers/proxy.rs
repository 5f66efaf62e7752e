//! A TCP proxy that adds to every round trip: replies wait, requests pass.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use windlass::clock;

/// Forwards a free port of this machine to `port`, and delays what comes back by `delay`; ends with
/// the process. Threads, because timers of an event loop are too coarse for a millisecond.
pub(crate) fn start(port: u16, delay: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let own = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (requests, replies) = (client.try_clone(), server.try_clone());
            let (requests, replies) = (requests.expect("a socket"), replies.expect("a socket"));
            std::thread::spawn(move || forward(requests, server));
            std::thread::spawn(move || forward_late(replies, client, delay));
        }
    });
    own
}

fn forward(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

fn forward_late(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, receiver) = mpsc::channel::<(clock::Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        while let Ok((due, bytes)) = receiver.recv() {
            std::thread::sleep(due.saturating_duration_since(clock::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if sender.send((clock::now() + delay, buffer[..length].to_vec())).is_err() {
            break;
        }
    }
}
