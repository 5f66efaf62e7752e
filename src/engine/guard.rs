//! Watches whether Redis may be trusted with acknowledged jobs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics;
use crate::store::{ServerFacts, Shards, StoreError};

use super::tasks;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(4);
/// Between two looks while Redis does not answer.
const INTERVAL_DOWN: Duration = Duration::from_millis(250);
/// Share of maxmemory above which no job is accepted, so that those in line can be finished.
const FULL_RATIO: f64 = 0.85;

/// How a check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, with a risk that someone should know of.
    Degraded,
    /// Not ready: jobs could be lost or nothing works.
    Failed,
}

/// One check with its finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// How it stands.
    pub level: Level,
    /// What was found, in a few words.
    pub detail: String,
    /// What to do about it; empty when `Ok`.
    pub remedy: String,
}

/// The latest findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// By name: `redis` `version` `role` `policy` `layout` `persistence` `maxmemory` `memory`.
    pub checks: BTreeMap<&'static str, Check>,
    /// How durable an acknowledgement is: `always`, `everysec` or `no` as `appendfsync` says, `none`
    /// without an append-only file, `unknown` where the server does not say.
    pub durability: &'static str,
    /// Set while no job is accepted for want of memory.
    pub full: Option<String>,
    /// The server's run id; changes when it restarts.
    pub run_id: String,
    /// The epoch of the state; changes when Redis lost it.
    pub epoch: String,
}

impl Findings {
    /// Whether jobs may be accepted and run: Redis was seen and no check failed.
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.checks.is_empty() && self.checks.values().all(|c| c.level < Level::Failed)
    }

    /// Ready, with a risk.
    #[must_use]
    pub fn degraded(&self) -> bool {
        self.ready() && self.checks.values().any(|c| c.level == Level::Degraded)
    }

    /// Why jobs must not be acknowledged, other than that Redis is away (the enqueue itself finds
    /// that out, and sooner).
    #[must_use]
    pub fn unsafe_reason(&self) -> Option<String> {
        let failed = self.checks.iter().find(|(name, c)| **name != "redis" && c.level == Level::Failed);
        failed.map(|(name, check)| format!("{name}: {}", check.detail))
    }
}

/// Keeps the findings fresh: every 4 s (three commands each), four times a second while Redis is
/// away; cheap to clone.
#[derive(Clone, Debug)]
pub struct Guard {
    latest: watch::Receiver<Findings>,
    store: Shards,
    /// The epoch seen last.
    epoch: Arc<Mutex<String>>,
}

impl Guard {
    /// Starts watching; ends with `shutdown`.
    #[must_use]
    pub fn start(store: impl Into<Shards>, shutdown: CancellationToken) -> Self {
        let (sender, latest) = watch::channel(Findings::default());
        // Exists at 0, or the first loss would be no increase.
        ::metrics::counter!(metrics::STATE_LOSSES.name).increment(0);
        let guard = Self { latest, store: store.into(), epoch: Arc::default() };
        tasks::spawn("guard", guard.clone().watch(sender, shutdown));
        guard
    }

    /// The latest findings; empty (and so not ready) before the first look.
    #[must_use]
    pub fn findings(&self) -> Findings {
        self.latest.borrow().clone()
    }

    /// Waits for the first look, and returns its findings.
    pub async fn first_look(&self) -> Findings {
        let mut latest = self.latest.clone();
        match latest.wait_for(|findings| !findings.checks.is_empty()).await {
            Ok(findings) => findings.clone(),
            Err(_) => Findings::default(),
        }
    }

    /// Looks now, beside the regular looks.
    pub async fn look(&self) -> Findings {
        let findings = match self.store.server_facts().await {
            Ok(facts) => judge(&facts),
            Err(error) => unreachable_redis(&error),
        };
        self.notice_lost_state(&findings);
        findings
    }

    async fn watch(self, sender: watch::Sender<Findings>, shutdown: CancellationToken) {
        loop {
            let findings = self.look().await;
            publish(&findings);
            let down = findings.checks.get("redis").is_none_or(|c| c.level == Level::Failed);
            let before = sender.send_replace(findings.clone());
            match (before.ready(), findings.ready()) {
                (false, true) => tracing::info!("Redis is ready"),
                (true, false) => tracing::warn!(reason = findings.unsafe_reason(), "Redis is not ready"),
                _ => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(if down { INTERVAL_DOWN } else { INTERVAL }) => {}
            }
        }
    }

    fn notice_lost_state(&self, findings: &Findings) {
        if findings.epoch.is_empty() {
            return;
        }
        let mut known = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.is_empty() && *known != findings.epoch {
            ::metrics::counter!(metrics::STATE_LOSSES.name).increment(1);
            tracing::error!("Redis lost state: its epoch changed; acknowledged jobs may be gone");
        }
        known.clone_from(&findings.epoch);
    }
}

fn publish(findings: &Findings) {
    let flag = |on: bool| if on { 1.0 } else { 0.0 };
    let up = findings.checks.get("redis").is_some_and(|c| c.level == Level::Ok);
    ::metrics::gauge!(metrics::REDIS_UP.name).set(flag(up));
    for (name, check) in &findings.checks {
        ::metrics::gauge!(metrics::REDIS_UNSAFE.name, "check" => *name).set(flag(check.level == Level::Failed));
        ::metrics::gauge!(metrics::REDIS_DEGRADED.name, "check" => *name).set(flag(check.level == Level::Degraded));
    }
}

fn check(level: Level, detail: impl Into<String>, remedy: &str) -> Check {
    let remedy = if level == Level::Ok { String::new() } else { remedy.to_owned() };
    Check { level, detail: detail.into(), remedy }
}

fn unreachable_redis(error: &StoreError) -> Findings {
    let remedy = "start Redis, or correct REDIS_URL; nothing else has to be restarted";
    let checks = BTreeMap::from([("redis", check(Level::Failed, error.to_string(), remedy))]);
    Findings { checks, durability: "unknown", ..Findings::default() }
}

/// Turns facts into findings.
fn judge(facts: &ServerFacts) -> Findings {
    let (persistence, durability) = persistence(facts);
    let (memory, full) = memory(facts);
    let mut checks = server(facts);
    checks.extend([("redis", connected(facts)), ("persistence", persistence)]);
    checks.extend(memory);
    Findings { checks, durability, full, run_id: facts.run_id.clone(), epoch: facts.epoch.clone() }
}

/// The jobs of a shard that is away wait for it; the others go on.
fn connected(facts: &ServerFacts) -> Check {
    let detail = match facts.shards_away {
        0 => "connected".to_owned(),
        away => format!("{away} shards do not answer"),
    };
    check(when(facts.shards_away > 0, Level::Degraded), detail, "start their servers, or let a replica take over")
}

fn when(bad: bool, level: Level) -> Level {
    if bad { level } else { Level::Ok }
}

/// What the server is. Eviction is a failure because it drops acknowledged jobs without an error
/// (and `volatile-*` drops first the idempotency keys, which are the ones with a TTL).
fn server(facts: &ServerFacts) -> BTreeMap<&'static str, Check> {
    let version = facts.valkey_version.clone().map_or(facts.redis_version.clone(), |v| format!("Valkey {v}"));
    let foreign = !facts.layout_ok && !facts.layout.is_empty();
    let failed = |bad: bool, detail: &str, remedy: &str| check(when(bad, Level::Failed), detail, remedy);
    BTreeMap::from([
        (
            "version",
            failed(
                too_old(facts),
                &version,
                "upgrade to Redis 7.0 or Valkey 7.2: without script flags a full Redis cannot drain",
            ),
        ),
        (
            "role",
            failed(facts.role != "master", &facts.role, "point REDIS_URL at the primary: a replica refuses writes"),
        ),
        (
            "policy",
            failed(
                facts.policy != "noeviction",
                &facts.policy,
                "redis-cli CONFIG SET maxmemory-policy noeviction, and set it in redis.conf",
            ),
        ),
        ("layout", failed(foreign, &facts.layout, &layout_remedy(&facts.layout))),
    ])
}

fn layout_remedy(layout: &str) -> String {
    match layout.strip_prefix("1:") {
        Some(shards) => format!("set REDIS_SHARDS={shards}: the number of shards is fixed while there is data"),
        None => "the keys were written by another version of Windlass; use its binary, or another database".to_owned(),
    }
}

/// The checks of memory, and why no job is accepted, if it is for want of memory.
fn memory(facts: &ServerFacts) -> ([(&'static str, Check); 2], Option<String>) {
    let unlimited = facts.max_memory == 0;
    let ratio = if unlimited { 0.0 } else { facts.used_memory as f64 / facts.max_memory as f64 };
    ::metrics::gauge!(metrics::REDIS_MEMORY.name).set(ratio);
    let full = (ratio >= FULL_RATIO).then(|| format!("{:.0} % of maxmemory is in use", ratio * 100.0));
    let limit = check(
        when(unlimited, Level::Degraded),
        if unlimited { "no limit".to_owned() } else { format!("{} bytes", facts.max_memory) },
        "set maxmemory below the machine's memory: then a full Redis refuses instead of being killed",
    );
    let used = check(
        when(full.is_some(), Level::Degraded),
        full.clone().unwrap_or_else(|| format!("{:.0} % in use", ratio * 100.0)),
        "let workers finish what is in line, or raise maxmemory; enqueue opens again below 85 %",
    );
    ([("maxmemory", limit), ("memory", used)], full)
}

fn persistence(facts: &ServerFacts) -> (Check, &'static str) {
    if !facts.aof {
        let remedy = "redis-cli CONFIG SET appendonly yes, and set it in redis.conf: a restart now loses every job";
        return (check(Level::Degraded, "the append-only file is off", remedy), "none");
    }
    if !facts.aof_ok {
        let remedy = "free the disk under the append-only file; Redis refuses writes until then";
        return (check(Level::Failed, "the last write of the append-only file failed", remedy), "none");
    }
    let class = match facts.fsync.as_deref() {
        Some("always") => "always",
        Some("everysec") => "everysec",
        Some("no") => "no",
        _ => "unknown",
    };
    (check(Level::Ok, format!("append-only file, fsync {class}"), ""), class)
}

fn too_old(facts: &ServerFacts) -> bool {
    let (text, least) = match &facts.valkey_version {
        Some(version) => (version, (7, 2)),
        None => (&facts.redis_version, (7, 0)),
    };
    let mut parts = text.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) < least
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> ServerFacts {
        ServerFacts {
            redis_version: "7.0.15".into(),
            role: "master".into(),
            policy: "noeviction".into(),
            max_memory: 1000,
            used_memory: 100,
            aof: true,
            aof_ok: true,
            fsync: Some("everysec".into()),
            layout: "1:1".into(),
            layout_ok: true,
            ..ServerFacts::default()
        }
    }

    #[test]
    fn a_healthy_server_is_ready_and_names_its_durability() {
        let findings = judge(&healthy());
        assert!(findings.ready() && !findings.degraded());
        assert_eq!(findings.durability, "everysec");
    }

    #[test]
    fn what_could_lose_acknowledged_jobs_is_not_ready_and_says_what_to_do() {
        type Change = fn(&mut ServerFacts);
        let cases: &[(&str, Change)] = &[
            ("policy", |f| f.policy = "allkeys-lru".into()),
            ("policy", |f| f.policy = "volatile-ttl".into()),
            ("role", |f| f.role = "slave".into()),
            ("version", |f| f.redis_version = "6.2.14".into()),
            ("version", |f| f.valkey_version = Some("7.1.0".into())),
            ("layout", |f| (f.layout, f.layout_ok) = ("1:4".into(), false)),
            ("persistence", |f| f.aof_ok = false),
        ];
        for (name, change) in cases {
            let mut facts = healthy();
            change(&mut facts);
            let findings = judge(&facts);
            assert!(!findings.ready(), "{name}");
            assert!(findings.unsafe_reason().unwrap().starts_with(name));
            assert!(!findings.checks[name].remedy.is_empty());
        }
    }

    #[test]
    fn risks_degrade_and_memory_closes_intake_only() {
        let mut facts = healthy();
        (facts.aof, facts.max_memory) = (false, 0);
        assert!(judge(&facts).degraded());
        let mut facts = healthy();
        facts.used_memory = 860;
        let findings = judge(&facts);
        assert!(findings.ready() && findings.full.is_some());
    }
}
