//! How long a job of an idle queue takes to reach a handler, in enqueue round trips.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use windlass::clock::{self, Instant};
use windlass::domain::{JobType, LeaseTiming, QueueName, RawJson, RetryPolicy};
use windlass::engine::{
    AllowList, Executor, JobContext, JobFuture, Registry, Tracer, TypeInfo, Worker, WorkerOptions, tasks,
};
use windlass::store::Store;

use crate::jobs::{PAYLOAD, fresh_id, spec};
use crate::redis::Redis;
use crate::table::{Table, median};

/// Says when its handler began.
struct Stamp {
    info: TypeInfo,
    began: mpsc::UnboundedSender<Instant>,
}

impl Executor for Stamp {
    fn info(&self) -> &TypeInfo {
        &self.info
    }

    fn run(&self, _: JobContext) -> JobFuture<'_> {
        let _ = self.began.send(clock::now());
        Box::pin(async { Ok(RawJson::from_compact("1")) })
    }
}

fn registry(began: mpsc::UnboundedSender<Instant>) -> Registry {
    let info = TypeInfo {
        name: JobType::new("echo").expect("a name"),
        summary: String::new(),
        input_schema: serde_json::json!({}),
        retry: RetryPolicy::default(),
        timeout: Duration::from_secs(60),
        is_action: false,
        effect: windlass::domain::EffectClass::Repeatable,
    };
    let mut registry = Registry::new(AllowList::default());
    registry.register(Arc::new(Stamp { info, began })).expect("one type");
    registry
}

/// Goal 3: enqueue → handler start on an idle queue, and the round trip of an enqueue to a queue
/// that no worker serves, in turn.
pub(crate) async fn idle(table: &mut Table, jobs: usize) {
    let redis = Redis::start();
    let (store, worker_store) = (redis.store(|_| {}).await, redis.store(|o| o.pool_size = 4).await);
    let (sender, mut began) = mpsc::unbounded_channel();
    let options = WorkerOptions {
        queues: vec![(QueueName::default_queue(), 1)],
        slots: 8,
        timing: LeaseTiming::default(),
        drain_grace: Duration::from_secs(1),
        host: "bench".into(),
        version: "0",
        probes: None,
        rules: None,
        checks: None,
        policies: None,
        tracer: Tracer::default(),
    };
    let worker = Worker::new(worker_store, Arc::new(registry(sender)), options);
    let shutdown = CancellationToken::new();
    let running = tasks::spawn("worker", worker.run(shutdown.clone()));
    let aside = QueueName::new("aside").expect("a name");
    let (mut starts, mut trips) = (Vec::new(), Vec::new());
    for n in 0..jobs + 20 {
        let (sent, _) = enqueue(&store, &QueueName::default_queue(), n).await;
        let started = began.recv().await.expect("the worker lives");
        tokio::time::sleep(Duration::from_millis(5)).await;
        let (begun, ended) = enqueue(&store, &aside, n).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        if n >= 20 {
            starts.push((started - sent).as_secs_f64() * 1e6);
            trips.push((ended - begun).as_secs_f64() * 1e6);
        }
    }
    shutdown.cancel();
    running.await.expect("no panic").expect("a clean stop");
    let (start, trip) = (median(&mut starts), median(&mut trips));
    let detail = format!("p50 {start:.0} µs of {trip:.0} µs");
    table.row("idle queue, enqueue to handler start", &format!("{:.2} round trips", start / trip), "≤ 1.7", &detail);
    // `median` sorted them.
    let (start, trip) = (starts[starts.len() * 99 / 100], trips[trips.len() * 99 / 100]);
    let detail = format!("{start:.0} µs of {trip:.0} µs");
    table.row("the same, p99 to p99", &format!("{:.2} ×", start / trip), "≤ 3 ×", &detail);
}

async fn enqueue(store: &Store, queue: &QueueName, n: usize) -> (Instant, Instant) {
    let mut spec = spec(queue.as_str(), n, "echo", PAYLOAD);
    spec.queue = queue.clone();
    let items = [(fresh_id(store), spec)];
    let begun = clock::now();
    store.enqueue(queue, &items).await.expect("the job is accepted");
    (begun, clock::now())
}
