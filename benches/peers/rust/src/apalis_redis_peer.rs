//! apalis-redis.

use std::sync::OnceLock;
use std::task::Poll;
use std::time::{Duration, Instant};

use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::MissedTickBehavior;

use crate::{Input, Order};

/// Set when someone wants to know when a handler began.
static BEGAN: OnceLock<UnboundedSender<Instant>> = OnceLock::new();

/// Between two looks of an idle worker: jobs pushed to be run now are put into the set of scheduled
/// ones, for which nobody is woken.
const POLL: Duration = Duration::from_millis(1);

async fn handle(_: Input) -> Result<(), BoxDynError> {
    if let Some(began) = BEGAN.get() {
        let _ = began.send(Instant::now());
    }
    Ok(())
}

async fn storage(order: &Order, queue: &str) -> RedisStorage<Input> {
    let connection = apalis_redis::connect(order.url.as_str()).await.expect("Redis answers");
    let config = Config::default().queue(queue).batch_size(order.slots).lock_tasks(order.lock);
    RedisStorage::new(connection).with_config(config)
}

async fn work(order: Order) {
    let name = format!("bench-{}", std::process::id());
    // Its own interval strategy sleeps for good when a look takes longer than the interval: it starts
    // the next timer without waiting for it. This stream always leaves one that will wake.
    let mut timer = tokio::time::interval(POLL);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let wakes = futures_util::stream::poll_fn(move |context| -> Poll<Option<()>> {
        while timer.poll_tick(context).is_ready() {}
        Poll::Pending
    });
    let backend = storage(&order, "bench").await.poll_with_stream(wakes);
    let worker = WorkerBuilder::new(name).backend(backend).parallelize(tokio::spawn);
    worker.build(handle).run().await.expect("the worker runs");
}

pub async fn run(mode: &str, order: Order) {
    let queue = storage(&order, "bench").await;
    let input = Input::of(order.bytes);
    match mode {
        "enqueue" => {
            crate::ready();
            let call = move |jobs: usize| {
                let (mut queue, input) = (queue.clone(), input.clone());
                async move {
                    if jobs == 1 {
                        queue.push(input).await.expect("the job is accepted");
                    } else {
                        queue.push_bulk(vec![input; jobs]).await.expect("the jobs are accepted");
                    }
                }
            };
            crate::enqueue(&order, call).await;
        }
        "work" => {
            crate::ready();
            work(order).await;
        }
        "latency" => {
            let (sender, began) = unbounded_channel();
            BEGAN.set(sender).expect("once");
            let unserved = storage(&order, "aside").await;
            // On a thread of its own: its future does not prove to be `Send`.
            let (runtime, served) = (tokio::runtime::Handle::current(), order.clone());
            std::thread::spawn(move || runtime.block_on(work(served)));
            crate::ready();
            let push = |queue: &RedisStorage<Input>| {
                let (mut queue, input) = (queue.clone(), input.clone());
                async move { queue.push(input).await.expect("the job is accepted") }
            };
            crate::latency(&order, began, || push(&queue), || push(&unserved)).await;
        }
        other => panic!("unknown mode {other}"),
    }
}
