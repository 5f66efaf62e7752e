//! A mail server for the demo that keeps nothing but the count: as much of RFC 5321 as a sender needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::super::{StartError, compose};
use crate::engine::tasks;

/// The longest line of a mail, of which RFC 5321 allows 1000; more ends the connection.
const LINE_LIMIT: usize = 8 * 1024;

/// A running server; it ends with the process.
#[derive(Debug)]
pub(super) struct Mailbox {
    url: String,
    mails: Arc<AtomicUsize>,
}

impl Mailbox {
    /// Starts it on a free port.
    pub(super) async fn start() -> Result<Self, StartError> {
        let listener = compose::listen("127.0.0.1", 0).await?;
        let address = listener.local_addr().map_err(StartError::part)?;
        let mails = Arc::new(AtomicUsize::new(0));
        let kept = mails.clone();
        tasks::spawn("demo-mailbox", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mails = kept.clone();
                tasks::spawn("demo-mail", async move {
                    // A sender that hangs up has not sent.
                    let _ = receive(stream, &mails).await;
                });
            }
        });
        Ok(Self { url: format!("smtp+plain://{address}"), mails })
    }

    /// The address, as `SMTP_URL` wants it.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Mails received.
    pub(super) fn count(&self) -> usize {
        self.mails.load(Ordering::Relaxed)
    }
}

async fn receive(stream: TcpStream, mails: &AtomicUsize) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 demo\r\n").await?;
    let mut in_mail = false;
    loop {
        let mut line = Vec::new();
        let read = stream.read_until(b'\n', &mut line).await?;
        if read == 0 || read > LINE_LIMIT {
            return Ok(());
        }
        let word = line.trim_ascii_end().to_ascii_uppercase();
        let answer: &[u8] = match word.as_slice() {
            b"." if in_mail => {
                in_mail = false;
                mails.fetch_add(1, Ordering::Relaxed);
                b"250 kept\r\n"
            }
            _ if in_mail => continue,
            b"DATA" => {
                in_mail = true;
                b"354 go on\r\n"
            }
            b"QUIT" => {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => b"250 demo\r\n",
        };
        stream.write_all(answer).await?;
    }
}
