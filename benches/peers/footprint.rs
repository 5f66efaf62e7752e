//! What a real worker process takes: memory with every slot busy, commands when there is nothing to do.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use windlass::clock;

use crate::redis::Redis;

/// Slots of the worker.
pub(crate) const SLOTS: usize = 1_000;
/// How long an idle worker is watched.
const WATCH: Duration = Duration::from_secs(10);

/// The figures of `windlass worker`.
pub(crate) struct Footprint {
    /// Resident bytes with every slot taken by a sleeping job.
    pub(crate) busy_bytes: u64,
    /// Jobs that ran at that moment.
    pub(crate) running: u64,
    /// Commands a second when idle.
    pub(crate) idle_commands: f64,
}

/// A `windlass worker`; killed when dropped.
struct Worker(Child);

impl Worker {
    fn start(port: u16) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_windlass"))
            .arg("worker")
            .env("REDIS_URL", format!("redis://127.0.0.1:{port}"))
            .env("WORKER_CONCURRENCY", SLOTS.to_string())
            .env("WORKER_PORT", "0")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary is built");
        Self(child)
    }

    /// Resident memory.
    fn bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("a Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("kilobytes") * 1024
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn measure() -> Footprint {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let redis = Redis::start_with(&["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    let (worker, mut raw) = (Worker::start(port), redis.raw());
    while raw.ask_number(&["ZCARD", "ai:workers"]) == 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    // The registration and the first looks are over.
    std::thread::sleep(Duration::from_secs(3));
    let idle_commands = watch(port);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(crate::ours::sleepers(&format!("redis://127.0.0.1:{port}"), SLOTS, Duration::from_secs(30)));
    let (mut running, limit) = (0, clock::now() + Duration::from_secs(20));
    while running < SLOTS as u64 && clock::now() < limit {
        std::thread::sleep(Duration::from_millis(50));
        // A long member keeps the set from being a list; it is no lease.
        running = raw.ask_number(&["ZCARD", "ai:queue:running"]).saturating_sub(1);
    }
    std::thread::sleep(Duration::from_secs(1));
    Footprint { busy_bytes: worker.bytes(), running, idle_commands }
}

/// Commands a second of clients over TCP, as MONITOR tells; those of scripts are not counted.
fn watch(port: u16) -> f64 {
    let mut monitor = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    monitor.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket");
    monitor.write_all(b"MONITOR\r\n").expect("it reads");
    let (mut lines, mut line, mut seen) = (BufReader::new(monitor), Vec::new(), 0);
    let until = clock::now() + WATCH;
    while clock::now() < until {
        // What arrived before a timeout stays in `line`.
        if lines.read_until(b'\n', &mut line).is_ok() {
            seen += usize::from(String::from_utf8_lossy(&line).contains("[0 127.0.0.1:"));
            line.clear();
        }
    }
    seen as f64 / WATCH.as_secs_f64()
}
