//! Watching the store from beside: the transition log, figures, leases. Reads only.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use windlass::engine::tasks;

use super::history::{History, Stream};
use super::pace;
use super::redis::Pair;
use super::resp::{Patient, Reply};

pub(crate) const QUEUES: [&str; 2] = ["default", "side"];

const SNAPSHOT: &str = include_str!("lua/snapshot.lua");
const LEASES: &str = include_str!("lua/leases.lua");

/// What was seen.
pub(crate) struct Watch {
    pair: Arc<Pair>,
    history: Arc<History>,
    /// Names that snapshots ask about.
    names: Vec<String>,
    last: tokio::sync::Mutex<String>,
    generation: AtomicU64,
    ended: AtomicU64,
    begun: AtomicU64,
    pending: AtomicU64,
    trimmed: Mutex<bool>,
}

impl Watch {
    /// Starts watching; ends with the runtime.
    pub(crate) fn start(pair: &Arc<Pair>, history: &Arc<History>, names: Vec<String>) -> Arc<Self> {
        let watch = Arc::new(Self {
            pair: Arc::clone(pair),
            history: Arc::clone(history),
            names,
            last: tokio::sync::Mutex::new("0-0".to_owned()),
            generation: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            pending: AtomicU64::new(0),
            trimmed: Mutex::new(false),
        });
        tasks::spawn("tail", Arc::clone(&watch).tail());
        tasks::spawn("snapshots", Arc::clone(&watch).snapshots());
        tasks::spawn("leases", Arc::clone(&watch).leases());
        watch
    }

    /// Ends of jobs seen so far.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Claims seen so far.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Jobs in line at the latest snapshot.
    pub(crate) fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    async fn tail(self: Arc<Self>) {
        let mut redis = Patient::new();
        loop {
            // Held over the read: a marker must not fall between a read and its lines.
            let mut last = self.last.lock().await;
            let socket = self.pair.primary().socket();
            let read = ["XREAD", "COUNT", "500", "STREAMS", "ai:events", &last];
            let read = redis.ask(&socket, &read).await;
            let entries = self.record(read.as_ref(), &mut last);
            drop(last);
            if entries == 0 {
                pace::pause_ms(if read.is_some() { 10 } else { 50 }).await;
            }
        }
    }

    /// Writes what a read brought; how many entries that was.
    fn record(&self, read: Option<&Reply>, last: &mut String) -> usize {
        let entries = read.and_then(|r| r.list().first()).and_then(|stream| stream.list().get(1));
        let entries = entries.map_or(&[][..], Reply::list);
        let generation = self.generation.load(Ordering::Relaxed);
        for entry in entries {
            let [id, fields] = entry.list() else { continue };
            let fields = fields.object();
            let (mut ended, mut begun) = (0, 0);
            for item in fields["e"].as_str().unwrap_or_default().split(' ') {
                let at = if item.as_bytes().get(22) == Some(&b':') { 45 } else { 22 };
                match item.as_bytes().get(at) {
                    Some(b's' | b'd' | b'c' | b'e') => ended += 1,
                    Some(b'R') => begun += 1,
                    _ => {}
                }
            }
            self.ended.fetch_add(ended, Ordering::Relaxed);
            self.begun.fetch_add(begun, Ordering::Relaxed);
            *last = id.text();
            let line = json!({"gen": generation, "entry": last, "e": fields["e"], "a": fields["a"]});
            self.history.line(Stream::Log, line);
        }
        entries.len()
    }

    /// Reads the log to its end on this server; nobody must be writing to it.
    pub(crate) async fn catch_up(&self) {
        let primary = self.pair.primary();
        pace::until!(Duration::from_secs(10), {
            let newest = primary.newest_entry().await.unwrap_or_else(|| "0-0".to_owned());
            newest == "0-0" || newest == *self.last.lock().await
        });
    }

    /// Writes that everything above what the server has now is lost, and begins another generation.
    pub(crate) async fn lost_suffix(&self, why: &str) {
        let mut last = self.last.lock().await;
        let survives = self.pair.primary().newest_entry().await.unwrap_or_else(|| "0-0".to_owned());
        let generation = self.generation.load(Ordering::Relaxed);
        let line = json!({"gen": generation, "marker": "lost_suffix", "last": survives, "why": why});
        self.history.line(Stream::Log, line);
        *last = survives;
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Figures of every queue, and whether the log still begins where the tail is.
    pub(crate) async fn snapshot(&self, redis: &mut Patient) -> Option<Vec<Value>> {
        let mut found = Vec::new();
        for queue in QUEUES {
            let mut args = vec!["EVAL", SNAPSHOT, "0", queue];
            args.extend(self.names.iter().map(String::as_str));
            let reply = redis.ask(&self.pair.primary().socket(), &args).await?;
            let mut figures = match &reply {
                Reply::List(pairs) if !pairs.is_empty() => reply.object(),
                _ => return None,
            };
            for name in ["order", "parked", "parked_sets", "stats", "slots", "limits", "blocked"] {
                figures[name] = flat_object(&figures[name]);
            }
            figures["queue"] = json!(queue);
            figures["gen"] = json!(self.generation.load(Ordering::Relaxed));
            figures["parked_total"] = figures["parked"]["total"].clone();
            found.push(figures);
        }
        Some(found)
    }

    async fn snapshots(self: Arc<Self>) {
        let mut redis = Patient::new();
        loop {
            if let Some(found) = self.snapshot(&mut redis).await {
                let pending = found.iter().filter_map(|figures| figures["pending_len"].as_u64()).sum();
                self.pending.store(pending, Ordering::Relaxed);
                for figures in found {
                    self.history.line(Stream::Snapshots, figures);
                }
            }
            self.look_for_gap(&mut redis).await;
            // What is interrupted leaves what it saw.
            self.history.flush();
            pace::pause_ms(700).await;
        }
    }

    async fn look_for_gap(&self, redis: &mut Patient) {
        let last = self.last.lock().await;
        let oldest = redis.ask(&self.pair.primary().socket(), &["XRANGE", "ai:events", "-", "+", "COUNT", "1"]).await;
        let oldest = oldest.as_ref().and_then(|r| r.list().first()).map(|entry| entry.list()[0].text());
        let gap = oldest.is_some_and(|oldest| *last != "0-0" && order(&oldest) > order(&last));
        if gap && !std::mem::replace(&mut *self.trimmed.lock().unwrap(), true) {
            self.history.line(Stream::Log, json!({"marker": "trimmed", "last": *last}));
        }
    }

    async fn leases(self: Arc<Self>) {
        let (mut redis, mut seen) = (Patient::new(), HashSet::new());
        loop {
            for queue in QUEUES {
                let args = ["EVAL", LEASES, "0", queue];
                let Some(Reply::List(found)) = redis.ask(&self.pair.primary().socket(), &args).await else { break };
                for lease in found.chunks(3).filter(|lease| lease.len() == 3) {
                    let (member, entry) = (lease[0].text(), lease[2].text());
                    if !seen.insert(member.clone()) {
                        continue;
                    }
                    let (job, attempt) = member.split_once(':').unwrap_or((&member, ""));
                    let worker = entry.split('\t').nth(4).unwrap_or_default();
                    let line = json!({"job": job, "attempt": attempt, "worker": worker, "queue": queue,
                        "number": entry.split('\t').nth(1), "deadline": lease[1].text().parse::<f64>().ok()});
                    self.history.line(Stream::Leases, line);
                }
            }
            pace::pause_ms(100).await;
        }
    }
}

/// Names and values in turn, as an object of numbers where they are numbers.
fn flat_object(list: &Value) -> Value {
    let items = list.as_array().cloned().unwrap_or_default();
    let number = |value: &Value| value.as_str().and_then(|s| s.parse::<i64>().ok()).map(Value::from);
    let pairs = items.chunks(2).filter(|pair| pair.len() == 2);
    let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Value::Object(pairs.map(|pair| (name(&pair[0]), number(&pair[1]).unwrap_or_else(|| pair[1].clone()))).collect())
}

fn order(entry: &str) -> (u64, u64) {
    let (ms, sequence) = entry.split_once('-').unwrap_or((entry, "0"));
    (ms.parse().unwrap_or_default(), sequence.parse().unwrap_or_default())
}
