//! Verb `enqueue`.

use windlass::domain::JobState;
use windlass::store::{Enqueued, Scope};

use crate::support::jobs::{TestWorker, enqueue, enqueue_new, spec, spec_of};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn an_accepted_job_is_in_line_with_its_key_record_and_counters() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 1);
    assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:order:normal"]), 1);
    assert_eq!(redis.cli_int(&["HGET", "ai:queue:stats", "enqueue"]), 1);
    assert!(redis.cli(&["GET", "ai:idempotency:ws:r1"]).starts_with(&id.to_string()));
    assert!(redis.cli_int(&["TTL", "ai:idempotency:ws:r1"]) > 7 * 86_400);
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempt), (JobState::Pending, 0));
    assert_eq!(job.input.unwrap().as_str(), "{\"n\":\"r1\"}");
}

#[tokio::test]
async fn the_same_request_is_a_replay_and_another_body_is_refused() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    assert!(matches!(enqueue(&store, spec("r1")).await, Enqueued::Replay(first) if first == id));
    let mut other = spec("r1");
    other.fingerprint = "other".into();
    assert!(matches!(enqueue(&store, other).await, Enqueued::OtherBody(first) if first == id));
    assert!(matches!(enqueue(&store, spec_of("ws2", "r1")).await, Enqueued::New(_)));
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 2);
    let _ = TestWorker::unregistered();
}
