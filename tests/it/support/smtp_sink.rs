//! aiosmtpd, a mail server from PyPI that nobody here wrote: it takes mails over the wire and keeps them as files.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use windlass::clock;

/// Below the ports that systems give out by themselves, so that no connection takes one meanwhile.
const PORTS: std::ops::Range<u16> = 10_000..20_000;

/// Servers at a time in one process, each with ports of its own.
const LANES: u16 = 2;

/// A server that takes longer to start has failed.
const START: Duration = Duration::from_secs(60);

/// A running aiosmtpd; killed when dropped.
pub(crate) struct SmtpSink {
    child: Child,
    folder: TempDir,
    pub(crate) port: u16,
}

impl SmtpSink {
    /// Starts one. Tests of one process have different lanes.
    pub(crate) async fn start(lane: u16, options: &[&str]) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/smtp-sink/bin/aiosmtpd");
        assert!(program.exists(), "{} is missing: `make smtp-sink` installs it", program.display());
        let first = usize::try_from(std::process::id()).unwrap() % (PORTS.len() / usize::from(LANES));
        let ports = PORTS.skip(usize::from(lane)).step_by(usize::from(LANES)).cycle();
        for port in ports.skip(first).take(100) {
            if TcpListener::bind(("127.0.0.1", port)).is_err() {
                continue;
            }
            let folder = TempDir::new().unwrap();
            let child = Command::new(&program)
                .args(["-n", "-l", &format!("127.0.0.1:{port}"), "-c", "aiosmtpd.handlers.Mailbox"])
                .args(options)
                .arg(folder.path().join("mails"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("aiosmtpd starts");
            let mut server = Self { child, folder, port };
            if server.listens().await {
                return server;
            }
        }
        panic!("aiosmtpd did not start on any port");
    }

    /// False when it ended, because another process took the port.
    async fn listens(&mut self) -> bool {
        let end = clock::now() + START;
        loop {
            if self.child.try_wait().expect("a status").is_some() {
                return false;
            }
            if let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await {
                let mut greeting = [0; 3];
                return stream.read_exact(&mut greeting).await.is_ok() && &greeting == b"220";
            }
            assert!(clock::now() < end, "aiosmtpd does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Every mail that it took over, as text with LF.
    pub(crate) fn mails(&self) -> Vec<String> {
        let new = self.folder.path().join("mails/new");
        let files = std::fs::read_dir(new).unwrap();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
