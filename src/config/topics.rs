//! The settings as typed values, one struct per topic.

use std::time::Duration;

use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::Problem;
use super::catalogue as c;
use super::layers::{Origin, Resolved};
use crate::domain::{LeaseTiming, QueueName};

/// The API server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address to listen on.
    pub host: String,
    /// The port; 0 takes any free one.
    pub port: u16,
    /// Open connections at once.
    pub max_connections: usize,
    /// The longest a request may take.
    pub request_timeout: Duration,
    /// A name for this installation.
    pub environment: String,
    /// A system key that is always valid.
    pub admin_key: Option<SecretString>,
    /// Signs the cursors of lists.
    pub cursor_secret: SecretString,
}

/// Redis.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// The address, possibly with a password.
    pub url: SecretString,
    /// Whether someone set the address.
    pub url_is_set: bool,
    /// Shards in a cluster; 0 for the default.
    pub shards: u8,
    /// Connections for commands.
    pub pool_size: usize,
    /// How long to wait for a reply.
    pub command_timeout: Duration,
}

/// Rules of all queues.
#[derive(Clone, Debug)]
pub struct QueueConfig {
    /// How long a request id stays taken after its job's end.
    pub idempotency_ttl: Duration,
    /// How long records of ended jobs are kept.
    pub retention: Duration,
    /// How long dead letters are kept.
    pub dead_retention: Duration,
    /// Jobs in line per queue.
    pub max_depth: u64,
    /// Whether transitions go to the event stream.
    pub events: bool,
    /// Whether jobs can be listed.
    pub listing_index: bool,
    /// Whether `strict` was asked for.
    pub strict: bool,
    /// Replicas that confirm an acknowledgement under strict.
    pub durability_replicas: u32,
    /// How long they are waited for.
    pub durability_timeout: Duration,
}

/// A worker process.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Queues with weights.
    pub queues: Vec<(QueueName, u32)>,
    /// Jobs at once.
    pub slots: usize,
    /// The port of its health server; `None` is off.
    pub port: Option<u16>,
    /// How leases are timed.
    pub timing: LeaseTiming,
    /// How long running jobs get at shutdown.
    pub drain_grace: Duration,
    /// When the supervisor kills.
    pub kill_timeout: Duration,
}

/// Actions: job types with effects outside.
#[derive(Clone, Debug)]
pub struct ActionsConfig {
    /// The kill switch.
    pub enabled: bool,
    /// What may run.
    pub allow: Vec<String>,
    /// How long after an intent an effect is not looked up.
    pub settle: Duration,
}

/// `webhook.send`.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Signs deliveries.
    pub signing_secret: Option<SecretString>,
    /// The secret before that one.
    pub previous_secret: Option<SecretString>,
    /// Hosts that may be called.
    pub allowed_hosts: Vec<String>,
    /// Hosts that may be called although they are internal.
    pub allow_internal: Vec<String>,
    /// For one delivery.
    pub timeout: Duration,
}

/// The operator commands.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The API's address.
    pub url: String,
    /// Whether someone set the address.
    pub url_is_set: bool,
    /// The key.
    pub api_key: Option<SecretString>,
}

impl ServerConfig {
    pub(super) fn of(r: &Resolved) -> Self {
        Self {
            host: r.text(&c::HOST).unwrap_or_else(|| "127.0.0.1".to_owned()),
            port: r.number(&c::PORT),
            max_connections: r.number(&c::MAX_CONNECTIONS),
            request_timeout: r.seconds(&c::REQUEST_TIMEOUT_SECONDS),
            environment: r.text(&c::ENVIRONMENT).unwrap_or_default(),
            admin_key: r.secret(&c::WINDLASS_ADMIN_KEY),
            cursor_secret: r.secret(&c::CURSOR_SECRET).unwrap_or_else(|| derived_secret(r)),
        }
    }
}

/// A secret that every API process of one installation has in common.
fn derived_secret(r: &Resolved) -> SecretString {
    let parts = [r.text(&c::REDIS_URL), r.text(&c::WINDLASS_ADMIN_KEY)];
    let mut hash = Sha256::new_with_prefix("windlass cursor secret");
    for part in parts.iter().flatten() {
        hash.update([0]);
        hash.update(part);
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect::<String>().into()
}

impl RedisConfig {
    pub(super) fn of(r: &Resolved) -> Self {
        Self {
            url: r.text(&c::REDIS_URL).unwrap_or_default().into(),
            url_is_set: *r.origin(&c::REDIS_URL) != Origin::Default,
            shards: r.number(&c::REDIS_SHARDS),
            pool_size: r.number(&c::REDIS_POOL_SIZE),
            command_timeout: r.seconds(&c::REDIS_COMMAND_TIMEOUT_SECONDS),
        }
    }
}

impl QueueConfig {
    pub(super) fn of(r: &Resolved) -> Self {
        Self {
            idempotency_ttl: r.seconds(&c::IDEMPOTENCY_TTL),
            retention: r.seconds(&c::RETENTION_SECONDS),
            dead_retention: r.seconds(&c::DEAD_RETENTION_SECONDS),
            max_depth: r.integer(&c::MAX_DEPTH),
            events: r.flag(&c::EVENTS),
            listing_index: r.flag(&c::LISTING_INDEX),
            strict: r.text(&c::DURABILITY).as_deref() == Some("strict"),
            durability_replicas: r.number(&c::DURABILITY_REPLICAS),
            durability_timeout: r.millis(&c::DURABILITY_TIMEOUT_MS),
        }
    }
}

impl WorkerConfig {
    pub(super) fn of(r: &Resolved, cores: usize) -> Result<Self, Problem> {
        let lease = r.millis(&c::LEASE_MS);
        let problem = |m: String| Problem::of(&c::LEASE_MS, r.origin(&c::LEASE_MS), m);
        let mut timing = LeaseTiming::for_lease(lease).map_err(|e| problem(e.to_string()))?;
        match r.millis(&c::HEARTBEAT_MS) {
            Duration::ZERO => {}
            heartbeat => timing.heartbeat = heartbeat,
        }
        let slots = match r.number(&c::WORKER_CONCURRENCY) {
            0 => 4 * cores.max(1),
            slots => slots,
        };
        Ok(Self {
            queues: queues(&r.list(&c::QUEUES)).map_err(|m| Problem::of(&c::QUEUES, r.origin(&c::QUEUES), m))?,
            slots,
            port: Some(r.number(&c::WORKER_PORT)).filter(|p| *p != 0),
            timing,
            drain_grace: r.seconds(&c::DRAIN_GRACE_SECONDS),
            kill_timeout: r.seconds(&c::KILL_TIMEOUT_SECONDS),
        })
    }
}

/// Parses `name` or `name=weight` entries.
fn queues(items: &[String]) -> Result<Vec<(QueueName, u32)>, String> {
    let mut parsed: Vec<(QueueName, u32)> = Vec::new();
    for item in items {
        let (name, weight) = item.split_once('=').unwrap_or((item, "1"));
        let name = QueueName::new(name.trim()).map_err(|e| format!("queue `{name}` {e}"))?;
        let weight = weight.trim().parse().ok().filter(|w| (1..=1000).contains(w));
        let weight = weight.ok_or_else(|| format!("the weight of queue `{name}` must be from 1 to 1000"))?;
        if parsed.iter().any(|(known, _)| *known == name) {
            return Err(format!("queue `{name}` is named twice"));
        }
        parsed.push((name, weight));
    }
    if parsed.is_empty() { Err("must name at least one queue".to_owned()) } else { Ok(parsed) }
}

impl ActionsConfig {
    pub(super) fn of(r: &Resolved) -> Self {
        Self {
            enabled: r.flag(&c::ACTIONS_ENABLED),
            allow: r.list(&c::ALLOW_ACTIONS_DEFAULT),
            settle: r.seconds(&c::EFFECT_SETTLE_SECONDS),
        }
    }
}

impl WebhookConfig {
    pub(super) fn of(r: &Resolved) -> Self {
        Self {
            signing_secret: r.secret(&c::WEBHOOK_SIGNING_SECRET),
            previous_secret: r.secret(&c::WEBHOOK_SIGNING_SECRET_PREVIOUS),
            allowed_hosts: r.list(&c::WEBHOOK_ALLOWED_HOSTS),
            allow_internal: r.list(&c::WEBHOOK_ALLOW_INTERNAL),
            timeout: r.seconds(&c::WEBHOOK_TIMEOUT_SECONDS),
        }
    }
}

impl ClientConfig {
    pub(super) fn of(r: &Resolved) -> Self {
        Self {
            url: r.text(&c::WINDLASS_URL).unwrap_or_default(),
            url_is_set: *r.origin(&c::WINDLASS_URL) != Origin::Default,
            api_key: r.secret(&c::WINDLASS_API_KEY),
        }
    }
}
