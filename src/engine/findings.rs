//! What the guard finds: facts about Redis, judged.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::metrics;
use crate::store::{LAYOUT, ServerFacts, StoreError, Strict};

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

impl Level {
    /// The word for it in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
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
    /// By name: `redis` `version` `role` `policy` `layout` `persistence` `maxmemory` `memory`, and under
    /// strict `durability`.
    pub checks: BTreeMap<&'static str, Check>,
    /// How durable an acknowledgement is: `strict` while that is kept; else `always`, `everysec` or `no` as `appendfsync` says, `none`
    /// without an append-only file, `unknown` where the server does not say.
    pub durability: &'static str,
    /// Set while no job is accepted for want of memory.
    pub full: Option<String>,
    /// The server's run id; changes when it restarts.
    pub run_id: String,
    /// The epoch of the state; changes when Redis lost it.
    pub epoch: String,
    /// How long the look took.
    pub took: Duration,
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

fn check(level: Level, detail: impl Into<String>, remedy: &str) -> Check {
    let remedy = if level == Level::Ok { String::new() } else { remedy.to_owned() };
    Check { level, detail: detail.into(), remedy }
}

pub(super) fn unreachable_redis(error: &StoreError) -> Findings {
    let remedy = "start Redis, or correct REDIS_URL; nothing else has to be restarted";
    let checks = BTreeMap::from([("redis", check(Level::Failed, error.to_string(), remedy))]);
    Findings { checks, durability: "unknown", ..Findings::default() }
}

/// Turns facts into findings.
pub(super) fn judge(facts: &ServerFacts, strict: Option<Strict>) -> Findings {
    let (persistence, mut durability) = persistence(facts, strict.is_some());
    let (memory, full) = memory(facts);
    let mut checks = server(facts);
    checks.extend([("redis", connected(facts)), ("persistence", persistence)]);
    checks.extend(memory);
    if let Some(strict) = strict {
        let promised = promise(facts, strict, durability);
        if promised.level == Level::Ok {
            durability = "strict";
        }
        checks.insert("durability", promised);
    }
    Findings {
        checks,
        durability,
        full,
        run_id: facts.run_id.clone(),
        epoch: facts.epoch.clone(),
        took: Duration::ZERO,
    }
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
    match layout.strip_prefix(LAYOUT).and_then(|rest| rest.strip_prefix(':')) {
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

/// Whether strict can keep its word. The replicas are counted here as well, so that losing one closes the
/// intake instead of letting every client wait.
fn promise(facts: &ServerFacts, strict: Strict, class: &str) -> Check {
    let failed = |detail: String, remedy: &str| check(Level::Failed, detail, remedy);
    if !facts.aof {
        let remedy = "strict needs appendonly yes in redis.conf, or DURABILITY=standard";
        return failed("strict, and the append-only file is off".to_owned(), remedy);
    }
    if strict.replicas == 0 && class != "always" {
        let remedy = "redis-cli CONFIG SET appendfsync always, and set it in redis.conf; or name your replicas in \
                      DURABILITY_REPLICAS";
        return failed(format!("strict without replicas, and fsync is {class}"), remedy);
    }
    if facts.replicas < strict.replicas {
        let remedy = "mend the replicas: redis-cli INFO replication shows those that follow; or lower \
                      DURABILITY_REPLICAS everywhere";
        return failed(format!("{} of {} replicas follow", facts.replicas, strict.replicas), remedy);
    }
    check(Level::Ok, format!("strict: {} replicas confirm, fsync {class}", strict.replicas), "")
}

fn persistence(facts: &ServerFacts, strict: bool) -> (Check, &'static str) {
    if !facts.aof {
        let level = if strict { Level::Failed } else { Level::Degraded };
        let remedy = "redis-cli CONFIG SET appendonly yes, and set it in redis.conf: a restart now loses every job";
        return (check(level, "the append-only file is off", remedy), "none");
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
            layout: format!("{LAYOUT}:1"),
            layout_ok: true,
            ..ServerFacts::default()
        }
    }

    #[test]
    fn a_healthy_server_is_ready_and_names_its_durability() {
        let findings = judge(&healthy(), None);
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
            ("layout", |f| (f.layout, f.layout_ok) = (format!("{LAYOUT}:4"), false)),
            ("layout", |f| (f.layout, f.layout_ok) = ("1:1".into(), false)),
            ("persistence", |f| f.aof_ok = false),
        ];
        for (name, change) in cases {
            let mut facts = healthy();
            change(&mut facts);
            let findings = judge(&facts, None);
            assert!(!findings.ready(), "{name}");
            assert!(findings.unsafe_reason().unwrap().starts_with(name));
            assert!(!findings.checks[name].remedy.is_empty());
        }
    }

    #[test]
    fn risks_degrade_and_memory_closes_intake_only() {
        let mut facts = healthy();
        (facts.aof, facts.max_memory) = (false, 0);
        assert!(judge(&facts, None).degraded());
        let mut facts = healthy();
        facts.used_memory = 860;
        let findings = judge(&facts, None);
        assert!(findings.ready() && findings.full.is_some());
    }

    #[test]
    fn strict_is_ready_only_where_it_can_be_kept() {
        let with = |replicas| Some(Strict { replicas, wait: std::time::Duration::from_secs(1) });
        let facts = |fsync: &str, replicas| ServerFacts { fsync: Some(fsync.into()), replicas, ..healthy() };
        for (facts, strict) in [(facts("always", 0), with(0)), (facts("everysec", 2), with(2))] {
            let findings = judge(&facts, strict);
            assert!(findings.ready(), "{:?}", findings.checks);
            assert_eq!(findings.durability, "strict");
        }
        let off = ServerFacts { aof: false, ..facts("always", 2) };
        let unreadable = ServerFacts { fsync: None, ..facts("", 0) };
        for (facts, strict) in
            [(facts("everysec", 0), with(0)), (unreadable, with(0)), (facts("always", 1), with(2)), (off, with(2))]
        {
            let findings = judge(&facts, strict);
            assert!(!findings.ready());
            assert_ne!(findings.durability, "strict");
            assert!(!findings.checks["durability"].remedy.is_empty());
        }
    }
}
