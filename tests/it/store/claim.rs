//! Verb `claim`.

use std::collections::BTreeSet;
use std::time::Duration;

use windlass::domain::{AttemptId, JobState, Priority, QueueName, Timestamp};
use windlass::store::{Answer, Scope, Switch, WorkspaceLimits};

use crate::support::audit::{ENDING_KEYS, LINE_KEYS, Snapshot, audit, refuses_wrong_types};
use crate::support::calls::START;
use crate::support::jobs::{
    TestWorker, enqueue_ago, enqueue_many, enqueue_new, from_now, kind, queue, retry, shaped, spec, state, success,
    until_past, workspace,
};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn a_claim_leases_the_job_to_one_attempt() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    let worker = TestWorker::register(&store).await;
    let claims = worker.claims(&store, 5).await;
    let [claimed] = &claims.jobs[..] else { panic!("one job, got {claims:?}") };
    assert_eq!((claimed.job.id, claimed.job.state, claimed.job.attempt), (id, JobState::Running, 1));
    assert_eq!(claimed.job.input.as_ref().unwrap().as_str(), "{\"n\":\"r1\"}");
    let deadline = redis.cli_int(&["ZSCORE", "ai:queue:running", &format!("{id}:{}", claimed.attempt_id)]);
    assert_eq!(deadline, claims.now.unix_ms() + 15_000);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 0);
    assert_eq!(redis.cli_int(&["HGET", "ai:queue:stats", "dequeue"]), 1);
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!((job.state, job.started_at), (JobState::Running, Some(claims.now)));
    assert!(worker.claim(&store, 5).await.is_empty(), "a leased job is not claimed again");
    audit(&redis);
}

#[tokio::test]
async fn an_empty_queue_and_a_want_of_nothing_bring_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let claims = worker.claims(&store, 5).await;
    assert!(claims.jobs.is_empty() && claims.next_due.is_none() && !claims.declined, "{claims:?}");
    enqueue_new(&store, spec("r1")).await;
    assert!(worker.claim(&store, 0).await.is_empty());
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 1);
}

#[tokio::test]
async fn claims_race_and_every_job_goes_to_one_of_them() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let mut jobs: Vec<_> = enqueue_many(&store, "ws", "r", 300, |_| {}).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let store = redis.store().await;
        calls.spawn(async move {
            let worker = TestWorker::register(&store).await;
            let mut ids = Vec::new();
            loop {
                let got = worker.claim(&store, 7).await;
                if got.is_empty() {
                    return ids;
                }
                ids.extend(got.into_iter().map(|claimed| claimed.job.id));
            }
        });
    }
    let mut claimed: Vec<_> = calls.join_all().await.concat();
    claimed.sort();
    jobs.sort();
    assert_eq!(claimed, jobs);
    audit(&redis);
}

#[tokio::test]
async fn a_call_claims_a_hundred_at_most() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    enqueue_many(&store, "ws", "r", 150, |_| {}).await;
    let worker = TestWorker::register(&store).await;
    assert_eq!(worker.claim(&store, 1000).await.len(), 100);
    assert_eq!(worker.claim(&store, 1000).await.len(), 50);
    audit(&redis);
}

#[tokio::test]
async fn a_job_of_a_type_that_the_worker_lacks_is_parked_for_one_that_has_it() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let first = TestWorker::offering(&store, &["other"]).await;
    let id = enqueue_new(&store, spec("r1")).await;
    let own = enqueue_new(&store, shaped("ws", "r2", |s| s.job_type = kind("other"))).await;
    redis.cli(&["DEL", "ai:queue:wake"]);
    assert_eq!(first.claim_one(&store).await.job.id, own, "a job further back is not held up");
    assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:parked:normal:o:echo"]), 1);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 1, "parked is pending");
    assert_eq!(state(&store, id).await, JobState::Pending);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:wake"]), 1, "another worker is called");
    audit(&redis);
    let second = TestWorker::register(&store).await;
    assert_eq!(second.claim_one(&store).await.job.id, id);
    audit(&redis);
}

#[tokio::test]
async fn a_job_that_no_worker_offers_goes_round_once() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let workers = [TestWorker::offering(&store, &["a"]).await, TestWorker::offering(&store, &["b"]).await];
    enqueue_new(&store, spec("r1")).await;
    let mut rings = 0;
    for round in 0..20 {
        redis.cli(&["DEL", "ai:queue:wake"]);
        let claims = workers[round % 2].claims(&store, 4).await;
        assert!(claims.jobs.is_empty());
        rings += redis.cli_int(&["LLEN", "ai:queue:wake"]);
    }
    assert!((1..=3).contains(&rings), "{rings} rings");
}

#[tokio::test]
async fn a_paused_type_or_workspace_is_parked_in_its_place() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::offering(&store, &["echo", "other"]).await;
    let before = enqueue_new(&store, spec("before")).await;
    let fine = enqueue_new(&store, shaped("ws", "fine", |s| s.job_type = kind("other"))).await;
    store.pause(&queue(), &Switch::Type(kind("echo")), "op", "").await.unwrap();
    let after = enqueue_new(&store, spec("after")).await;
    assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:parked:normal:t:echo"]), 1, "a new job is parked at once");
    assert_eq!(worker.claim(&store, 5).await.iter().map(|c| c.job.id).collect::<Vec<_>>(), [fine]);
    assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:parked:normal:t:echo"]), 2);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 2);
    audit(&redis);
    store.resume(&queue(), &[Switch::Type(kind("echo"))]).await.unwrap();
    let ids: Vec<_> = worker.claim(&store, 5).await.iter().map(|c| c.job.id).collect();
    assert_eq!(ids, [before, after]);
    audit(&redis);
}

#[tokio::test]
async fn a_paused_queue_gives_nothing_and_keeps_its_depth() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    store.pause(&queue(), &Switch::Queue, "op", "").await.unwrap();
    redis.cli(&["DEL", "ai:queue:wake"]);
    assert!(worker.claim(&store, 5).await.is_empty());
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 3);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:wake"]), 0, "nobody is called to a paused queue");
    store.resume(&queue(), &[Switch::Queue]).await.unwrap();
    assert_eq!(worker.claim(&store, 5).await.len(), 3);
}

#[tokio::test]
async fn a_cap_holds_in_one_call_and_over_several_workers() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let limits = WorkspaceLimits { weight: 1, max_running: Some(3) };
    store.set_workspace_limits(&workspace("ws"), limits).await.unwrap();
    enqueue_many(&store, "ws", "r", 10, |_| {}).await;
    enqueue_many(&store, "free", "r", 2, |_| {}).await;
    let (one, two) = (TestWorker::register(&store).await, TestWorker::register(&store).await);
    let first = one.claim(&store, 2).await;
    let capped = first.iter().chain(&two.claim(&store, 10).await).filter(|c| c.job.workspace.as_str() == "ws").count();
    assert_eq!(capped, 3);
    assert_eq!(redis.cli_int(&["SCARD", "ai:queue:slots:ws"]), 3);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 7);
    audit(&redis);
    let mine = first.into_iter().find(|c| c.job.workspace.as_str() == "ws").unwrap();
    assert_eq!(one.end(&store, &mine, success()).await, Answer::Done);
    assert_eq!(two.claim(&store, 10).await.len(), 1, "one slot, one more");
    audit(&redis);
}

#[tokio::test]
async fn a_capped_workspace_goes_on_after_its_next_job_is_cancelled() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let limits = WorkspaceLimits { weight: 1, max_running: Some(1) };
    store.set_workspace_limits(&workspace("ws"), limits).await.unwrap();
    let worker = TestWorker::register(&store).await;
    let ids = enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    let claimed = worker.claim_one(&store).await;
    assert!(worker.claim(&store, 5).await.is_empty(), "the rest is parked now");
    worker.end(&store, &claimed, success()).await;
    let next: Vec<_> = Snapshot::take(&redis).members("ai:queue:order:normal");
    assert_eq!(next, [ids[1].to_string()], "one came back");
    store.cancel(&queue(), ids[1]).await.unwrap();
    assert_eq!(worker.claim_one(&store).await.job.id, ids[2]);
    audit(&redis);
}

#[tokio::test]
async fn a_scheduled_job_enters_the_line_when_its_time_comes() {
    let redis = TestRedis::start_halted(START).await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let at = from_now(&store, 30).await;
    let ids = enqueue_many(&store, "ws", "r", 150, |s| s.run_at = Some(at)).await;
    redis.set_clock(at.unix_ms() + 1);
    assert_eq!(worker.claim(&store, 0).await.len(), 0);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 100, "a bounded part");
    let claims = worker.claims(&store, 0).await;
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 150);
    assert_eq!(claims.next_due, None);
    let done: BTreeSet<_> = worker.work_off(&store, 50).await.into_iter().collect();
    assert_eq!(done, ids.into_iter().collect());
    audit(&redis);
}

#[tokio::test]
async fn an_expired_job_is_not_started_wherever_it_waits() {
    let redis = TestRedis::start_halted(START).await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let end = from_now(&store, 20).await;
    let far = from_now(&store, 3_600_000).await;
    let in_order = enqueue_new(&store, shaped("ws", "order", |s| s.expires_at = Some(end))).await;
    let later = enqueue_new(&store, shaped("ws", "later", |s| (s.run_at, s.expires_at) = (Some(far), Some(end)))).await;
    store.pause(&queue(), &Switch::Type(kind("paused")), "op", "").await.unwrap();
    let parked = shaped("ws", "parked", |s| (s.job_type, s.expires_at) = (kind("paused"), Some(end)));
    let parked = enqueue_new(&store, parked).await;
    redis.set_clock(end.unix_ms() + 1);
    assert!(worker.claim(&store, 5).await.is_empty());
    for id in [in_order, later, parked] {
        assert_eq!(state(&store, id).await, JobState::Expired);
    }
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 0);
    assert_eq!(redis.cli_int(&["HGET", "ai:queue:stats", "expired"]), 3);
    assert_eq!(redis.cli_int(&["EXISTS", "ai:queue:expiring"]), 0);
    audit(&redis);
}

#[tokio::test]
async fn a_retried_job_past_its_end_expires_instead_of_starting() {
    let redis = TestRedis::start_halted(START).await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let end = from_now(&store, 500).await;
    let id = enqueue_new(&store, shaped("ws", "r1", |s| s.expires_at = Some(end))).await;
    let claimed = worker.claim_one(&store).await;
    redis.set_clock(end.unix_ms() + 1);
    assert_eq!(worker.end(&store, &claimed, retry(Duration::ZERO)).await, Answer::Done, "a running job never expires");
    assert!(worker.claim(&store, 1).await.is_empty());
    assert_eq!(state(&store, id).await, JobState::Expired);
    audit(&redis);
}

#[tokio::test]
async fn work_that_is_left_rings_for_the_next_worker_and_never_more_than_there_are() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    enqueue_many(&store, "ws", "early", 5, |_| {}).await;
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:wake"]), 0, "nobody to ring for");
    let worker = TestWorker::register(&store).await;
    TestWorker::register(&store).await;
    for i in 0..5 {
        enqueue_new(&store, spec(&format!("r{i}"))).await;
    }
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:wake"]), 2);
    redis.cli(&["DEL", "ai:queue:wake"]);
    worker.claim(&store, 3).await;
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:wake"]), 1);
    redis.cli(&["DEL", "ai:queue:wake"]);
    assert_eq!(worker.claim(&store, 50).await.len(), 7);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:wake"]), 0);
}

#[tokio::test]
async fn queues_do_not_share_jobs_or_leases() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let other = QueueName::new("other").unwrap();
    let id = enqueue_new(&store, shaped("ws", "r1", |s| s.queue = other.clone())).await;
    let mut worker = TestWorker::register(&store).await;
    assert!(worker.claim(&store, 5).await.is_empty());
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending:other"]), 1);
    worker.queue = other;
    assert_eq!(worker.claim_one(&store).await.job.id, id);
    assert_eq!(redis.cli_int(&["ZCARD", "ai:queue:running:other"]), 2, "the lease and the sentinel");
}

#[tokio::test]
async fn priorities_go_first_and_the_lower_bands_still_get_their_slots() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    for band in Priority::ALL {
        enqueue_many(&store, "ws", band.as_str(), 200, |s| s.priority = *band).await;
    }
    for want in [1, 16] {
        let mut count = std::collections::BTreeMap::new();
        for _ in 0..64 / want {
            for claimed in worker.claim(&store, want).await {
                *count.entry(claimed.job.priority.as_str()).or_insert(0) += 1;
            }
        }
        assert_eq!((count["high"], count["normal"], count["low"]), (56, 4, 4), "claiming {want} at a time");
    }
    audit(&redis);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let soon = from_now(&store, 1).await;
    enqueue_new(&store, shaped("ws", "scheduled", |s| s.run_at = Some(soon))).await;
    enqueue_new(&store, spec("waiting")).await;
    until_past(&store, soon).await;
    let done = format!("ai:done:{}", store.now().await.unwrap().unix_ms() / 3_600_000);
    let keys = [LINE_KEYS, ENDING_KEYS, &[done.as_str()]].concat();
    refuses_wrong_types(&redis, &keys, async || store.claim(&worker.request(5)).await).await;
    assert_eq!(worker.claim(&store, 5).await.len(), 2, "and nothing was lost");
}

#[tokio::test]
async fn an_attempt_id_of_its_own_fences_every_claim() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 2, |_| {}).await;
    let (one, mut two) = (worker.claim_one(&store).await, worker.claim_one(&store).await);
    assert_ne!(one.attempt_id, two.attempt_id);
    two.attempt_id = AttemptId::random();
    let before = Snapshot::take(&redis).contents();
    assert_eq!(worker.end(&store, &two, success()).await, Answer::Stale);
    assert_eq!(Snapshot::take(&redis).contents(), before);
}

#[tokio::test]
async fn a_claim_leaves_nothing_that_it_could_have_taken() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let other = TestWorker::offering(&store, &["other"]).await;
    let limits = WorkspaceLimits { weight: 1, max_running: Some(1) };
    store.set_workspace_limits(&workspace("capped"), limits).await.unwrap();
    enqueue_many(&store, "capped", "r", 5, |_| {}).await;
    let free = enqueue_new(&store, spec("free")).await;
    assert!(other.claim(&store, 10).await.is_empty(), "all are parked for another worker");
    let worker = TestWorker::register(&store).await;
    let ids: Vec<_> = [worker.claim_one(&store).await, worker.claim_one(&store).await].map(|c| c.job.id).to_vec();
    assert!(ids.contains(&free), "the capped workspace's jobs did not stand before it");
    assert!(worker.claim(&store, 10).await.is_empty());
    audit(&redis);
}

#[tokio::test]
async fn a_job_that_ended_long_ago_is_never_taken_for_another() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let ids = enqueue_many(&store, "ws", "r", 130, |s| s.expires_at = Some(Timestamp::from_unix_ms(5))).await;
    // More than one call expires at once, so this one meets some in the order.
    assert!(worker.claim(&store, 50).await.is_empty());
    audit(&redis);
    assert!(worker.claim(&store, 50).await.is_empty());
    for id in ids {
        assert_eq!(state(&store, id).await, JobState::Expired);
    }
}

#[tokio::test]
async fn a_job_that_names_no_times_may_wait_a_week_from_the_time_in_its_id() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let (week, minute) = (Duration::from_secs(7 * 86_400), Duration::from_secs(60));
    let mut made = Vec::new();
    for (n, ago) in [week - minute, week + minute / 60, week - 60 * minute, week + 60 * minute].into_iter().enumerate()
    {
        made.push(enqueue_ago(&redis, &store, &format!("r{n}"), ago).await);
    }
    let oldest = store.summary(&queue()).await.unwrap().oldest_pending.unwrap();
    assert!(oldest >= week - minute && oldest < week, "{oldest:?}");
    let claimed: Vec<_> = worker.claim(&store, 10).await.into_iter().map(|c| c.job.id).collect();
    assert_eq!(claimed, [made[0], made[2]]);
    for late in [made[1], made[3]] {
        assert_eq!(state(&store, late).await, JobState::Expired);
    }
    audit(&redis);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_holds_up_nobody() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let garbage = [("r1", "no header at all"), ("r2", "ws\techo\tx"), ("r4", "ws\techo\tprint\tZ9\tr4\nnull")];
    for (request, garbage) in garbage {
        let broken = enqueue_new(&store, spec(request)).await;
        redis.cli(&["HSET", "ai:jobs", &broken.to_string(), garbage]);
    }
    let whole = enqueue_new(&store, spec("r3")).await;
    let worker = TestWorker::register(&store).await;
    let claimed = worker.claim(&store, 5).await;
    assert_eq!(claimed.iter().map(|c| c.job.id).collect::<Vec<_>>(), [whole]);
}
