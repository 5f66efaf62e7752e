//! apalis-redis and rusty-sidekiq behind the line protocol of `make bench-peers`:
//! `peer <apalis|sidekiq> <enqueue|work|latency> <JSON>`; the bench's README has the protocol.

mod apalis_redis_peer;
mod sidekiq_peer;

use std::future::Future;
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What to do; the same for every system.
#[derive(Clone, Deserialize)]
pub struct Order {
    pub url: String,
    /// Stop after so many jobs, when not 0.
    pub jobs: usize,
    /// Stop after so long, when not 0.
    pub seconds: f64,
    /// Enqueue calls at once.
    pub in_flight: usize,
    /// Jobs a call.
    pub batch: usize,
    /// Bytes of a payload.
    pub bytes: usize,
    /// Jobs at once in a worker.
    pub slots: usize,
    /// Connections of a pool, where there is one.
    pub connections: usize,
    /// Whether apalis takes a lock for each job.
    pub lock: bool,
}

/// The input of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Input {
    pub messages: Vec<Message>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    pub role: String,
    pub content: String,
}

impl Input {
    /// One that is `bytes` long as JSON.
    pub fn of(bytes: usize) -> Self {
        let with = |content| Self { messages: vec![Message { role: "user".into(), content }] };
        let frame = serde_json::to_string(&with(String::new())).expect("JSON").len();
        with("0123456789".chars().cycle().take(bytes.saturating_sub(frame)).collect())
    }
}

/// As Windlass has it beside which these are measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let order: Order = serde_json::from_str(&arguments[3]).expect("an order");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mode = arguments[2].as_str();
    match arguments[1].as_str() {
        "apalis" => runtime.block_on(apalis_redis_peer::run(mode, order)),
        "sidekiq" => runtime.block_on(sidekiq_peer::run(mode, order)),
        other => panic!("unknown system {other}"),
    }
    // At once: a worker may still run on a thread of its own.
    std::process::exit(0);
}

/// Says that everything is set up, and waits for the word.
pub fn ready() {
    say(serde_json::json!({"ready": true}));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).expect("a word");
}

pub fn say(value: serde_json::Value) {
    println!("{value}");
    std::io::stdout().flush().expect("someone reads");
}

/// Repeats `call`, which enqueues a number of jobs, from so many tasks as are to be in flight, and
/// says how many jobs in how long.
pub async fn enqueue<F, R>(order: &Order, call: F)
where
    F: Fn(usize) -> R + Send + Sync + Clone + 'static,
    R: Future<Output = ()> + Send,
{
    let started = Instant::now();
    let taken = std::sync::Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..order.in_flight)
        .map(|_| {
            let (order, call, taken) = (order.clone(), call.clone(), taken.clone());
            tokio::spawn(async move {
                let mut sent = 0;
                while order.seconds == 0.0 || started.elapsed().as_secs_f64() < order.seconds {
                    let from = taken.fetch_add(order.batch, Ordering::Relaxed);
                    let limit = if order.jobs == 0 { usize::MAX } else { order.jobs };
                    let now = order.batch.min(limit.saturating_sub(from));
                    if now == 0 {
                        break;
                    }
                    call(now).await;
                    sent += now;
                }
                sent
            })
        })
        .collect();
    let mut sent = 0;
    for task in tasks {
        sent += task.await.expect("no panic");
    }
    say(serde_json::json!({"jobs": sent, "seconds": started.elapsed().as_secs_f64()}));
}

/// Enqueues one job at a time to an idle worker and to a queue without one, in turn; microseconds
/// until the handler began, and of the enqueue alone.
pub async fn latency<A, B, RA, RB>(
    order: &Order,
    mut began: tokio::sync::mpsc::UnboundedReceiver<Instant>,
    serve: A,
    aside: B,
) where
    A: Fn() -> RA,
    B: Fn() -> RB,
    RA: Future<Output = ()>,
    RB: Future<Output = ()>,
{
    const WARM: usize = 20;
    let (mut starts, mut trips) = (Vec::new(), Vec::new());
    for n in 0..order.jobs + WARM {
        let sent = Instant::now();
        serve().await;
        let start = began.recv().await.expect("the worker lives");
        tokio::time::sleep(Duration::from_millis(5)).await;
        let begun = Instant::now();
        aside().await;
        let trip = begun.elapsed();
        tokio::time::sleep(Duration::from_millis(1)).await;
        if n >= WARM {
            starts.push((start - sent).as_secs_f64() * 1e6);
            trips.push(trip.as_secs_f64() * 1e6);
        }
    }
    say(serde_json::json!({"starts": starts, "trips": trips}));
}
