//! Redis forgets its scripts, restarts, or comes up late: the same `Store` goes on.

use std::time::Duration;

use windlass::domain::{JobId, JobState};
use windlass::store::{Answer, Enqueued, StoreError};

use crate::support::audit::audit;
use crate::support::jobs::{TestWorker, enqueue, enqueue_many, enqueue_new, queue, retry, spec, state, success};
use crate::support::proxy::Proxy;
use crate::support::redis::TestRedis;

#[tokio::test]
async fn forgotten_scripts_are_loaded_again_in_the_middle_of_everything() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let forget = || redis.cli(&["SCRIPT", "FLUSH"]);
    let worker = TestWorker::register(&store).await;
    forget();
    let id = enqueue_new(&store, spec("r1")).await;
    forget();
    let first = worker.claim_one(&store).await;
    forget();
    assert_eq!(worker.end(&store, &first, retry(Duration::ZERO)).await, Answer::Done);
    forget();
    let second = worker.claim_one(&store).await;
    forget();
    worker.heartbeat(&store, Duration::from_secs(60)).await;
    forget();
    assert_eq!(worker.end(&store, &second, success()).await, Answer::Done);
    forget();
    assert_eq!(state(&store, id).await, JobState::Succeeded);
    assert_eq!(redis.cli_int(&["HGET", "ai:queue:stats", "enqueue"]), 1, "no script ran twice");
    audit(&redis);
}

#[tokio::test]
async fn many_calls_race_a_forgotten_script_and_each_runs_once() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    for round in 0..5 {
        redis.cli(&["SCRIPT", "FLUSH"]);
        let mut calls = tokio::task::JoinSet::new();
        for i in 0..20 {
            let store = store.clone();
            calls.spawn(async move { enqueue(&store, spec(&format!("{round}-{i}"))).await });
        }
        assert!(calls.join_all().await.iter().all(|answer| matches!(answer, Enqueued::New(_))));
    }
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 100);
    audit(&redis);
}

#[tokio::test]
async fn a_killed_redis_comes_back_with_every_job_and_the_same_store_goes_on() {
    let mut redis = TestRedis::start_durable().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 100, |_| {}).await;
    let claimed = worker.claim_one(&store).await;
    let breaks = store.link_breaks();
    redis.kill();
    while store.now().await.is_ok() {}
    match store.ring(&queue()).await {
        Err(StoreError::Unavailable(_) | StoreError::Unknown(_)) => {}
        other => panic!("Redis is gone: {other:?}"),
    }
    redis.launch().await;
    store.wait_connected(Duration::from_secs(20)).await.unwrap();
    // Who missed something can see it; fred tells of a break in a task of its own.
    while store.link_breaks() == breaks {
        tokio::task::yield_now().await;
    }
    assert_eq!(worker.end(&store, &claimed, success()).await, Answer::Done, "a live attempt survives");
    assert!(matches!(enqueue(&store, spec("after")).await, Enqueued::New(_)));
    audit(&redis);
    assert_eq!(worker.work_off(&store, 50).await.len(), 100);
    audit(&redis);
}

/// What Redis says to one call is no answer to those behind it on the same connection.
#[tokio::test]
async fn a_refusal_of_one_call_does_not_make_the_next_one_not_done() {
    let refusals = [
        ("-LOADING Redis is loading the dataset in memory\r\n", false),
        ("-READONLY You can't write against a read only replica.\r\n", false),
        ("-CLUSTERDOWN The cluster is down\r\n", true),
    ];
    for (refusal, maybe) in refusals {
        let redis = TestRedis::start().await;
        let mut proxy = Proxy::start(&redis).await;
        let store = proxy.store().await;
        enqueue_new(&store, spec("before")).await;
        proxy.deny("print-of-first", refusal);
        let made = store.now().await.unwrap().unix_ms() as u64;
        let write = async |name: &str| store.enqueue(&queue(), &[(JobId::new(made, 0), spec(name))]).await;
        let behind = async {
            proxy.swallowed().await;
            write("second").await
        };
        let (first, second) = tokio::join!(write("first"), behind);
        let first = first.unwrap_err();
        assert_eq!(first.maybe_done(), maybe, "{first:?}");
        assert!(second.as_ref().err().is_none_or(StoreError::maybe_done), "it was done: {second:?} after {refusal}");
        assert_eq!(redis.cli_int(&["HLEN", "ai:jobs"]), 2);
        // And the store goes on.
        let third = async {
            while write("third").await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), third).await.unwrap();
        assert_eq!(redis.cli_int(&["HLEN", "ai:jobs"]), 3);
    }
}

#[tokio::test]
async fn a_silent_redis_is_found_so_once_for_all_connections() {
    let redis = TestRedis::start().await;
    let proxy = Proxy::start(&redis).await;
    let store = proxy.store_with(|options| options.pool_size = 4).await;
    proxy.go_silent();
    assert!(matches!(store.now().await, Err(StoreError::Unknown(_))), "it was sent");
    for _ in 0..8 {
        assert!(matches!(store.now().await, Err(StoreError::Unavailable(_))), "nothing is sent any more");
    }
    proxy.forward();
    store.wait_connected(Duration::from_secs(20)).await.unwrap();
    store.now().await.expect("it answers");
}
