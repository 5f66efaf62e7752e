//! How to reach Redis and what to keep there.

use std::time::Duration;

use secrecy::SecretString;

/// Options of a [`super::Store`]; `config` fills them.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// `redis://`, `rediss://`, `redis+unix://`, `redis-sentinel://` or `redis-cluster://`; may hold a
    /// password.
    pub url: SecretString,
    /// Shards of a cluster, 0 for the default; without one there is one shard.
    pub shards: u8,
    /// First part of every key.
    pub base: String,
    /// Connections for commands, 1 to 10; blocking reads have their own.
    pub pool_size: usize,
    /// After this long without a reply a command's outcome is unknown.
    pub command_timeout: Duration,
    /// How long an idempotency key outlives its job.
    pub idempotency_ttl: Duration,
    /// How long a succeeded, cancelled or expired job can be read.
    pub retention: Duration,
    /// How long a dead job is kept.
    pub dead_retention: Duration,
    /// Jobs in line or waiting for their time, per queue, before enqueue is refused.
    pub max_depth: u64,
    /// Lifecycle events kept in the stream; 0 switches them off, and with them SSE and `Prefer: wait`.
    pub events_kept: u64,
    /// Whether jobs can be listed (39 bytes a job).
    pub listing_index: bool,
    /// Set under `DURABILITY=strict`; `None` acknowledges what Redis acknowledged.
    pub strict: Option<Strict>,
    /// The bug that this process has on purpose, if any.
    #[cfg(feature = "chaos")]
    pub planted: Option<&'static super::planted::PlantedBug>,
}

/// What has to happen before an acknowledgement under strict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strict {
    /// Replicas that must have the write. With 0 nobody is waited for: Redis itself answers after its
    /// disk did (`appendfsync always`), which the guard checks.
    pub replicas: u32,
    /// How long they are waited for.
    pub wait: Duration,
}

impl StoreOptions {
    /// Defaults for a URL.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned().into(),
            shards: 0,
            base: "ai".to_owned(),
            pool_size: 4,
            command_timeout: Duration::from_secs(5),
            idempotency_ttl: Duration::from_secs(86_400),
            retention: Duration::from_secs(86_400),
            dead_retention: Duration::from_secs(30 * 86_400),
            max_depth: 1_000_000,
            events_kept: 100_000,
            listing_index: true,
            #[cfg(feature = "chaos")]
            planted: None,
            strict: None,
        }
    }
}
