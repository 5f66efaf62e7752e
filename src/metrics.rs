//! The one catalogue of metrics: name, kind, unit, labels, buckets and help of every family.
//!
//! Alerts, dashboards and the runbook are checked against it, so a name is written down here or it
//! does not exist. No label takes a value that a client can invent without bound: `queue` and
//! `type` are names of things that exist, `path` is a route template.
//!
//! Two sources, because a counter that lives in a worker dies with it, and a rule over it would be
//! silent exactly when every worker is dead:
//! - [`Source::Fleet`]: read from Redis and written by [`render_family`] in every API process. Each
//!   replica shows the same value, so rules use `max by (queue)` and never `sum`. Rendered by hand
//!   because a counter must be allowed to go backwards (Redis restored or failed over): Prometheus
//!   reads that as a reset, whereas the recorder's `Counter::absolute` keeps the maximum and would
//!   freeze the series.
//! - [`Source::Process`]: what this process did, through the `metrics` recorder.

use std::fmt::Write;

use ::metrics::Unit;

/// Label keys.
pub mod label {
    /// A queue's name.
    pub const QUEUE: &str = "queue";
    /// A registered job type's name.
    pub const TYPE: &str = "type";
    /// A state of jobs: `scheduled`, `running`, `held`, `dead`, `parked`, or a terminal one.
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
    /// A kind of tokens: `input`, `cached_input` (a part of it), `output`, `reasoning` (a part of it).
    pub const KIND: &str = "kind";
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
    JOBS = "windlass_jobs" Gauge Fleet Count [QUEUE, STATE] &[],
        "Jobs by state; state=\"parked\" counts those in line behind a cap or a pause.";
    JOBS_FINISHED = "windlass_jobs_finished_total" Counter Fleet Count [QUEUE, STATE] &[],
        "Jobs that reached a terminal state since the queue exists.";
    HELD_JOBS = "windlass_held_jobs" Gauge Fleet Count [QUEUE, REASON] &[],
        "Jobs that wait for a decision, by what it is about.";
    OUTCOME_UNKNOWN = "windlass_outcome_unknown_total" Counter Fleet Count [QUEUE] &[],
        "Jobs that were held because nobody could tell whether an effect happened.";
    OLDEST_PENDING = "windlass_oldest_pending_seconds" Gauge Fleet Seconds [QUEUE] &[],
        "Age of the job that is next in line, 0 for an empty line.";
    LEASE_EXPIRIES = "windlass_lease_expiries_total" Counter Fleet Count [QUEUE] &[],
        "Leases that ran out because their worker stopped renewing.";
    QUEUE_PAUSED = "windlass_queue_paused" Gauge Fleet Count [QUEUE] &[],
        "1 while the whole queue is paused, else 0.";
    QUEUE_DRAINING = "windlass_queue_draining" Gauge Fleet Count [QUEUE] &[],
        "1 while the queue takes no new jobs, else 0.";

    CREDENTIALS_NEEDING_REAUTH = "windlass_credentials_needing_reauth" Gauge Fleet Count [] &[],
        "Credentials that someone has to renew; jobs that need them are held.";

    HTTP_REQUESTS = "http_requests_total" Counter Process Count [PATH, METHOD, STATUS] &[],
        "HTTP requests answered.";
    HTTP_DURATION = "http_request_duration_seconds" Histogram Process Seconds [PATH] HTTP_SECONDS,
        "Time from the request's head to the response's head.";
    HTTP_CONNECTIONS = "windlass_http_connections" Gauge Process Count [] &[],
        "Open HTTP connections.";
    WEBSOCKETS = "windlass_websockets_open" Gauge Process Count [] &[],
        "Open WebSockets.";

    JOB_WAIT = "windlass_job_wait_seconds" Histogram Process Seconds [QUEUE] WAIT_SECONDS,
        "Time from when a job could first run to its handler's start, for first attempts.";
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

/// One series of a family: its label pairs and its value.
pub type Sample<'a> = (Vec<(&'a str, &'a str)>, f64);

/// Appends a counter or gauge family in the Prometheus text format 0.0.4 to `out`, `# HELP` and
/// `# TYPE` included even without samples. Label values may be any text.
pub fn render_family(out: &mut String, metric: &Metric, samples: &[Sample<'_>]) {
    debug_assert_ne!(metric.kind, Kind::Histogram, "histograms come from the recorder");
    out.push_str("# HELP ");
    out.push_str(metric.name);
    out.push(' ');
    push_escaped(out, metric.help, false);
    out.push_str("\n# TYPE ");
    out.push_str(metric.name);
    out.push(' ');
    out.push_str(metric.kind.as_str());
    out.push('\n');
    for (labels, value) in samples {
        out.push_str(metric.name);
        for (index, (key, text)) in labels.iter().enumerate() {
            out.push(if index == 0 { '{' } else { ',' });
            out.push_str(key);
            out.push_str("=\"");
            push_escaped(out, text, true);
            out.push('"');
        }
        if !labels.is_empty() {
            out.push('}');
        }
        out.push(' ');
        push_value(out, *value);
        out.push('\n');
    }
}

/// Backslash and newline are escaped everywhere, the double quote in label values only.
fn push_escaped(out: &mut String, text: &str, quoted: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quoted => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

fn push_value(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        // Writing to a `String` cannot fail.
        let _ = write!(out, "{value}");
    }
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
        assert_eq!(histograms().count(), 6);
    }

    #[test]
    fn a_family_has_help_type_and_one_line_per_sample() {
        let mut out = String::new();
        let samples = [(vec![("queue", "a"), ("state", "held")], 3.0), (vec![("queue", "b"), ("state", "dead")], 0.5)];
        render_family(&mut out, &JOBS, &samples);
        assert_eq!(
            out,
            "# HELP windlass_jobs Jobs by state; state=\"parked\" counts those in line behind a cap or a pause.\n\
             # TYPE windlass_jobs gauge\n\
             windlass_jobs{queue=\"a\",state=\"held\"} 3\n\
             windlass_jobs{queue=\"b\",state=\"dead\"} 0.5\n"
        );
    }

    #[test]
    fn a_family_without_labels_has_no_braces_and_an_empty_one_keeps_its_head() {
        let mut out = String::new();
        render_family(&mut out, &REDIS_UP, &[(vec![], 1.0)]);
        assert!(out.ends_with("\nwindlass_redis_up 1\n"), "{out}");
        out.clear();
        render_family(&mut out, &QUEUE_ENQUEUED, &[]);
        assert_eq!(out.lines().count(), 2);
        assert!(out.ends_with("# TYPE ai_queue_enqueue_total counter\n"), "{out}");
    }

    #[test]
    fn label_values_cannot_break_out_of_their_quotes() {
        let mut out = String::new();
        render_family(&mut out, &QUEUE_DEPTH, &[(vec![("queue", "a\"} 9\n# x\\")], 1.0)]);
        assert!(out.ends_with("ai_queue_depth_total{queue=\"a\\\"} 9\\n# x\\\\\"} 1\n"), "{out}");
        assert_eq!(out.lines().count(), 3);
    }

    #[test]
    fn help_escapes_backslash_and_newline_but_not_quotes() {
        let mut out = String::new();
        let metric = Metric { help: "a \"b\" \\ c\nd", ..QUEUE_DEPTH };
        render_family(&mut out, &metric, &[]);
        assert!(out.starts_with("# HELP ai_queue_depth_total a \"b\" \\\\ c\\nd\n"), "{out}");
    }

    #[test]
    fn values_are_written_in_full_and_special_ones_in_the_formats_words() {
        for (value, text) in [
            (0.0, "0"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            let mut out = String::new();
            push_value(&mut out, value);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn a_counter_that_went_backwards_is_shown_as_it_is() {
        let mut out = String::new();
        for value in [100.0, 3.0] {
            out.clear();
            render_family(&mut out, &QUEUE_DEQUEUED, &[(vec![("queue", "default")], value)]);
        }
        assert!(out.ends_with(" 3\n"), "{out}");
    }
}
