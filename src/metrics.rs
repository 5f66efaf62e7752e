//! The one catalogue of metrics: name, kind, unit, labels, buckets and help of every family.
//!
//! Alerts, dashboards and the runbook are checked against it, so a name is written down here or it does not exist. No
//! label takes a value that a client can invent without bound: `queue` and `type` exist, `path` is a route template.
//!
//! Two sources, because a counter that lives in a worker dies with it, and a rule over it would be
//! silent exactly when every worker is dead:
//! - [`Source::Fleet`]: read from Redis and written by [`render_family`] in every API process. Each
//!   replica shows the same value, so rules use `max by (queue)` and never `sum`. Rendered by hand
//!   because a counter must be allowed to go backwards (Redis restored or failed over): Prometheus
//!   reads that as a reset, whereas the recorder's `Counter::absolute` keeps the maximum and would
//!   freeze the series.
//! - [`Source::Process`]: what this process did, through the `metrics` recorder.

mod text;

use ::metrics::Unit;

pub use text::{Sample, render_family};

/// Label keys.
pub mod label {
    /// A queue's name.
    pub const QUEUE: &str = "queue";
    /// A registered job type's name.
    pub const TYPE: &str = "type";
    /// A state of jobs: `scheduled`, `running`, `held`, `dead`, `parked`, `paused`, or a terminal one.
    pub const STATE: &str = "state";
    /// How an attempt ended: `succeeded`, `retried`, `released`, `held`, `cancelled`, `stale`, or
    /// the reason of a final failure.
    pub const OUTCOME: &str = "outcome";
    /// Why a job is held: `outcome_unknown`, `approval`, `needs_reauth`, `actions_disabled`, `operator`.
    pub const REASON: &str = "reason";
    /// A check of the boot guard, as in `/ready`.
    pub const CHECK: &str = "check";
    /// A script's verb.
    pub const SCRIPT: &str = "script";
    /// A route template such as `/ai/jobs/{id}`, never a concrete path.
    pub const PATH: &str = "path";
    /// An HTTP method.
    pub const METHOD: &str = "method";
    /// An HTTP status as a number; of a model call, a word for how it ended.
    pub const STATUS: &str = "status";
    /// A configured provider of language models.
    pub const PROVIDER: &str = "provider";
    /// A model that stands in the configuration, or `other`.
    pub const MODEL: &str = "model";
    /// What was in the way of a model call: `requests`, `tokens`, `concurrency`, `budget` or `cooling`.
    pub const LIMIT: &str = "limit";
    /// An error code of the API.
    pub const CODE: &str = "code";
    /// A kind of tokens: `input`, `cached_input` (a part of it), `output`, `reasoning` (a part of it).
    pub const KIND: &str = "kind";
    /// What a bulk operation does: `cancel`, `redrive`, `move`, `hold`, `release`, `discard`.
    pub const ACTION: &str = "action";
    /// A version of Windlass.
    pub const VERSION: &str = "version";
}

/// What a family's values mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, except for a reset.
    Counter,
    /// A value of now.
    Gauge,
    /// A distribution over [`Metric::buckets`].
    Histogram,
}

impl Kind {
    /// The word of the exposition format's `# TYPE` line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Who knows the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Redis; every API process exports the same value.
    Fleet,
    /// The exporting process.
    Process,
}

/// One family of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The full name, unit suffix included.
    pub name: &'static str,
    /// What its values mean.
    pub kind: Kind,
    /// Who knows them.
    pub source: Source,
    /// The unit of its values.
    pub unit: Unit,
    /// Its label keys, in the order of the documentation.
    pub labels: &'static [&'static str],
    /// Upper bounds of a histogram's buckets, in the unit; empty for other kinds.
    pub buckets: &'static [f64],
    /// One sentence for people.
    pub help: &'static str,
}

/// Buckets of HTTP latency: 0.2 s and 3 s are the objectives that alerts compare with, and the
/// upper end covers `Prefer: wait`.
pub const HTTP_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0];

/// Buckets of time in line: from an idle queue's hand-over (under a millisecond) to a day behind.
pub const WAIT_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0,
    86_400.0,
];

/// Buckets of run time: from an echo to an hour of model calls.
pub const RUN_SECONDS: &[f64] =
    &[0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];

/// Buckets of one script call, round trip included: 50 µs to the command timeout of 5 s.
pub const SCRIPT_SECONDS: &[f64] =
    &[0.000_05, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

macro_rules! catalogue {
    ($($id:ident = $name:literal $kind:ident $source:ident $unit:ident [$($label:ident),*] $buckets:expr, $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $id: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                source: Source::$source,
                unit: Unit::$unit,
                labels: &[$(label::$label),*],
                buckets: $buckets,
                help: $help,
            };
        )+

        /// Every family, in the order of the documentation.
        pub const CATALOGUE: &[Metric] = &[$($id),+];
    };
}

catalogue! {
    QUEUE_DEPTH = "ai_queue_depth_total" Gauge Fleet Count [QUEUE] &[],
        "Jobs in line, parked ones included.";
    QUEUE_ENQUEUED = "ai_queue_enqueue_total" Counter Fleet Count [QUEUE] &[],
        "Jobs accepted since the queue exists.";
    QUEUE_DEQUEUED = "ai_queue_dequeue_total" Counter Fleet Count [QUEUE] &[],
        "Jobs claimed by workers since the queue exists.";
    QUEUE_WORKERS = "ai_queue_workers" Gauge Fleet Count [QUEUE] &[],
        "Live worker processes that serve the queue.";
    WORKERS_CLAIMING = "windlass_workers_claiming" Gauge Fleet Count [QUEUE] &[],
        "Live worker processes that serve the queue, come around and are not about to stop.";
    WORKERS_DEAF = "windlass_workers_deaf" Gauge Fleet Count [QUEUE] &[],
        "Live worker processes that serve the queue and whose claim loop does not come around, as their heartbeats say.";
    JOBS = "windlass_jobs" Gauge Fleet Count [QUEUE, STATE] &[],
        "Jobs by state; state=\"parked\" counts those in line behind a block, \"paused\" those of them behind a pause.";
    JOBS_FINISHED = "windlass_jobs_finished_total" Counter Fleet Count [QUEUE, STATE] &[],
        "Jobs that reached a terminal state since the queue exists.";
    HELD_JOBS = "windlass_held_jobs" Gauge Fleet Count [QUEUE, REASON] &[],
        "Jobs that wait for a decision, by what it is about.";
    OUTCOME_UNKNOWN = "windlass_outcome_unknown_total" Counter Fleet Count [QUEUE] &[],
        "Jobs that were held because nobody could tell whether an effect happened.";
    OLDEST_PENDING = "windlass_oldest_pending_seconds" Gauge Fleet Seconds [QUEUE] &[],
        "How long the job that is next in line could have run, 0 for an empty line.";
    LEASE_EXPIRIES = "windlass_lease_expiries_total" Counter Fleet Count [QUEUE] &[],
        "Leases that ran out because their worker stopped renewing.";
    QUEUE_PAUSED = "windlass_queue_paused" Gauge Fleet Count [QUEUE] &[],
        "1 while the whole queue is paused, else 0.";
    QUEUE_DRAINING = "windlass_queue_draining" Gauge Fleet Count [QUEUE] &[],
        "1 while the queue takes no new jobs, else 0.";

    CREDENTIALS_NEEDING_REAUTH = "windlass_credentials_needing_reauth" Gauge Fleet Count [] &[],
        "Credentials that someone has to renew; jobs that need them are held.";

    OPERATIONS_RUNNING = "windlass_operations_running" Gauge Fleet Count [] &[], "Bulk operations that run.";
    OPERATION_JOBS = "windlass_operation_jobs_total" Counter Process Count [ACTION, OUTCOME] &[],
        "Jobs that bulk operations met, carried on by this process: done, or why they were left.";
    HTTP_REQUESTS = "http_requests_total" Counter Process Count [PATH, METHOD, STATUS] &[],
        "HTTP requests answered.";
    HTTP_DURATION = "http_request_duration_seconds" Histogram Process Seconds [PATH, METHOD] HTTP_SECONDS,
        "Time from the request's head to the response's head, less what the client asked to wait (Prefer: wait).";
    HTTP_PROBLEMS = "windlass_http_problems_total" Counter Process Count [PATH, CODE] &[],
        "HTTP requests that were answered with a problem, by its code.";
    HTTP_CONNECTIONS = "windlass_http_connections" Gauge Process Count [] &[],
        "Open HTTP connections.";
    WEBSOCKETS = "windlass_websockets_open" Gauge Process Count [] &[],
        "Open WebSockets.";

    JOB_WAIT = "windlass_job_wait_seconds" Histogram Process Seconds [QUEUE] WAIT_SECONDS,
        "Time from when a job could first run to its handler's start, for the first attempt that any worker made.";
    JOB_RUN = "windlass_job_run_seconds" Histogram Process Seconds [TYPE] RUN_SECONDS,
        "Run time of one attempt.";
    ATTEMPTS = "windlass_attempts_total" Counter Process Count [TYPE, OUTCOME] &[],
        "Attempts that ended, by how.";
    EFFECTS = "windlass_effects_total" Counter Process Count [TYPE, OUTCOME] &[],
        "Guarded effects, by what came of them: done, not_done, unknown, found, reconciled.";
    UNREADABLE_JOBS = "windlass_unreadable_jobs_total" Counter Process Count [] &[],
        "Claims of a job whose record this process cannot read: a newer version wrote it, or it is damaged.";
    WORKER_SLOTS = "windlass_worker_slots" Gauge Process Count [] &[],
        "Jobs this worker process may run at once.";
    WORKER_BUSY = "windlass_worker_busy" Gauge Process Count [] &[],
        "Jobs this worker process runs now.";
    WORKER_DEAF = "windlass_worker_deaf" Gauge Process Count [] &[],
        "1 while the claim loop of this worker process does not come around, else 0.";

    REDIS_UP = "windlass_redis_up" Gauge Process Count [] &[],
        "1 while this process gets answers from Redis, else 0.";
    REDIS_UNSAFE = "windlass_redis_unsafe" Gauge Process Count [CHECK] &[],
        "1 while this check of the boot guard fails, so that no job is accepted, else 0.";
    REDIS_DEGRADED = "windlass_redis_degraded" Gauge Process Count [CHECK] &[],
        "1 while this check of the boot guard finds a risk that does not stop work, else 0.";
    STATE_LOSSES = "windlass_redis_state_losses_total" Counter Process Count [] &[],
        "Times this process saw that Redis had lost state, all of it or a window, by a changed epoch.";
    REDIS_MEMORY = "windlass_redis_memory_ratio" Gauge Process Count [] &[],
        "Memory used by Redis over its maxmemory, 0 without a maxmemory.";
    REDIS_REPLICAS = "windlass_redis_replicas" Gauge Process Count [] &[],
        "Replicas that are connected and follow; of several shards, the fewest.";
    REDIS_REPLICA_LAG = "windlass_redis_replica_lag_seconds" Gauge Process Seconds [] &[],
        "How long the replica that was silent longest has been; 0 without replicas.";
    REDIS_REPLICA_BEHIND = "windlass_redis_replica_behind_bytes" Gauge Process Bytes [] &[],
        "What the replica that is behind most lacks of the replication stream; 0 without replicas.";
    REDIS_EPOCH = "windlass_redis_epoch" Gauge Process Count [] &[],
        "A number made of the epoch of Redis' state: another number means that state was lost.";
    REDIS_RESENT = "windlass_redis_resent_total" Counter Process Count [] &[],
        "Commands sent again because the first time they were surely not run: an unknown script, a moved shard.";
    REDIS_BREAKS = "windlass_redis_connection_breaks_total" Counter Process Count [] &[],
        "Connections to Redis that broke, were refused or were replaced.";
    REDIS_SCRIPT = "windlass_redis_script_seconds" Histogram Process Seconds [SCRIPT] SCRIPT_SECONDS,
        "Round trip of one script call.";
    LLM_QUERIES = "windlass_llm_queries_total" Counter Process Count [PROVIDER, MODEL, STATUS] &[],
        "Model calls that ended, by how.";
    LLM_DURATION = "windlass_llm_duration_seconds" Histogram Process Seconds [PROVIDER, MODEL] RUN_SECONDS,
        "Time from the sending of a model call to its end.";
    LLM_FIRST_TOKEN = "windlass_llm_first_token_seconds" Histogram Process Seconds [PROVIDER, MODEL] RUN_SECONDS,
        "Time from the sending of a streaming model call to its first text.";
    LLM_TOKENS = "windlass_llm_tokens_total" Counter Process Count [PROVIDER, MODEL, KIND] &[],
        "Tokens of model calls, estimated ones included; cached_input is part of input, reasoning of output.";
    LLM_COST = "windlass_llm_cost_nano_usd_total" Counter Process Count [PROVIDER, MODEL] &[],
        "What model calls cost, in billionths of a US dollar; calls of models without a price are not in it.";
    LLM_DELAY = "windlass_llm_limiter_delay_seconds" Histogram Process Seconds [LIMIT] WAIT_SECONDS,
        "How long model calls were told to wait for a share of the limits, by what was in their way.";
    LLM_BREAKER_OPEN = "windlass_llm_breaker_open" Gauge Fleet Count [PROVIDER, MODEL] &[],
        "1 while too many calls to a configured model failed and it is left alone or tried, else 0.";
    LLM_BUDGET_USED = "windlass_llm_budget_used_ratio" Gauge Fleet Count [PROVIDER, MODEL] &[],
        "What is spent and reserved today, UTC, of a daily budget; an empty model stands for the whole provider.";
    LLM_PROVIDER_UP = "windlass_llm_provider_up" Gauge Fleet Count [PROVIDER] &[],
        "Whether the last probe of the provider found it well; absent before the first.";
    LOG_LINES_DROPPED = "windlass_log_lines_dropped_total" Counter Process Count [] &[],
        "Log lines that could not be written: stdout was not read, or a file in LOG_DIR took no more.";
    BUILD_INFO = "windlass_build_info" Gauge Process Count [VERSION] &[],
        "Always 1; the label tells the version.";
}

/// Describes every [`Source::Process`] family to the installed recorder. The fleet's families carry
/// their help from [`render_family`]. A metric is never given a unit suffix by the exporter: the
/// names above already have it.
pub fn describe() {
    for metric in CATALOGUE.iter().filter(|m| m.source == Source::Process) {
        match metric.kind {
            Kind::Counter => ::metrics::describe_counter!(metric.name, metric.unit, metric.help),
            Kind::Gauge => ::metrics::describe_gauge!(metric.name, metric.unit, metric.help),
            Kind::Histogram => ::metrics::describe_histogram!(metric.name, metric.unit, metric.help),
        }
    }
}

/// The histograms with their buckets, for the exporter's configuration.
pub fn histograms() -> impl Iterator<Item = (&'static str, &'static [f64])> {
    CATALOGUE.iter().filter(|m| m.kind == Kind::Histogram).map(|m| (m.name, m.buckets))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_well_formed() {
        let mut seen = BTreeSet::new();
        for m in CATALOGUE {
            assert!(seen.insert(m.name), "{} stands twice", m.name);
            assert!(m.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", m.name);
            assert!(m.help.ends_with('.') && !m.help.contains('\n'), "{}", m.name);
            let total = m.name.ends_with("_total");
            // The one gauge with a counter's suffix keeps the name that its users already have.
            assert!(total == (m.kind == Kind::Counter) || m.name == QUEUE_DEPTH.name, "{}", m.name);
        }
    }

    #[test]
    fn only_histograms_have_buckets_and_these_ascend() {
        for m in CATALOGUE {
            assert_eq!(m.kind == Kind::Histogram, !m.buckets.is_empty(), "{}", m.name);
            assert!(m.buckets.windows(2).all(|w| w[0] < w[1]), "{}", m.name);
            assert!(m.kind != Kind::Histogram || m.source == Source::Process, "{}", m.name);
        }
        assert!(HTTP_SECONDS.contains(&0.2) && HTTP_SECONDS.contains(&3.0));
        assert_eq!(histograms().count(), 7);
    }
}
