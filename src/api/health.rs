//! Health, readiness and what this server is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /healthz`: the process answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Healthz {
    /// `healthy`
    #[schema(example = "healthy")]
    pub status: String,
}

/// `GET /ready`: whether jobs may be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// Whether jobs may be accepted; the status is 200 or 503 accordingly.
    pub ready: bool,
    /// Ready, with a risk that someone should know of.
    pub degraded: bool,
    /// How durable an acknowledgement is: `always`, `everysec`, `no`, `none`, or `unknown`.
    pub durability: String,
    /// What was checked, by name.
    pub checks: BTreeMap<String, CheckView>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Check")]
pub struct CheckView {
    /// `ok`, `degraded` or `failed`.
    pub status: String,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// `GET /health`: the server and what it depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok` or `degraded`.
    pub status: String,
    /// Now, by this server's clock.
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// Seconds since the process started.
    pub uptime: f64,
    /// The configured environment, such as `production`.
    pub environment: String,
    /// The server's version.
    pub version: String,
    /// Each `ok`, `error` or `disabled`.
    pub services: Services,
}

/// What the server depends on: each `ok`, `error` or `disabled`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Services {
    /// The language model provider.
    pub llm: String,
    /// Redis.
    pub database: String,
    /// The WebSocket endpoint.
    pub websocket: String,
    /// The GitHub actions.
    pub github: String,
}

/// `GET /meta`: what this server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Meta {
    /// What it can do.
    pub features: Vec<String>,
    /// Its version.
    pub version: String,
    /// The version of this API.
    #[schema(example = "1")]
    pub api_version: String,
}

/// `GET /health/detailed`: health, with everything behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HealthDetailed {
    /// What `GET /health` says.
    #[serde(flatten)]
    pub health: Health,
    /// Memory of this API process.
    pub memory: MemoryView,
    /// CPU of this API process.
    pub cpu: CpuView,
    /// Redis, as it is now.
    pub redis: RedisHealth,
    /// The live workers of the fleet.
    pub workers: WorkersHealth,
    /// The configured providers of language models.
    pub providers: Vec<ProviderHealthView>,
}

/// Memory of a process; `null` where the system does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Memory")]
pub struct MemoryView {
    /// In RAM now.
    pub resident_bytes: Option<u64>,
    /// The most that was.
    pub peak_bytes: Option<u64>,
}

/// CPU of a process.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Cpu")]
pub struct CpuView {
    /// Percent of one core, over the last 100 ms; several cores make more than 100.
    pub percent: f64,
    /// Seconds of CPU since the process started.
    pub seconds: f64,
    /// Cores that the process may use.
    pub cores: usize,
}

/// Redis, as it is now; `null` is what it did not say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RedisHealth {
    /// `ok`, or `error` when it did not answer.
    pub status: String,
    /// Why there is no answer.
    pub error: Option<String>,
    /// One round trip.
    pub latency_ms: Option<f64>,
    /// Its version.
    pub version: Option<String>,
    /// `master` or `slave`.
    pub role: Option<String>,
    /// Memory in use; of several shards, of the fullest.
    pub used_memory_bytes: Option<u64>,
    /// `maxmemory`; 0 is no limit.
    pub max_memory_bytes: Option<u64>,
    /// `maxmemory-policy`.
    pub policy: Option<String>,
    /// Whether it has an append-only file.
    pub aof: Option<bool>,
    /// Whether the last write of that went well.
    pub aof_ok: Option<bool>,
    /// `appendfsync`.
    pub fsync: Option<String>,
    /// Replicas that follow.
    pub replicas: Option<u32>,
    /// Shards of the installation.
    pub shards: usize,
    /// Shards that do not answer.
    pub shards_away: usize,
    /// How durable an acknowledgement is, as in `/ready`.
    pub durability: String,
    /// What was checked last, as in `/ready`.
    pub checks: BTreeMap<String, CheckView>,
}

/// The live workers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkersHealth {
    /// Processes that are registered.
    pub live: usize,
    /// Of these, such as live but have claimed nothing for 15 s.
    pub deaf: usize,
    /// Of these, such as finish their jobs and take no more.
    pub draining: usize,
    /// Jobs that they can run at once.
    pub slots: u64,
    /// Jobs that they ran at their last heartbeats.
    pub busy: u64,
    /// Why nothing is known of them.
    pub error: Option<String>,
}

/// How a provider of language models stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "ProviderHealth")]
pub struct ProviderHealthView {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// `ok`, `error`, or `unknown` without a probe of the last five minutes.
    pub status: String,
    /// The last probe.
    pub probe: Option<super::provider::HealthView>,
    /// Its configured models.
    pub models: usize,
    /// Of these, such as are left alone for a while (`cooling`, `open` or `half_open`).
    pub models_not_called: usize,
}
