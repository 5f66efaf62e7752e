//! The text of streaming answers on its way from handlers to Redis.

use windlass::domain::{JobId, JobState, RawJson};
use windlass::engine::WorkerOptions;
use windlass::store::{Delta, Store};

use crate::support::fleet::{options, reaches, registry, start, until};
use crate::support::jobs::{enqueue_many, enqueue_new, spec};
use crate::support::proxy::Proxy;
use crate::support::redis::TestRedis;
use crate::support::scripted::Script;

async fn all(store: &Store, job: JobId) -> Vec<Delta> {
    store.deltas_after(job, None, 1000).await.unwrap()
}

async fn text(store: &Store, job: JobId) -> String {
    all(store, job).await.into_iter().map(|delta| delta.text).collect()
}

/// Waits until the stream of a job ends so.
async fn ends_with(store: &Store, job: JobId, end: &str) {
    until("the text is there", async || text(store, job).await.ends_with(end).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_whose_reply_was_lost_is_there_once() {
    let redis = TestRedis::start().await;
    let mut proxy = Proxy::start(&redis).await;
    let (store, through, script) = (redis.store().await, proxy.store().await, Script::new());
    let id = enqueue_new(&store, spec("r")).await;
    let worker = start(&through, &script.registry, options());
    script.push("one ");
    ends_with(&store, id, "one ").await;
    proxy.swallow_reply_to("two ");
    script.push("two ");
    proxy.swallowed().await;
    script.push("three");
    ends_with(&store, id, "three").await;
    script.finish();
    reaches(&store, id, JobState::Succeeded).await;
    assert_eq!(text(&store, id).await, "one two three");
    let seqs: Vec<u64> = all(&store, id).await.iter().map(|delta| delta.place.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_waits_while_redis_is_away_and_is_written_in_order_after() {
    let redis = TestRedis::start().await;
    let proxy = Proxy::start(&redis).await;
    let (store, through, script) = (redis.store().await, proxy.store().await, Script::new());
    let id = enqueue_new(&store, spec("r")).await;
    let worker = start(&through, &script.registry, options());
    script.push("before ");
    ends_with(&store, id, "before ").await;
    proxy.refuse();
    until("Redis is away", async || through.now().await.is_err().then_some(())).await;
    script.push("mean");
    script.push("while ");
    proxy.forward();
    script.push("after");
    ends_with(&store, id, "after").await;
    script.finish();
    reaches(&store, id, JobState::Succeeded).await;
    assert_eq!(text(&store, id).await, "before meanwhile after");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_lost_its_job_writes_nothing_more() {
    let redis = TestRedis::start().await;
    let (store, script) = (redis.store().await, Script::new());
    let id = enqueue_new(&store, spec("r")).await;
    let worker = start(&store, &script.registry, options());
    script.push("seen");
    ends_with(&store, id, "seen").await;
    store.cancel(&crate::support::jobs::queue(), id).await.unwrap();
    script.push("unseen");
    let next = enqueue_new(&store, spec("next")).await;
    script.push("of the next");
    script.finish();
    script.finish();
    reaches(&store, next, JobState::Succeeded).await;
    assert_eq!(text(&store, id).await, "seen");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_share_few_calls_and_all_text_is_there_at_the_end() {
    const PIECES: usize = 200;
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let registry = registry(|context| async move {
        for _ in 0..PIECES {
            context.delta("x");
            tokio::task::yield_now().await;
        }
        Ok(RawJson::from_compact("1"))
    });
    let ids = enqueue_many(&store, "ws", "r", 50, |_| {}).await;
    let worker = start(&store, &registry, WorkerOptions { slots: 50, ..options() });
    for id in &ids {
        reaches(&store, *id, JobState::Succeeded).await;
        assert_eq!(text(&store, *id).await.len(), PIECES);
    }
    let calls = redis.cli_int(&["XLEN", "ai:streamed"]);
    assert!(calls <= 500, "{calls} calls for {} pieces", 50 * PIECES);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_cannot_be_written_leaves_its_neighbours_alone() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let registry = registry(|context| async move {
        context.delta("text");
        Ok(RawJson::from_compact("1"))
    });
    let ids = enqueue_many(&store, "ws", "r", 20, |_| {}).await;
    let broken = format!("ai:job:{}:stream", ids[7]);
    redis.cli(&["SET", &broken, "of a wrong type"]);
    let worker = start(&store, &registry, WorkerOptions { slots: 20, ..options() });
    for id in &ids {
        reaches(&store, *id, JobState::Succeeded).await;
    }
    redis.cli(&["DEL", &broken]);
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(text(&store, *id).await, if number == 7 { "" } else { "text" });
    }
    worker.stop().await;
}
