//! One measurement of one system: each on a fresh redis-server child, which the system reaches over
//! TCP and the bench over a unix socket.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use windlass::clock;

use crate::child::Child;
use crate::order::Order;
use crate::proxy;
use crate::redis::Redis;
use crate::systems::System;

/// Between two looks at what is finished.
const LOOK: Duration = Duration::from_millis(1);
/// No measurement takes longer.
const LIMIT: Duration = Duration::from_secs(120);

/// What differs from the base case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Setting {
    pub(crate) aof: bool,
    pub(crate) delay: Duration,
    pub(crate) bytes: usize,
    pub(crate) workspaces: usize,
}

impl Default for Setting {
    /// No persistence, no delay, 200 bytes, 100 workspaces.
    fn default() -> Self {
        Self { aof: false, delay: Duration::ZERO, bytes: 200, workspaces: 100 }
    }
}

/// Jobs a second, and microseconds of CPU for each: of Redis's main thread, and of the system's own
/// processes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    pub(crate) jobs: f64,
    pub(crate) cost: f64,
    pub(crate) client: f64,
}

impl Rate {
    const FAILED: Self = Self { jobs: f64::NAN, cost: f64::NAN, client: f64::NAN };
}

/// A call with many jobs carries no more than the largest that Windlass makes.
const CALL_BYTES: usize = 1024 * 1024;

/// A server with the port that a system is told.
struct Server {
    redis: Redis,
    direct: u16,
    delayed: u16,
}

impl Server {
    fn start(setting: &Setting) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let direct = listener.local_addr().expect("an address").port();
        drop(listener);
        let port = direct.to_string();
        let mut arguments = vec!["--port", &port, "--bind", "127.0.0.1"];
        if setting.aof {
            arguments.extend(["--appendonly", "yes", "--appendfsync", "everysec"]);
        }
        let redis = Redis::start_with(&arguments);
        let delayed = if setting.delay.is_zero() { direct } else { proxy::start(direct, setting.delay) };
        Self { redis, direct, delayed }
    }

    /// The system's order for this server and this setting.
    fn order(&self, system: &System, setting: &Setting) -> Order {
        let url = format!("redis://127.0.0.1:{}", self.delayed);
        Order { url, bytes: setting.bytes, workspaces: setting.workspaces, batch: 1, ..system.order.clone() }
    }

    /// Puts jobs into line the fastest way, without a delay; says how many and at what rate.
    fn fill(&self, system: &System, setting: &Setting, jobs: usize) -> (usize, Rate) {
        let (batch, in_flight) = system.bulk.unwrap_or((1, system.singles));
        let batch = batch.min(CALL_BYTES / setting.bytes).max(1);
        let url = format!("redis://127.0.0.1:{}", self.direct);
        self.enqueue(system, Order { url, jobs, batch, in_flight, ..self.order(system, setting) })
    }

    fn enqueue(&self, system: &System, order: Order) -> (usize, Rate) {
        let Some(mut child) = Child::start(system, "enqueue", &order) else { return (0, Rate::FAILED) };
        let (before, own) = (self.redis.cpu_ns(), child.cpu_us());
        let Some(result) = child.result() else { return (0, Rate::FAILED) };
        let (cpu, client) = ((self.redis.cpu_ns() - before) as f64 / 1e3, child.cpu_us() - own);
        let count = result["jobs"].as_u64().unwrap_or_default();
        let jobs = count as f64;
        let rate = jobs / result["seconds"].as_f64().unwrap_or(f64::NAN);
        (count as usize, Rate { jobs: rate, cost: cpu / jobs, client: client / jobs })
    }
}

/// Jobs enqueued one by one, several calls in flight, for `seconds`.
pub(crate) fn single(system: &System, setting: &Setting, seconds: f64) -> Rate {
    let server = Server::start(setting);
    server.enqueue(system, Order { seconds, in_flight: system.singles, ..server.order(system, setting) }).1
}

/// Jobs enqueued many a call, and then processed from that line for at most `window`: counted is
/// what the system's own bookkeeping says is finished, from a tenth of it on.
pub(crate) fn process(system: &System, setting: &Setting, jobs: usize, window: Duration) -> (Rate, Rate) {
    let server = Server::start(setting);
    let (total, filled) = server.fill(system, setting, jobs);
    let mut raw = server.redis.raw();
    let order = server.order(system, setting);
    let mut workers: Vec<_> = (0..system.processes).filter_map(|_| Child::start(system, "work", &order)).collect();
    if total == 0 || workers.len() < system.processes {
        return (filled, Rate::FAILED);
    }
    workers.iter_mut().for_each(Child::go);
    let warm = (total / 10).min(20_000);
    let limit = clock::now() + LIMIT;
    let mut finished = system.finished(&mut raw, total);
    while finished < warm && clock::now() < limit {
        std::thread::sleep(LOOK);
        finished = system.finished(&mut raw, total);
    }
    let clients = || workers.iter().map(Child::cpu_us).sum::<f64>();
    let (first, from, before, own) = (finished, clock::now(), server.redis.cpu_ns(), clients());
    while finished < total && from.elapsed() < window {
        std::thread::sleep(LOOK);
        finished = system.finished(&mut raw, total);
    }
    let (took, cpu) = (from.elapsed().as_secs_f64(), (server.redis.cpu_ns() - before) as f64 / 1e3);
    let (jobs, client) = ((finished - first) as f64, clients() - own);
    // One that never began has not been measured.
    if jobs < 1.0 {
        return (filled, Rate::FAILED);
    }
    (filled, Rate { jobs: jobs / took, cost: cpu / jobs, client: client / jobs })
}

/// Microseconds from enqueue to the start of the handler on an idle queue, and of an enqueue alone.
pub(crate) fn latency(system: &System, jobs: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    let setting = Setting::default();
    let server = Server::start(&setting);
    let order = Order { jobs, ..server.order(system, &setting) };
    let result = Child::start(system, "latency", &order)?.result()?;
    let list = |name: &str| -> Vec<f64> {
        result[name].as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64).collect()
    };
    Some((list("starts"), list("trips")))
}

/// Bytes that a job in line takes, by the growth of `used_memory`.
pub(crate) fn bytes(system: &System, jobs: usize) -> f64 {
    let setting = Setting::default();
    let server = Server::start(&setting);
    let before = server.redis.used_memory();
    let (total, _) = server.fill(system, &setting, jobs);
    (server.redis.used_memory() - before) as f64 / total as f64
}

/// Commands that clients send for a job, to enqueue it alone and to process it, as MONITOR tells;
/// what a script does inside is not counted. `None` if a job did not finish.
pub(crate) fn commands(system: &System, jobs: usize) -> Option<(f64, f64)> {
    let setting = Setting::default();
    let server = Server::start(&setting);
    let (seen, port) = (Arc::new(AtomicUsize::new(0)), server.direct);
    let mut monitor = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    monitor.write_all(b"MONITOR\r\n").expect("it reads");
    let count = Arc::clone(&seen);
    std::thread::spawn(move || {
        for line in BufReader::new(monitor).split(b'\n').map_while(Result::ok) {
            // Those of a script say `[0 lua]`, those of the bench `[0 unix:…]`.
            if line.windows(14).take(40).any(|part| part.starts_with(b"[0 127.0.0.1:")) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let settled = || {
        let mut last = usize::MAX;
        while last != seen.load(Ordering::Relaxed) {
            last = seen.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(50));
        }
        last
    };
    let order = server.order(system, &setting);
    let mut child = Child::start(system, "enqueue", &Order { jobs, in_flight: system.singles, ..order.clone() })?;
    let before = settled();
    let total = child.result()?["jobs"].as_u64()? as usize;
    let enqueued = settled() - before;
    let mut worker = Child::start(system, "work", &order)?;
    let before = settled();
    worker.go();
    let (mut raw, limit) = (server.redis.raw(), clock::now() + LIMIT);
    while system.finished(&mut raw, total) < total {
        if clock::now() > limit {
            return None;
        }
        std::thread::sleep(LOOK);
    }
    let processed = seen.load(Ordering::Relaxed) - before;
    Some((enqueued as f64 / total as f64, processed as f64 / total as f64))
}
