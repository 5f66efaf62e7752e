//! The systems, each with the settings that suit it; README.md gives the reasons, and `sweep` checks them.

use std::path::PathBuf;

use crate::order::Order;
use crate::redis::Raw;

/// How to run a system, and how to read its bookkeeping.
pub(crate) struct System {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) program: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Whether enqueueing is measured; not for a second entry that differs in its worker only.
    pub(crate) enqueues: bool,
    /// Calls at once when jobs are enqueued one by one.
    pub(crate) singles: usize,
    /// Jobs a call and calls at once, where there is an API for many jobs.
    pub(crate) bulk: Option<(usize, usize)>,
    /// Jobs in line when processing begins: 1 to 2 s of work on two cores.
    pub(crate) backlog: usize,
    /// Whether it takes a million jobs in line.
    pub(crate) deep: bool,
    /// Whether a job that was taken is leased or locked by itself, and kept until it is acknowledged.
    pub(crate) leases: bool,
    /// Worker processes.
    pub(crate) processes: usize,
    /// The rest of its settings.
    pub(crate) order: Order,
    finished: Finished,
}

/// Where a system keeps what ended.
#[derive(Clone, Copy)]
enum Finished {
    Windlass,
    BullMq,
    Apalis,
    Sidekiq,
    Dramatiq,
}

impl System {
    /// Jobs that ran and were acknowledged, of `total` that were enqueued.
    pub(crate) fn finished(&self, raw: &mut Raw, total: usize) -> usize {
        let mut number = |parts: &[&str]| usize::try_from(raw.ask_number(parts)).unwrap_or_default();
        match self.finished {
            Finished::Windlass => number(&["HGET", "ai:queue:stats", "succeeded"]),
            Finished::BullMq => number(&["ZCARD", "bull:bench:completed"]),
            Finished::Apalis => number(&["SCARD", "bench:done"]),
            // No acknowledgement: what is no longer in line began, and up to `slots` of it still run.
            Finished::Sidekiq => total.saturating_sub(number(&["LLEN", "queue:bench"])),
            Finished::Dramatiq => total.saturating_sub(number(&["HLEN", "dramatiq:bench.msgs"])),
        }
    }

    /// Its label in tables.
    pub(crate) fn label(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

/// apalis with its lock of each job off, which it offers for short jobs: what is left is the
/// heartbeat of the worker and its set of jobs that are not acknowledged.
pub(crate) const NO_LOCK: &str = "apalis, no lock";

/// Ours first.
pub(crate) fn all() -> Vec<System> {
    vec![windlass(), bullmq(), apalis("apalis-redis", true), apalis(NO_LOCK, false), sidekiq(), dramatiq()]
}

fn windlass() -> System {
    System {
        name: "Windlass",
        version: windlass::VERSION.to_owned(),
        program: vec![std::env::current_exe().expect("a path").display().to_string(), crate::OURS.to_owned()],
        environment: Vec::new(),
        enqueues: true,
        singles: 64,
        bulk: Some((100, 4)),
        backlog: 200_000,
        deep: true,
        leases: true,
        processes: 1,
        order: Order { slots: 400, ..Order::default() },
        finished: Finished::Windlass,
    }
}

fn bullmq() -> System {
    System {
        name: "BullMQ",
        version: version("node/package.json", "\"bullmq\": \""),
        program: vec!["node".to_owned(), source("node/peer.cjs")],
        environment: vec![("NODE_PATH".to_owned(), installed("node/node_modules"))],
        enqueues: true,
        singles: 64,
        bulk: Some((100, 4)),
        backlog: 20_000,
        deep: true,
        leases: true,
        processes: 1,
        order: Order { slots: 100, ..Order::default() },
        finished: Finished::BullMq,
    }
}

/// More than some 8,000 jobs in line are more than its script can unpack.
fn apalis(name: &'static str, lock: bool) -> System {
    System {
        name,
        version: version("rust/Cargo.toml", "apalis-redis = \"="),
        program: vec![installed("rust/release/peer"), "apalis".to_owned()],
        environment: Vec::new(),
        enqueues: lock,
        singles: 64,
        bulk: Some((100, 4)),
        backlog: 7_000,
        deep: false,
        leases: lock,
        processes: 1,
        order: Order { slots: 100, lock, ..Order::default() },
        finished: Finished::Apalis,
    }
}

fn sidekiq() -> System {
    System {
        name: "rusty-sidekiq",
        version: version("rust/Cargo.toml", "rusty-sidekiq = \"="),
        program: vec![installed("rust/release/peer"), "sidekiq".to_owned()],
        environment: Vec::new(),
        enqueues: true,
        singles: 64,
        bulk: None,
        backlog: 30_000,
        deep: true,
        leases: false,
        processes: 1,
        order: Order { slots: 64, connections: 16, ..Order::default() },
        finished: Finished::Sidekiq,
    }
}

fn dramatiq() -> System {
    System {
        name: "Dramatiq",
        version: version("python/requirements.txt", "dramatiq=="),
        program: vec![installed("python/bin/python"), source("python/peer.py")],
        environment: vec![("dramatiq_queue_prefetch".to_owned(), "100".to_owned())],
        enqueues: true,
        singles: 4,
        bulk: None,
        backlog: 5_000,
        deep: false,
        leases: true,
        processes: 2,
        order: Order { slots: 4, ..Order::default() },
        finished: Finished::Dramatiq,
    }
}

fn source(path: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(path).display().to_string()
}

/// Under target/peers, where `make bench-peers` puts what the peers need.
fn installed(path: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/peers").join(path).display().to_string()
}

/// What stands behind `mark` in a manifest, up to the end of the version.
fn version(manifest: &str, mark: &str) -> String {
    let text = std::fs::read_to_string(source(manifest)).expect("a manifest");
    let rest = text.split_once(mark).map(|(_, rest)| rest).unwrap_or_default();
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.').collect()
}
