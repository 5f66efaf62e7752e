//! What this server measures of itself, and what it reports of the fleet.
//!
//! The fleet's families come from Redis on every scrape and are written by hand, so that they are
//! there with no worker alive, and so that a counter that went backwards (Redis restored or failed
//! over) is seen as a reset. While Redis is away the last known values are repeated for a minute
//! ([`LastReading`]), so that a failover does not make alerts flap; after that the series end, which
//! is what an alert on absence is for.

use std::time::Duration;

use crate::domain::WorkerState;
use crate::metrics as catalogue;
use crate::metrics::{Metric, Sample, render_family};
use crate::store::{QueueSummary, Shards, StoreError, WorkerSummary};

use super::last_reading::LastReading;

/// Scrapes closer together than this share one reading.
const FRESH: Duration = Duration::from_millis(500);

/// Below the usual scrape timeout of five seconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// One reading of the fleet.
struct Reading {
    queues: Vec<QueueSummary>,
    workers: Vec<WorkerSummary>,
    /// How many credentials need someone.
    doubtful: u64,
    /// How many bulk operations run.
    operations: usize,
}

/// The last reading of the fleet.
pub(super) struct Fleet {
    store: Shards,
    last: LastReading<Reading>,
}

impl Fleet {
    pub(super) fn new(store: Shards) -> Self {
        Self { store, last: LastReading::default() }
    }

    /// Appends the fleet's families to `out`.
    pub(super) async fn render(&self, out: &mut String) {
        let show = |last: Option<&Reading>| {
            render_queues(out, last.map_or(&[], |reading| reading.queues.as_slice()));
            render_workers(out, last.map_or((&[], &[]), |reading| (&reading.queues, &reading.workers)));
            render_credentials(out, last.map(|reading| reading.doubtful));
            render_operations(out, last.map(|reading| reading.operations));
        };
        self.last.show((FRESH, PATIENCE), Box::pin(self.read()), show).await;
    }

    async fn read(&self) -> Result<Reading, StoreError> {
        let credentials = self.store.credentials();
        let (queues, workers, doubtful, operations) = tokio::try_join!(
            self.store.queues(),
            self.store.workers(),
            credentials.credentials_needing_reauth(),
            self.store.first().running_operations(),
        )?;
        Ok(Reading { queues, workers, doubtful, operations: operations.len() })
    }
}

/// Records one answered request. `path` is a route template: labels never hold what clients send.
pub(super) fn record_request(path: &str, method: &http::Method, status: u16, took: Duration) {
    let method = match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH" | "OPTIONS") => known.to_owned(),
        _ => "OTHER".to_owned(),
    };
    let path = path.to_owned();
    ::metrics::counter!(
        catalogue::HTTP_REQUESTS.name,
        "path" => path.clone(), "method" => method.clone(), "status" => status.to_string()
    )
    .increment(1);
    ::metrics::histogram!(catalogue::HTTP_DURATION.name, "path" => path, "method" => method).record(took.as_secs_f64());
}

/// Records that a request was answered with a problem.
pub(super) fn record_problem(path: &str, code: &str) {
    let path = path.to_owned();
    ::metrics::counter!(catalogue::HTTP_PROBLEMS.name, "path" => path, "code" => code.to_owned()).increment(1);
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a double; counts stay below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

fn render_queues(out: &mut String, queues: &[QueueSummary]) {
    let mut family = |metric: &Metric, value: &dyn Fn(&QueueSummary) -> f64| {
        let samples: Vec<Sample<'_>> = queues.iter().map(|q| (vec![("queue", q.name.as_str())], value(q))).collect();
        render_family(out, metric, &samples);
    };
    family(&catalogue::QUEUE_DEPTH, &|q| number(q.depth));
    family(&catalogue::QUEUE_ENQUEUED, &|q| number(q.enqueued_total));
    family(&catalogue::QUEUE_DEQUEUED, &|q| number(q.dequeued_total));
    family(&catalogue::QUEUE_WORKERS, &|q| number(q.workers));
    family(&catalogue::LEASE_EXPIRIES, &|q| number(q.lease_expiries_total));
    family(&catalogue::OUTCOME_UNKNOWN, &|q| number(q.outcome_unknown_total));
    family(&catalogue::OLDEST_PENDING, &|q| q.oldest_pending.unwrap_or_default().as_secs_f64());
    family(&catalogue::QUEUE_PAUSED, &|q| f64::from(u8::from(q.paused.is_some())));
    family(&catalogue::QUEUE_DRAINING, &|q| f64::from(u8::from(q.draining.is_some())));
    let mut jobs: Vec<Sample<'_>> = Vec::new();
    let mut finished: Vec<Sample<'_>> = Vec::new();
    let mut held: Vec<Sample<'_>> = Vec::new();
    for q in queues {
        let states = [
            ("scheduled", q.scheduled),
            ("running", q.running),
            ("held", q.held),
            ("dead", q.dead),
            ("parked", q.parked),
            ("paused", q.behind_pause),
        ];
        let labels = |state| vec![("queue", q.name.as_str()), ("state", state)];
        jobs.extend(states.map(|(state, count)| (labels(state), number(count))));
        let why = |reason| vec![("queue", q.name.as_str()), ("reason", reason)];
        held.extend(q.held_by.iter().map(|(reason, count)| (why(reason), number(*count))));
        for state in ["succeeded", "dead", "cancelled", "expired"] {
            let count = q.finished_total.get(state).copied().unwrap_or(0);
            finished.push((labels(state), number(count)));
        }
    }
    render_family(out, &catalogue::JOBS, &jobs);
    render_family(out, &catalogue::JOBS_FINISHED, &finished);
    render_family(out, &catalogue::HELD_JOBS, &held);
}

/// A queue without any worker has both at 0; a worker may serve several queues.
fn render_workers(out: &mut String, (queues, workers): (&[QueueSummary], &[WorkerSummary])) {
    let mut family = |metric: &Metric, counts: &dyn Fn(&WorkerSummary) -> bool| {
        let serve = |queue: &QueueSummary| {
            let serves = |worker: &&WorkerSummary| worker.queues.iter().any(|(name, _)| name == queue.name.as_str());
            workers.iter().filter(serves).filter(|worker| counts(worker)).count()
        };
        let samples: Vec<Sample<'_>> =
            queues.iter().map(|q| (vec![("queue", q.name.as_str())], number(serve(q) as u64))).collect();
        render_family(out, metric, &samples);
    };
    family(&catalogue::WORKERS_CLAIMING, &|worker| worker.state() == WorkerState::Active);
    family(&catalogue::WORKERS_DEAF, &|worker| worker.state() == WorkerState::Deaf);
}

fn render_credentials(out: &mut String, doubtful: Option<u64>) {
    let samples: Vec<Sample<'_>> = doubtful.iter().map(|count| (Vec::new(), number(*count))).collect();
    render_family(out, &catalogue::CREDENTIALS_NEEDING_REAUTH, &samples);
}

fn render_operations(out: &mut String, running: Option<usize>) {
    let sample = running.map(|count| (Vec::new(), number(count as u64)));
    render_family(out, &catalogue::OPERATIONS_RUNNING, sample.as_slice());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::QueueName;

    fn queue(depth: u64) -> QueueSummary {
        QueueSummary {
            name: QueueName::default_queue(),
            depth,
            parked: 1,
            scheduled: 2,
            due: 0,
            running: 3,
            orphaned: 0,
            held: 4,
            held_by: [("approval", 4), ("outcome_unknown", 0)].into(),
            outcome_unknown_total: 2,
            dead: 5,
            workers: 0,
            enqueued_total: 1_000_001,
            dequeued_total: 0,
            lease_expiries_total: 0,
            finished_total: std::collections::BTreeMap::new(),
            oldest_pending: None,
            paused: None,
            draining: None,
            wait_for_worker: 0,
            behind_pause: 1,
            paused_parts: Vec::new(),
            read_at: crate::domain::Timestamp::from_unix_ms(0),
        }
    }

    #[test]
    fn every_queue_has_every_series_even_at_zero() {
        let mut out = String::new();
        render_queues(&mut out, &[queue(7)]);
        for line in [
            "ai_queue_depth_total{queue=\"default\"} 7",
            "ai_queue_enqueue_total{queue=\"default\"} 1000001",
            "ai_queue_dequeue_total{queue=\"default\"} 0",
            "ai_queue_workers{queue=\"default\"} 0",
            "windlass_jobs{queue=\"default\",state=\"parked\"} 1",
            "windlass_jobs{queue=\"default\",state=\"paused\"} 1",
            "windlass_jobs_finished_total{queue=\"default\",state=\"expired\"} 0",
            "windlass_queue_paused{queue=\"default\"} 0",
            "windlass_held_jobs{queue=\"default\",reason=\"outcome_unknown\"} 0",
            "windlass_outcome_unknown_total{queue=\"default\"} 2",
        ] {
            assert!(out.lines().any(|l| l == line), "{line} is missing in:\n{out}");
        }
    }

    fn worker(status: &str, queue: &str) -> WorkerSummary {
        WorkerSummary {
            id: crate::domain::WorkerId::fresh(),
            host: String::new(),
            pid: 1,
            version: String::new(),
            queues: vec![(queue.to_owned(), 1)],
            types: Vec::new(),
            slots: 1,
            busy: 0,
            status: status.to_owned(),
            hears: true,
            claims: status == "running",
            told_by: String::new(),
            started_at: crate::domain::Timestamp::from_unix_ms(0),
            seen_at: crate::domain::Timestamp::from_unix_ms(0),
        }
    }

    #[test]
    fn deaf_workers_and_those_that_stop_claim_nothing() {
        let mut out = String::new();
        let workers = [
            worker("running", "default"),
            worker("deaf", "default"),
            worker("draining", "default"),
            worker("running", "elsewhere"),
        ];
        render_workers(&mut out, (&[queue(0)], &workers));
        let series: Vec<&str> = out.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = ["windlass_workers_claiming{queue=\"default\"} 1", "windlass_workers_deaf{queue=\"default\"} 1"];
        assert_eq!(series, expected);
    }

    #[test]
    fn every_fleet_family_of_the_catalogue_is_rendered() {
        let mut out = String::new();
        render_queues(&mut out, &[]);
        render_workers(&mut out, (&[], &[]));
        super::super::standing::render_nothing(&mut out);
        render_credentials(&mut out, Some(0));
        assert!(out.lines().any(|line| line == "windlass_credentials_needing_reauth 0"), "{out}");
        render_operations(&mut out, Some(2));
        assert!(out.lines().any(|line| line == "windlass_operations_running 2"), "{out}");
        super::super::probes::render(&mut out, &[]);
        for metric in catalogue::CATALOGUE.iter().filter(|m| m.source == catalogue::Source::Fleet) {
            assert!(out.contains(&format!("# TYPE {} ", metric.name)), "{}", metric.name);
        }
    }
}
