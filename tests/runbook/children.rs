//! A redis-server with a password, and servers that play model providers: on ports that an operator could type.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::processes::wait_for;

/// Below the ports that systems give out by themselves, so that no connection takes one meanwhile.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// A server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    program: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    /// Its address, as `host:port`.
    pub(crate) address: String,
}

impl Server {
    /// A redis-server as `deploy/redis.conf` wants it, with a password.
    pub(crate) fn redis(folder: &Path, password: &str) -> Self {
        let fixed =
            "--appendonly yes --appendfsync always --maxmemory 256mb --maxmemory-policy noeviction --save 3600_1";
        let mut arguments: Vec<String> = fixed.split(' ').map(|word| word.replace('_', " ")).collect();
        arguments.extend(["--requirepass".to_owned(), password.to_owned()]);
        Self::start(Path::new("redis-server"), &arguments, port, folder)
    }

    /// A provider that answers everything.
    pub(crate) fn model(folder: &Path) -> Self {
        let arguments = ["fake-llm", "--delay-ms", "1"].map(str::to_owned);
        Self::start(Path::new(env!("CARGO_BIN_EXE_windlass")), &arguments, port, folder)
    }

    /// A Prometheus with the rules of `deploy`, which scrapes what [`scrape`] says.
    pub(crate) fn prometheus(folder: &Path, rules: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        let jobs = ["windlass-api", "windlass-worker"].map(|job| {
            let found = format!("file_sd_configs: [{{files: [{job}.json], refresh_interval: 1s}}]");
            format!("  - job_name: {job}\n    {found}\n")
        });
        let settings = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{0}/alerts.yml, {0}/recording.yml, {0}/slo.yml]\nscrape_configs:\n{1}",
            rules.display(),
            jobs.concat()
        );
        let file = folder.join("prometheus.yaml");
        std::fs::write(&file, settings).expect("its settings");
        let arguments = [format!("--config.file={}", file.display()), "--storage.tsdb.path=data".to_owned()];
        let listen = |free: u16| vec![format!("--web.listen-address=127.0.0.1:{free}")];
        Self::start(Path::new("prometheus"), &arguments, listen, folder)
    }

    /// Starts a program on a free port of 127.0.0.1 and waits until it listens.
    fn start(program: &Path, arguments: &[String], port: impl Fn(u16) -> Vec<String>, folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        for free in free_ports().take(100) {
            let mut arguments = arguments.to_vec();
            arguments.extend(port(free));
            let child = spawn(program, &arguments, folder);
            let (program, folder) = (program.to_owned(), folder.to_owned());
            let mut server = Self { child, program, arguments, folder, address: format!("127.0.0.1:{free}") };
            if server.listens() {
                return server;
            }
        }
        panic!("{} does not start", program.display());
    }

    /// Starts it again, where and as it was, with more arguments.
    pub(crate) fn again(&mut self, more: &[&str]) {
        self.kill();
        let arguments: Vec<String> =
            self.arguments.iter().cloned().chain(more.iter().map(ToString::to_string)).collect();
        self.child = spawn(&self.program, &arguments, &self.folder);
        assert!(self.listens(), "{} does not start again", self.program.display());
    }

    /// The password of the next start.
    pub(crate) fn change_password(&mut self, password: &str) {
        let at = self.arguments.iter().position(|argument| argument == "--requirepass").expect("it has one");
        password.clone_into(&mut self.arguments[at + 1]);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("it runs");
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// False when it ended, because another process took the port.
    fn listens(&mut self) -> bool {
        let mut ended = false;
        wait_for("a server listens", || {
            ended = self.child.try_wait().expect("a status").is_some();
            ended || std::net::TcpStream::connect(&self.address).is_ok()
        });
        !ended
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a Prometheus in this folder scrapes for a job from now on.
pub(crate) fn scrape(folder: &Path, job: &str, address: &str) {
    // In place at once, since it looks at any moment.
    let (new, file) = (folder.join("new"), folder.join(format!("{job}.json")));
    std::fs::write(&new, format!("[{{\"targets\": [\"{address}\"]}}]")).expect("targets");
    std::fs::rename(new, file).expect("the file in its place");
}

fn port(free: u16) -> Vec<String> {
    vec!["--port".to_owned(), free.to_string()]
}

fn spawn(program: &Path, arguments: &[String], folder: &Path) -> Child {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

/// Ports that nobody has now; processes begin at different ones.
pub(crate) fn free_ports() -> impl Iterator<Item = u16> {
    let first = usize::try_from(std::process::id()).unwrap_or_default() * 16 % PORTS.len();
    PORTS.cycle().skip(first).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
}
