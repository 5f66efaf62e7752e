//! Verb `cycle`.

use std::time::Duration;

use windlass::domain::{HeldReason, JobState, RawJson};
use windlass::store::{Answer, Ending, Finished, Scope, WorkspaceLimits};

use crate::support::audit::{ENDING_KEYS, LINE_KEYS, Snapshot, assert_no_leak, audit, refuses_wrong_types};
use crate::support::jobs::{
    TestWorker, death, enqueue_many, enqueue_new, failure, from_now, give_back, hold, queue, retry, spec, state,
    success, until_past, workspace,
};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn a_completed_job_keeps_its_result_and_its_key_lives_a_day() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    let worker = TestWorker::register(&store).await;
    let claimed = worker.claim_one(&store).await;
    assert_eq!((claimed.job.attempt, claimed.job.state), (1, JobState::Running));
    let progress = RawJson::from_compact("{\"at\":9}");
    assert!(store.progress(&claimed, &RawJson::from_compact("{\"at\":1}")).await.unwrap());
    let ending = Ending::Succeeded { result: RawJson::from_compact("{\"ok\":true}"), progress: Some(progress) };
    assert_eq!(worker.end(&store, &claimed, ending).await, Answer::Done);
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(job.result.unwrap().as_str(), "{\"ok\":true}");
    assert_eq!(job.progress.unwrap().as_str(), "{\"at\":9}");
    assert!(job.finished_at >= job.started_at && job.started_at.is_some());
    let ttl = redis.cli_int(&["TTL", "ai:idempotency:ws:r1"]);
    assert!((86_000..=86_400).contains(&ttl), "{ttl}");
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 0);
    assert_eq!(redis.cli_int(&["HLEN", "ai:jobs"]), 0);
    assert_no_leak(&redis);
}

#[tokio::test]
async fn a_repeated_report_is_answered_done_before_and_changes_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    for (request, ending) in [
        ("s", success()),
        ("r", retry(Duration::from_secs(60))),
        ("u", give_back(Duration::from_secs(60))),
        ("h", hold()),
        ("d", death()),
    ] {
        enqueue_new(&store, spec(request)).await;
        let claimed = worker.claim_one(&store).await;
        assert_eq!(worker.end(&store, &claimed, ending.clone()).await, Answer::Done, "{request}");
        let before = Snapshot::take(&redis).contents();
        assert_eq!(worker.end(&store, &claimed, ending).await, Answer::DoneBefore, "{request}");
        assert_eq!(Snapshot::take(&redis).contents(), before, "{request}");
        audit(&redis);
    }
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
    assert!(job.finished_at.is_some() && job.input.is_some(), "a dead job can be redriven");
    let groups = store.dead_groups().await.unwrap();
    assert_eq!((groups.len(), groups[0].count, groups[0].sample), (1, 1, id));
    audit(&redis);
}

#[tokio::test]
async fn a_backoff_is_a_due_time_that_the_answer_knows() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let id = enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    let report = [Finished { claimed, ending: retry(Duration::from_millis(50)) }];
    let (_, claims) = store.cycle(&report, &worker.request(1)).await.unwrap();
    assert_eq!(claims.next_due, Some(Duration::from_millis(50)));
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    let due = claims.now.plus(Duration::from_millis(50));
    assert_eq!((job.state, job.attempt, job.run_at), (JobState::Scheduled, 1, Some(due)));
    assert_eq!(job.failure.as_ref(), Some(&failure()));
    until_past(&store, due).await;
    assert_eq!(worker.claim_one(&store).await.job.attempt, 2);
}

#[tokio::test]
async fn a_full_worker_rings_when_its_retry_is_the_next_to_become_due() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    redis.cli(&["DEL", "ai:queue:wake"]);
    worker.end(&store, &claimed, retry(Duration::from_secs(9))).await;
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:wake"]), 1, "an idle worker has to look again sooner");
}

#[tokio::test]
async fn an_uncharged_return_and_a_hold_keep_what_they_should() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let id = enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    worker.end(&store, &claimed, give_back(Duration::ZERO)).await;
    let again = worker.claim_one(&store).await;
    assert_eq!(again.job.attempt, 1, "nothing was charged");
    worker.end(&store, &again, Ending::Released).await;
    let third = worker.claim_one(&store).await;
    assert_eq!((third.job.attempt, third.job.failure.as_ref().map(|f| f.message.as_str())), (1, Some("it broke")));
    worker.end(&store, &third, hold()).await;
    let job = store.job(&Scope::All, id).await.unwrap().unwrap();
    assert_eq!((job.state, job.held_reason), (JobState::Held, Some(HeldReason::OutcomeUnknown)));
    assert!(worker.claim(&store, 1).await.is_empty(), "a held job is not in line");
    assert_eq!(redis.cli_int(&["HGET", "ai:queue:stats", "released"]), 2);
    audit(&redis);
}

#[tokio::test]
async fn a_stopped_worker_that_comes_back_changes_nothing() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (stopped, other) = (TestWorker::register(&store).await, TestWorker::register(&store).await);
    enqueue_many(&store, "ws", "r", 5, |_| {}).await;
    let old = stopped.claim_and_lose(&store, 5).await;
    redis.forget_worker(stopped.id);
    // One waits, one runs, one succeeded, one is dead, one was cancelled.
    let mut new = Vec::new();
    for _ in 0..4 {
        new.push(other.claim_one(&store).await);
    }
    other.end(&store, &new.remove(1), success()).await;
    other.end(&store, &new.remove(1), death()).await;
    store.cancel(&queue(), new.remove(1).job.id).await.unwrap();
    let before = Snapshot::take(&redis).contents();
    for ending in [success(), retry(Duration::ZERO), death(), hold(), Ending::Released] {
        for claimed in &old {
            assert_eq!(stopped.end(&store, claimed, ending.clone()).await, Answer::Stale, "{ending:?}");
        }
        let reports: Vec<_> =
            old.iter().map(|claimed| Finished { claimed: claimed.clone(), ending: ending.clone() }).collect();
        let answers = store.release(&queue(), &reports).await.unwrap();
        assert!(answers.iter().all(|answer| *answer == Answer::Stale), "{answers:?}");
    }
    for claimed in &old {
        assert!(!store.progress(claimed, &RawJson::from_compact("{}")).await.unwrap());
    }
    assert_eq!(Snapshot::take(&redis).contents(), before);
    audit(&redis);
}

#[tokio::test]
async fn a_cancelled_attempt_is_told_that_it_is_stale() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    store.cancel(&queue(), claimed.job.id).await.unwrap();
    assert_eq!(worker.end(&store, &claimed, success()).await, Answer::Stale);
    assert_eq!(state(&store, claimed.job.id).await, JobState::Cancelled);
}

#[tokio::test]
async fn a_report_just_after_the_end_of_its_lease_still_counts() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_new(&store, spec("r1")).await;
    let late = worker.claim_and_lose(&store, 1).await.remove(0);
    assert_eq!(worker.end(&store, &late, success()).await, Answer::Done, "nobody took the lease away");
    assert_eq!(state(&store, late.job.id).await, JobState::Succeeded);
    audit(&redis);
}

#[tokio::test]
async fn one_report_twice_in_a_call_is_written_once() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    let report = Finished { claimed, ending: success() };
    let (answers, _) = store.cycle(&[report.clone(), report], &worker.request(0)).await.unwrap();
    assert_eq!(answers[0], Answer::Done);
    assert_eq!(redis.cli_int(&["HGET", "ai:queue:stats", "succeeded"]), 1);
    audit(&redis);
}

#[tokio::test]
async fn a_batch_ends_each_attempt_on_its_own_and_claims_the_next() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 12, |_| {}).await;
    let claimed = worker.claim(&store, 6).await;
    store.cancel(&queue(), claimed[5].job.id).await.unwrap();
    let endings =
        [success(), retry(Duration::from_secs(60)), give_back(Duration::from_secs(60)), death(), hold(), success()];
    let reports: Vec<_> =
        claimed.into_iter().zip(endings).map(|(claimed, ending)| Finished { claimed, ending }).collect();
    let (answers, claims) = store.cycle(&reports, &worker.request(6)).await.unwrap();
    assert_eq!(answers[..5], [Answer::Done; 5]);
    assert_eq!(answers[5], Answer::Stale, "a bad report does not harm its neighbours");
    assert_eq!(claims.jobs.len(), 6);
    let seen = audit(&redis);
    assert_eq!(seen.members("ai:queue:scheduled").len(), 2);
    assert_eq!((seen.members("ai:queue:held").len(), seen.members("ai:queue:dead").len()), (1, 1));
}

#[tokio::test]
async fn two_workers_that_report_one_attempt_write_it_once() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (store, worker, claimed) = (store.clone(), worker.clone(), claimed.clone());
        calls.spawn(async move { worker.end(&store, &claimed, success()).await });
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.iter().filter(|answer| **answer == Answer::Done).count(), 1);
    assert_eq!(answers.iter().filter(|answer| **answer == Answer::DoneBefore).count(), 19);
    audit(&redis);
}

#[tokio::test]
async fn the_end_of_a_capped_attempt_frees_its_slot_whatever_the_end() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let limits = WorkspaceLimits { weight: 1, max_running: Some(1) };
    store.set_workspace_limits(&workspace("ws"), limits).await.unwrap();
    enqueue_many(&store, "ws", "r", 6, |_| {}).await;
    let minute = Duration::from_secs(60);
    for ending in [success(), retry(minute), give_back(minute), death(), hold()] {
        let claimed = worker.claim_one(&store).await;
        assert!(worker.claim(&store, 5).await.is_empty(), "the cap holds");
        worker.end(&store, &claimed, ending).await;
        audit(&redis);
    }
    worker.claim_one(&store).await;
    assert_eq!(redis.cli_int(&["SCARD", "ai:queue:slots:ws"]), 1);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    let claimed = worker.claim(&store, 2).await;
    let reports: Vec<_> =
        claimed.into_iter().zip([success(), death()]).map(|(claimed, ending)| Finished { claimed, ending }).collect();
    let done = format!("ai:done:{}", from_now(&store, 0).await.unix_ms() / 3_600_000);
    let keys = [LINE_KEYS, ENDING_KEYS, &[done.as_str()]].concat();
    refuses_wrong_types(&redis, &keys, async || store.cycle(&reports, &worker.request(5)).await).await;
    let (answers, claims) = store.cycle(&reports, &worker.request(5)).await.unwrap();
    assert_eq!((answers, claims.jobs.len()), (vec![Answer::Done; 2], 1), "and nothing was lost");
}
