//! rusty-sidekiq.

use std::time::Instant;

use async_trait::async_trait;
use sidekiq::{Processor, ProcessorConfig, RedisConnectionManager, RedisPool, Worker};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::{Input, Order};

#[derive(Clone)]
struct Handle {
    /// Set when someone wants to know when the handler began.
    began: Option<UnboundedSender<Instant>>,
}

#[async_trait]
impl Worker<Input> for Handle {
    async fn perform(&self, _: Input) -> sidekiq::Result<()> {
        if let Some(began) = &self.began {
            let _ = began.send(Instant::now());
        }
        Ok(())
    }
}

async fn pool(order: &Order, connections: usize) -> RedisPool {
    let manager = RedisConnectionManager::new(order.url.as_str()).expect("a URL");
    let connections = u32::try_from(connections).expect("a small number");
    // A full pool from the start: connections are not part of what is measured.
    let builder = bb8::Pool::builder().max_size(connections).min_idle(connections).test_on_check_out(false);
    builder.build(manager).await.expect("Redis answers")
}

async fn work(order: Order, began: Option<UnboundedSender<Instant>>) {
    let pool = pool(&order, order.slots + 4).await;
    let config = ProcessorConfig::default().num_workers(order.slots);
    let mut processor = Processor::new(pool, vec!["bench".to_owned()]).with_config(config);
    processor.register(Handle { began });
    processor.run().await;
}

async fn push(pool: &RedisPool, queue: &str, input: &Input) {
    sidekiq::perform_async(pool, Handle::class_name(), queue.to_owned(), input).await.expect("the job is accepted");
}

pub async fn run(mode: &str, order: Order) {
    let input = Input::of(order.bytes);
    match mode {
        "enqueue" => {
            let pool = pool(&order, order.connections).await;
            crate::ready();
            let call = move |_: usize| {
                let (pool, input) = (pool.clone(), input.clone());
                async move { push(&pool, "bench", &input).await }
            };
            crate::enqueue(&order, call).await;
        }
        "work" => {
            crate::ready();
            work(order, None).await;
        }
        "latency" => {
            let (sender, began) = unbounded_channel();
            let pool = pool(&order, 2).await;
            tokio::spawn(work(order.clone(), Some(sender)));
            crate::ready();
            crate::latency(&order, began, || push(&pool, "bench", &input), || push(&pool, "aside", &input)).await;
        }
        other => panic!("unknown mode {other}"),
    }
}
