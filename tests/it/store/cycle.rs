//! Verb `cycle`.

use std::time::Duration;

use windlass::domain::JobState;
use windlass::store::{Answer, Scope};

use crate::support::jobs::{TestWorker, death, enqueue_new, retry, spec, success};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn a_completed_job_keeps_its_result_and_its_key_lives_a_day() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    let worker = TestWorker::register(&store).await;
    let claimed = worker.claim_one(&store).await;
    assert_eq!((claimed.job.attempt, claimed.job.state), (1, JobState::Running));
    assert_eq!(worker.end(&store, &claimed, success()).await, Answer::Done);
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(job.result.unwrap().as_str(), "{\"ok\":true}");
    let ttl = redis.cli_int(&["TTL", "ai:idempotency:ws:r1"]);
    assert!((86_000..=86_400).contains(&ttl), "{ttl}");
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 0);
    assert_eq!(redis.cli_int(&["HLEN", "ai:jobs"]), 0);
    assert_eq!(worker.end(&store, &claimed, success()).await, Answer::DoneBefore);
}

#[tokio::test]
async fn a_retry_waits_and_a_dead_job_is_grouped() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    let worker = TestWorker::register(&store).await;
    let first = worker.claim_one(&store).await;
    assert_eq!(worker.end(&store, &first, retry(Duration::ZERO)).await, Answer::Done);
    let second = worker.claim_one(&store).await;
    assert_eq!(second.job.attempt, 2);
    assert_eq!(worker.end(&store, &first, success()).await, Answer::Stale);
    assert_eq!(worker.end(&store, &second, death()).await, Answer::Done);
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!(job.state, JobState::Dead);
    assert_eq!(job.failure.unwrap().message, "it broke");
    let groups = store.dead_groups().await.unwrap();
    assert_eq!((groups.len(), groups[0].count, groups[0].sample), (1, 1, id));
}
