//! Windlass behind the same line protocol as its peers: the library, as an application embeds it.

use std::future::Future;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use windlass::clock::{self, Instant};
use windlass::domain::{JobId, JobSpec, JobType, Priority, QueueName, RawJson, RequestId, Workspace};
use windlass::engine::{AllowList, Guard, Registry, Submitter, TypeInfo, Worker, WorkerOptions, from_fn, tasks};
use windlass::store::{Store, StoreOptions};

use crate::order::Order;

/// The input of a job, which the handlers of all systems decode.
#[derive(Serialize, Deserialize)]
struct Input {
    messages: Vec<Message>,
}

#[derive(Serialize, Deserialize)]
struct Message {
    role: String,
    content: String,
}

/// JSON of so many bytes.
fn input(bytes: usize) -> RawJson {
    let with = |content| {
        let messages = vec![Message { role: "user".into(), content }];
        serde_json::to_string(&Input { messages }).expect("JSON")
    };
    let frame = with(String::new()).len();
    RawJson::from_compact(with("0123456789".chars().cycle().take(bytes.saturating_sub(frame)).collect()))
}

/// Makes jobs, each with a request id of its own.
struct Jobs {
    store: Store,
    series: u32,
    made: AtomicUsize,
    workspaces: usize,
    input: RawJson,
}

impl Jobs {
    fn next(&self, queue: &QueueName) -> JobSpec {
        let n = self.made.fetch_add(1, Ordering::Relaxed);
        // As if by chance, so that workspaces do not take turns.
        let workspace = (n.wrapping_mul(2_654_435_761) >> 8) % self.workspaces;
        JobSpec {
            workspace: Workspace::new(&format!("ws-{workspace:04}")).expect("a name"),
            request_id: RequestId::new(&format!("{:08x}-{n:017}", self.series)).expect("an id"),
            job_type: JobType::new("echo").expect("a name"),
            queue: queue.clone(),
            priority: Priority::Normal,
            run_at: None,
            expires_at: None,
            timeout: Duration::from_secs(60),
            max_attempts: 3,
            callback_url: None,
            requester: None,
            origin: None,
            metadata: RawJson::from_compact("{}"),
            input: self.input.clone(),
            // As long as the ones that the API makes.
            fingerprint: format!("{n:011x}"),
        }
    }

    fn with_id(&self, queue: &QueueName) -> (JobId, JobSpec) {
        let now = u64::try_from(self.store.now_estimate().unix_ms()).unwrap_or_default();
        (JobId::new(now, 0), self.next(queue))
    }
}

async fn store(order: &Order) -> Store {
    let options = StoreOptions { max_depth: 10_000_000, ..StoreOptions::new(&order.url) };
    let store = Store::connect(options).await.expect("a usable URL");
    store.wait_connected(Duration::from_secs(20)).await.expect("redis-server answers");
    store
}

/// Runs in a child process: `mode` is enqueue, work or latency.
pub(crate) async fn run(mode: &str, order: Order) {
    let store = store(&order).await;
    let (workspaces, input) = (order.workspaces.max(1), input(order.bytes));
    let jobs = Jobs { store: store.clone(), series: rand::random(), made: AtomicUsize::new(0), workspaces, input };
    match mode {
        "enqueue" => enqueue(&order, jobs).await,
        "work" => {
            ready();
            work(order.slots, store, None).await;
        }
        "latency" => latency(&order, jobs).await,
        other => eprintln!("unknown mode {other}"),
    }
}

/// Says that everything is set up, and waits for the word.
fn ready() {
    say(&serde_json::json!({"ready": true}));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).expect("a word");
}

fn say(value: &serde_json::Value) {
    println!("{value}");
    std::io::stdout().flush().expect("someone reads");
}

async fn enqueue(order: &Order, jobs: Jobs) {
    let shutdown = CancellationToken::new();
    let guard = Guard::start(jobs.store.clone(), shutdown.clone());
    guard.first_look().await;
    let submitter = Submitter::start(jobs.store.clone(), guard, shutdown);
    let queue = QueueName::default_queue();
    let (jobs, taken) = (Arc::new(jobs), Arc::new(AtomicUsize::new(0)));
    ready();
    let started = clock::now();
    let calls: Vec<_> = (0..order.in_flight)
        .map(|_| {
            let (order, submitter, queue, jobs, taken) =
                (order.clone(), submitter.clone(), queue.clone(), Arc::clone(&jobs), Arc::clone(&taken));
            tasks::spawn("load", async move {
                let mut sent = 0;
                while order.seconds == 0.0 || started.elapsed().as_secs_f64() < order.seconds {
                    let from = taken.fetch_add(order.batch, Ordering::Relaxed);
                    let limit = if order.jobs == 0 { usize::MAX } else { order.jobs };
                    let now = order.batch.min(limit.saturating_sub(from));
                    if now == 0 {
                        break;
                    }
                    if now == 1 {
                        submitter.submit(jobs.next(&queue)).await.expect("the job is accepted");
                    } else {
                        let items: Vec<_> = (0..now).map(|_| jobs.with_id(&queue)).collect();
                        jobs.store.enqueue(&queue, &items).await.expect("the jobs are accepted");
                    }
                    sent += now;
                }
                sent
            })
        })
        .collect();
    let mut sent = 0;
    for call in calls {
        sent += call.await.expect("no panic");
    }
    say(&serde_json::json!({"jobs": sent, "seconds": started.elapsed().as_secs_f64()}));
}

/// A worker whose handler decodes its input, and says when it began to `began`.
fn work(slots: usize, store: Store, began: Option<mpsc::UnboundedSender<Instant>>) -> impl Future<Output = ()> {
    let info = TypeInfo::new(JobType::new("echo").expect("a name"), "Nothing.");
    let handler = move |context: windlass::engine::JobContext| {
        if let Some(began) = &began {
            let _ = began.send(clock::now());
        }
        async move {
            let input: Input = context.input()?;
            Ok(RawJson::from_compact(if input.messages.is_empty() { "false" } else { "true" }))
        }
    };
    let mut registry = Registry::new(AllowList::default());
    registry.register(from_fn(info, handler)).expect("one type");
    let options = WorkerOptions { slots, ..WorkerOptions::default() };
    let worker = Worker::new(store, Arc::new(registry), options);
    async move { worker.run(CancellationToken::new()).await.expect("the worker runs") }
}

async fn latency(order: &Order, jobs: Jobs) {
    const WARM: usize = 20;
    let (sender, mut began) = mpsc::unbounded_channel();
    let worker_store = store(order).await;
    let _running = tasks::spawn("worker", work(order.slots, worker_store, Some(sender)));
    let shutdown = CancellationToken::new();
    let guard = Guard::start(jobs.store.clone(), shutdown.clone());
    guard.first_look().await;
    let submitter = Submitter::start(jobs.store.clone(), guard, shutdown);
    let (served, aside) = (QueueName::default_queue(), QueueName::new("aside").expect("a name"));
    ready();
    let (mut starts, mut trips) = (Vec::new(), Vec::new());
    for n in 0..order.jobs + WARM {
        let sent = clock::now();
        submitter.submit(jobs.next(&served)).await.expect("the job is accepted");
        let start = began.recv().await.expect("the worker lives");
        tokio::time::sleep(Duration::from_millis(5)).await;
        let begun = clock::now();
        submitter.submit(jobs.next(&aside)).await.expect("the job is accepted");
        let trip = begun.elapsed();
        tokio::time::sleep(Duration::from_millis(1)).await;
        if n >= WARM {
            starts.push((start - sent).as_secs_f64() * 1e6);
            trips.push(trip.as_secs_f64() * 1e6);
        }
    }
    say(&serde_json::json!({"starts": starts, "trips": trips}));
}

/// Enqueues `jobs` that sleep, 100 a call.
pub(crate) async fn sleepers(url: &str, count: usize, length: Duration) {
    let order = Order { url: url.to_owned(), ..Order::default() };
    let (store, input) = (store(&order).await, RawJson::from_compact(format!("{{\"ms\":{}}}", length.as_millis())));
    let jobs = Jobs { store: store.clone(), series: 0, made: AtomicUsize::new(0), workspaces: 1, input };
    let queue = QueueName::default_queue();
    for _ in 0..count.div_ceil(100) {
        let mut items: Vec<_> = (0..100).map(|_| jobs.with_id(&queue)).collect();
        items.iter_mut().for_each(|(_, spec)| spec.job_type = JobType::new("sleep").expect("a name"));
        store.enqueue(&queue, &items).await.expect("the jobs are accepted");
    }
}
