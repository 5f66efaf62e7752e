//! A mail server that misbehaves on purpose, and is as lenient about line ends as the worst. Keeps what it took over.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use windlass::engine::tasks;

/// A mail that it took over.
#[derive(Clone, Debug)]
pub(crate) struct TakenMail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// With dots still stuffed.
    pub(crate) data: String,
}

/// What it does instead of what it should, at a step: `greeting`, or a command in upper case, or `.` for the dot.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// Says this, without doing it. CRLF is added.
    Say(&'static str),
    /// Does it and closes the connection without a word.
    HangUp,
    /// Does it, says this much of an answer and closes the connection.
    Half(&'static str),
    /// Does it and says nothing, ever.
    Silence,
}

struct Shared {
    troubles: Vec<(&'static str, Trouble)>,
    extensions: Vec<&'static str>,
    mails: Mutex<Vec<TakenMail>>,
    commands: Mutex<Vec<String>>,
}

/// A running fake.
pub(crate) struct SmtpFake {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl SmtpFake {
    /// With troubles by step; a step is `RCPT TO:<x@y>` in full when only that one is meant.
    pub(crate) async fn start(troubles: &[(&'static str, Trouble)], extensions: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            troubles: troubles.to_vec(),
            extensions: extensions.to_vec(),
            mails: Mutex::default(),
            commands: Mutex::default(),
        });
        let own = shared.clone();
        tasks::spawn("smtp", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = own.clone();
                tasks::spawn("connection", async move { Session { stream, shared, read: Vec::new() }.run().await });
            }
        });
        Self { address, shared }
    }

    /// Every mail that it took over, in order.
    pub(crate) fn mails(&self) -> Vec<TakenMail> {
        self.shared.mails.lock().unwrap().clone()
    }

    /// Every command that it read.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.shared.commands.lock().unwrap().clone()
    }
}

struct Session {
    stream: TcpStream,
    shared: Arc<Shared>,
    read: Vec<u8>,
}

impl Session {
    async fn run(mut self) -> Option<()> {
        self.answer("greeting", "", "220 fake ESMTP").await?;
        let (mut from, mut to) = (String::new(), Vec::new());
        loop {
            let line = self.line().await?;
            self.shared.commands.lock().unwrap().push(line.clone());
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            let normal = match verb.as_str() {
                "EHLO" => self.hello(),
                "AUTH" => "235 2.7.0 welcome".to_owned(),
                "MAIL" => {
                    line.clone_into(&mut from);
                    to.clear();
                    "250 2.1.0 ok".to_owned()
                }
                "RCPT" => {
                    to.push(line.clone());
                    "250 2.1.5 ok".to_owned()
                }
                "DATA" => "354 go on".to_owned(),
                "QUIT" => "221 bye".to_owned(),
                _ => "250 ok".to_owned(),
            };
            let refused = self.answer(&verb, &line, &normal).await?;
            if verb == "DATA" && !refused {
                let data = self.data().await?;
                let keep = !matches!(self.trouble(".", ""), Some(Trouble::Say(_)));
                if keep {
                    let mail = TakenMail { from: from.clone(), to: std::mem::take(&mut to), data };
                    self.shared.mails.lock().unwrap().push(mail);
                }
                self.answer(".", "", "250 2.0.0 Ok: queued as 4YkZ1").await?;
            }
            if verb == "QUIT" {
                return None;
            }
        }
    }

    fn hello(&self) -> String {
        let mut lines = vec!["fake"];
        lines.extend(&self.shared.extensions);
        let last = lines.len() - 1;
        let line = |(at, text): (usize, &&str)| format!("250{}{text}", if at == last { " " } else { "-" });
        lines.iter().enumerate().map(line).collect::<Vec<_>>().join("\r\n")
    }

    fn trouble(&self, step: &str, line: &str) -> Option<Trouble> {
        self.shared.troubles.iter().find(|(at, _)| *at == step || *at == line).map(|(_, trouble)| trouble.clone())
    }

    /// Whether it said something else. `None` ends the conversation.
    async fn answer(&mut self, step: &str, line: &str, normal: &str) -> Option<bool> {
        let (text, end) = match self.trouble(step, line) {
            None => (format!("{normal}\r\n"), false),
            Some(Trouble::Say(text)) => (format!("{text}\r\n"), false),
            Some(Trouble::HangUp) => return None,
            Some(Trouble::Half(text)) => (text.to_owned(), true),
            Some(Trouble::Silence) => {
                // Until the client goes.
                while self.stream.read_buf(&mut self.read).await.ok()? > 0 {}
                return None;
            }
        };
        self.stream.write_all(text.as_bytes()).await.ok()?;
        if end { None } else { Some(text != format!("{normal}\r\n")) }
    }

    /// A line that ends in LF, with or without CR.
    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.stream.read_buf(&mut self.read).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Up to a line that is a dot, however its neighbours end.
    async fn data(&mut self) -> Option<String> {
        let mut data = String::new();
        loop {
            let line = self.line().await?;
            // Some servers take a bare CR for the end of a line.
            for part in line.split('\r') {
                if part == "." {
                    return Some(data);
                }
                data.push_str(part);
                data.push_str("\r\n");
            }
        }
    }
}
