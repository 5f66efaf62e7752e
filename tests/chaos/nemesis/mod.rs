//! The nemesis: lanes of faults that go on beside each other, each shuffled by the seed.
//!
//! A lane has one fault at a time, so that two of them never strike the same part; the lanes overlap freely.

mod loss;
mod network;
mod operator;
pub(crate) mod process;
mod redis;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use windlass::clock::{self, Instant};
use windlass::engine::tasks;

use super::client::Api;
use super::dice::Dice;
use super::fleet::Fleet;
use super::history::{History, Stream};
use super::pace;
use super::proxy::{Mode, Proxy};
use super::redis::Pair;
use super::sinks::Sinks;
use super::watch::Watch;

/// What one part of the nemesis needs.
pub(crate) struct Stage {
    pub(crate) history: Arc<History>,
    pub(crate) pair: Arc<Pair>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) sinks: Arc<Sinks>,
    pub(crate) api: Arc<Api>,
    pub(crate) watch: Arc<Watch>,
    /// To the webhook receiver, for all workers.
    pub(crate) receiver: Arc<Proxy>,
    pub(crate) lease_ms: u64,
    /// libfaketime, where it is installed.
    pub(crate) faketime: Option<PathBuf>,
    pub(crate) faults: AtomicU64,
    /// Kinds to use; empty for all.
    pub(crate) only: Vec<String>,
}

/// A lane's name, its kinds, and the longest pause between two of its faults, in milliseconds.
pub(crate) const LANES: &[(&str, &[&str], u64)] = &[
    ("redis", redis::KINDS, 2_000),
    ("process", process::KINDS, 2_500),
    ("network", network::KINDS, 1_500),
    ("effect", process::EFFECTS, 2_500),
    ("operator", operator::KINDS, 3_500),
];

impl Stage {
    /// Faults of class S until `end` in the lanes named; each lane finishes what it is at.
    pub(crate) fn start(self: &Arc<Self>, seed: u64, named: &[&str], end: Instant) -> Vec<JoinHandle<()>> {
        let lanes = LANES.iter().filter(|(name, ..)| named.contains(name)).map(|(name, kinds, pause)| {
            let kinds = kinds.iter().copied().filter(|kind| self.wanted(kind)).collect();
            tasks::spawn("lane", Arc::clone(self).lane(name, kinds, *pause, Dice::of(seed, name), end))
        });
        lanes.collect()
    }

    /// The processes of the run.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let servers = [self.pair.primary().pid(), self.pair.replica().pid()];
        self.fleet.all().map(|slot| slot.pid()).chain(servers).collect()
    }

    /// Every edge of a process of ours.
    fn edges(&self) -> Vec<Arc<Proxy>> {
        let mut edges = self.fleet.edges();
        edges.push(Arc::clone(&self.receiver));
        edges
    }

    fn wanted(&self, kind: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == kind)
    }

    async fn lane(self: Arc<Self>, name: &str, kinds: Vec<&'static str>, pause: u64, mut dice: Dice, end: Instant) {
        let mut bag: Vec<&str> = Vec::new();
        while clock::now() < end && !kinds.is_empty() {
            if bag.is_empty() {
                bag.clone_from(&kinds);
                dice.shuffle(&mut bag);
            }
            let Some(kind) = bag.pop() else { return };
            match name {
                "redis" => self.strike_redis(kind, &mut dice).await,
                "process" => self.strike_process(kind, &mut dice).await,
                "network" => self.strike_network(kind, &mut dice).await,
                "effect" => self.strike_effect(kind, &mut dice).await,
                _ => self.strike_as_operator(kind, &mut dice).await,
            }
            pace::pause_ms(dice.between(pause / 4, pause)).await;
        }
    }

    /// Faults after which Redis has forgotten what it acknowledged, in turn until `end`, each at least once.
    pub(crate) async fn lose(&self, seed: u64, end: Instant) {
        let mut dice = Dice::of(seed, "loss");
        let kinds: Vec<&str> = loss::KINDS.iter().copied().filter(|kind| self.wanted(kind)).collect();
        for (n, kind) in kinds.iter().cycle().enumerate() {
            if kinds.is_empty() || n >= kinds.len() && clock::now() >= end {
                return;
            }
            self.strike_with_loss(kind, &mut dice).await;
            pace::pause_ms(dice.between(2_500, 5_000)).await;
        }
    }

    /// Writes down a fault's beginning; the number is for its end.
    fn begin(&self, kind: &str, class: &str, target: &str, args: Value) -> Begun {
        let n = self.faults.fetch_add(1, Ordering::Relaxed) + 1;
        let line = json!({"n": n, "fault": kind, "class": class, "target": target, "args": args});
        self.history.line(Stream::Nemesis, with_phase(&line, "begin"));
        Begun(line)
    }

    /// Writes down its end.
    fn end(&self, begun: Begun, args: Value) {
        let mut line = begun.0;
        if !args.is_null() {
            line["args"] = args;
        }
        self.history.line(Stream::Nemesis, with_phase(&line, "end"));
    }

    /// Undoes whatever may still be done to anyone, and waits until everyone is up.
    pub(crate) async fn heal(&self) -> bool {
        self.sinks.disarm();
        for edge in self.edges() {
            edge.set(Mode::Forward);
        }
        self.pair.link.set(Mode::Forward);
        for slot in self.fleet.all() {
            slot.set_extra(Vec::new());
            slot.signal(nix::sys::signal::Signal::SIGCONT);
        }
        self.mend_redis().await;
        let resumed = self.resume_all().await;
        let up = pace::until!(Duration::from_secs(30), self.fleet.all().all(|slot| slot.is_ready()));
        self.pair.follows(Duration::from_secs(30)).await && up && resumed
    }
}

struct Begun(Value);

fn with_phase(line: &Value, phase: &str) -> Value {
    let mut line = line.clone();
    line["phase"] = json!(phase);
    line
}

/// Every kind of fault, by lane.
pub(crate) fn kinds() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    LANES.iter().map(|(name, kinds, _)| (*name, *kinds)).chain([("loss", loss::KINDS)])
}
