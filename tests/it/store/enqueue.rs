//! Verb `enqueue`.

use std::time::Duration;

use windlass::domain::{JobId, JobState, Priority, QueueName};
use windlass::store::{Enqueued, Scope, Switch};

use crate::support::audit::{LINE_KEYS, Snapshot, audit, refuses_wrong_types};
use crate::support::jobs::{
    TestWorker, enqueue, enqueue_many, enqueue_new, from_now, hold, queue, shaped, spec, spec_of, state, success,
};
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
    audit(&redis);
}

#[tokio::test]
async fn the_same_request_is_a_replay_and_another_body_is_refused() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    let before = Snapshot::take(&redis).contents();
    assert!(matches!(enqueue(&store, spec("r1")).await, Enqueued::Replay(first) if first == id));
    let other = shaped("ws", "r1", |s| s.fingerprint = "other".into());
    assert!(matches!(enqueue(&store, other).await, Enqueued::OtherBody(first) if first == id));
    assert_eq!(Snapshot::take(&redis).contents(), before, "neither wrote anything");
    assert!(matches!(enqueue(&store, spec_of("ws2", "r1")).await, Enqueued::New(_)));
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 2);
}

#[tokio::test]
async fn a_repeat_of_the_same_call_is_new_again_and_writes_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let items = [(JobId::new(1, 0), spec("r1")), (JobId::new(2, 0), spec("r2"))];
    store.enqueue(&queue(), &items).await.unwrap();
    let before = Snapshot::take(&redis).contents();
    let answers = store.enqueue(&queue(), &items).await.unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Enqueued::New(_))), "{answers:?}");
    assert_eq!(Snapshot::take(&redis).contents(), before);
}

#[tokio::test]
async fn a_job_is_made_when_its_id_says_unless_that_cannot_be() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let now = store.now().await.unwrap().unix_ms();
    for (n, (told, counts)) in [(-5_000, true), (0, true), (-60_000, false), (60_000, false)].into_iter().enumerate() {
        let id = JobId::new((now + told) as u64, 0);
        let items = [(id, spec(&format!("r{n}")))];
        let [Enqueued::New(job)] = &store.enqueue(&queue(), &items).await.unwrap()[..] else { panic!("not new") };
        let made = job.created_at.unix_ms();
        assert_eq!(made == id.unix_ms() as i64, counts, "{told} ms from now: {made}");
        assert!(counts || made >= now, "{told} ms from now: {made}");
        let kept = store.job(&Scope::All, id).await.unwrap().unwrap();
        assert_eq!((kept.created_at, kept.expires_at), (job.created_at, job.expires_at));
        assert_eq!(kept.expires_at.unix_ms() - made, 7 * 86_400_000);
    }
    audit(&redis);
}

#[tokio::test]
async fn one_request_twice_in_a_call_is_one_job() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let first = JobId::new(1, 0);
    let answers = store.enqueue(&queue(), &[(first, spec("r1")), (JobId::new(2, 0), spec("r1"))]).await.unwrap();
    assert!(matches!(answers[..], [Enqueued::New(_), Enqueued::Replay(owner)] if owner == first), "{answers:?}");
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 1);
    audit(&redis);
}

#[tokio::test]
async fn a_hundred_callers_with_one_request_make_one_job() {
    let redis = TestRedis::start().await;
    let stores = [redis.store().await, redis.store().await, redis.store().await];
    let mut calls = tokio::task::JoinSet::new();
    for i in 0..100 {
        let store = stores[i % stores.len()].clone();
        calls.spawn(async move { enqueue(&store, spec("r1")).await });
    }
    let answers = calls.join_all().await;
    let new: Vec<JobId> =
        answers.iter().filter_map(|a| if let Enqueued::New(job) = a { Some(job.id) } else { None }).collect();
    assert_eq!(new.len(), 1);
    let replays = answers.iter().filter(|a| matches!(a, Enqueued::Replay(id) if *id == new[0])).count();
    assert_eq!(replays, 99);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 1);
    audit(&redis);
}

#[tokio::test]
async fn the_key_covers_the_last_moment_in_line_plus_a_day() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let ttl = |request: &str| redis.cli_int(&["TTL", &format!("ai:idempotency:ws:{request}")]);
    let day = 86_400;
    let soon = from_now(&store, 60_000).await;
    enqueue_new(&store, shaped("ws", "brief", |s| s.expires_at = Some(soon))).await;
    assert!((day + 50..=day + 61).contains(&ttl("brief")), "{}", ttl("brief"));
    let later = from_now(&store, 10 * day * 1000).await;
    enqueue_new(&store, shaped("ws", "later", |s| s.run_at = Some(later))).await;
    assert!((18 * day - 10..=18 * day + 1).contains(&ttl("later")), "{}", ttl("later"));
    let past = from_now(&store, -1000).await;
    enqueue_new(&store, shaped("ws", "past", |s| s.expires_at = Some(past))).await;
    assert!((day - 10..=day).contains(&ttl("past")), "{}", ttl("past"));
}

#[tokio::test]
async fn the_key_lives_on_while_held_and_a_day_after_the_end() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_new(&store, spec("kept")).await;
    let claimed = worker.claim_one(&store).await;
    assert!(redis.cli_int(&["TTL", "ai:idempotency:ws:kept"]) >= 86_400, "running");
    worker.end(&store, &claimed, hold()).await;
    assert_eq!(redis.cli_int(&["TTL", "ai:idempotency:ws:kept"]), -1, "held");
    store.cancel(&queue(), claimed.job.id).await.unwrap();
    assert!((86_390..=86_400).contains(&redis.cli_int(&["TTL", "ai:idempotency:ws:kept"])), "cancelled");
    assert!(matches!(enqueue(&store, spec("kept")).await, Enqueued::Replay(id) if id == claimed.job.id));
}

#[tokio::test]
async fn a_draining_queue_refuses_new_jobs_and_answers_replays() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    store.pause(&queue(), &Switch::Intake, "op", "moving").await.unwrap();
    let before = Snapshot::take(&redis).contents();
    assert!(matches!(enqueue(&store, spec("r2")).await, Enqueued::Draining));
    assert!(matches!(enqueue(&store, spec("r1")).await, Enqueued::Replay(first) if first == id));
    let other = shaped("ws", "r1", |s| s.fingerprint = "other".into());
    assert!(matches!(enqueue(&store, other).await, Enqueued::OtherBody(_)));
    assert_eq!(Snapshot::take(&redis).contents(), before);
    let elsewhere = shaped("ws", "r3", |s| s.queue = QueueName::new("other").unwrap());
    assert!(matches!(enqueue(&store, elsewhere).await, Enqueued::New(_)), "only this queue drains");
    store.resume(&queue(), &[Switch::Intake]).await.unwrap();
    assert!(matches!(enqueue(&store, spec("r2")).await, Enqueued::New(_)));
}

#[tokio::test]
async fn the_depth_limit_holds_inside_a_call_and_answers_replays() {
    let redis = TestRedis::start().await;
    let store = redis.store_with(|o| o.max_depth = 3).await;
    let items: Vec<_> = (0..5).map(|i| (JobId::new(i, 0), spec(&format!("r{i}")))).collect();
    let answers = store.enqueue(&queue(), &items).await.unwrap();
    let refused = answers.iter().filter(|answer| matches!(answer, Enqueued::Full)).count();
    assert_eq!(refused, 2, "{answers:?}");
    assert!(matches!(enqueue(&store, spec("r0")).await, Enqueued::Replay(_)));
    assert_eq!(redis.cli_int(&["EXISTS", "ai:idempotency:ws:r4"]), 0, "a refused job burns no key");
    let worker = TestWorker::register(&store).await;
    let claimed = worker.claim_one(&store).await;
    worker.end(&store, &claimed, success()).await;
    assert!(matches!(enqueue(&store, spec("r4")).await, Enqueued::New(_)));
    audit(&redis);
}

#[tokio::test]
async fn a_foreign_value_under_one_key_leaves_the_neighbours_alone() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    redis.cli(&["SET", "ai:idempotency:ws:text", "not ours"]);
    redis.cli(&["HSET", "ai:idempotency:ws:hash", "not", "ours"]);
    let items = ["text", "good", "hash"].map(|request| (JobId::new(1, 0), spec(request)));
    let answers = store.enqueue(&queue(), &items).await.unwrap();
    assert!(matches!(answers[..], [Enqueued::Broken, Enqueued::New(_), Enqueued::Broken]), "{answers:?}");
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 1);
}

#[tokio::test]
async fn a_scheduled_job_is_out_of_line_until_its_time() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let at = from_now(&store, 3_600_000).await;
    let id = enqueue_new(&store, shaped("ws", "r1", |s| s.run_at = Some(at))).await;
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!((job.state, job.run_at), (JobState::Scheduled, Some(at)));
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 0);
    let worker = TestWorker::register(&store).await;
    let claims = worker.claims(&store, 1).await;
    assert!(claims.jobs.is_empty());
    assert!(claims.next_due.unwrap() <= Duration::from_secs(3600));
    let past = from_now(&store, -5000).await;
    let now = enqueue_new(&store, shaped("ws", "r2", |s| s.run_at = Some(past))).await;
    assert_eq!(state(&store, now).await, JobState::Pending, "a time in the past is now");
    audit(&redis);
}

#[tokio::test]
async fn many_callers_on_several_stores_lose_nothing() {
    let redis = TestRedis::start().await;
    let mut calls = tokio::task::JoinSet::new();
    for i in 0..6 {
        let store = redis.store().await;
        calls.spawn(async move {
            let band = Priority::ALL[i % 3];
            enqueue_many(&store, &format!("ws{}", i % 2), &format!("caller{i}"), 150, |s| s.priority = band).await.len()
        });
    }
    let written: usize = calls.join_all().await.iter().sum();
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), written as i64);
    audit(&redis);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let now = store.now().await.unwrap().unix_ms();
    enqueue_new(&store, spec("first")).await;
    let index = format!("ai:index:ws:{}", now / 3_600_000);
    let mut keys = LINE_KEYS.to_vec();
    keys.extend([index.as_str(), "ai:indexes"]);
    let items = [(JobId::new(now as u64, 0), spec("r1"))];
    refuses_wrong_types(&redis, &keys, async || store.enqueue(&queue(), &items).await).await;
    assert_eq!(redis.cli_int(&["EXISTS", "ai:idempotency:ws:r1"]), 0);
}
