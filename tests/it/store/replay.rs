//! Verb `replay`: steps of a redrive and of a move.

use std::time::Duration;

use windlass::domain::{JobId, JobState, OperationAction, Priority, QueueName, RawJson, Skipped};
use windlass::store::{PartPlace, Scope, Step, Store, StoreError, Switch};

use crate::support::audit::{ENDING_KEYS, LINE_KEYS, Snapshot, audit, refuses_wrong_types};
use crate::support::jobs::{
    TestWorker, death, enqueue, enqueue_many, enqueue_new, from_now, queue, retry, shaped, spec, state, until_past,
};
use crate::support::operations::{begun, look, plan, planned, skipped, step, steps};
use crate::support::redis::TestRedis;

async fn dead(store: &Store, n: usize) -> Vec<JobId> {
    let ids = enqueue_many(store, "ws", "dead", n, |_| {}).await;
    let worker = TestWorker::register(store).await;
    for claimed in worker.claim(store, n).await {
        worker.end(store, &claimed, death()).await;
    }
    ids
}

fn other() -> QueueName {
    QueueName::new("other").unwrap()
}

#[tokio::test]
async fn a_step_redrives_its_jobs_and_counts_them_once_however_often_it_is_made() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let ids = dead(&store, 5).await;
    let operation = begun(&store, plan(OperationAction::Redrive)).await;
    let (to, found) = look(&store, &operation, 0, 3).await.remove(0);
    assert_eq!(found.len(), 3);
    let before = store.operation_part(operation.id).await.unwrap();
    let part = store.operate(Step { operation: &operation, part: &before, to: &to, ids: &found }).await.unwrap();
    assert_eq!((part.counts.matched, part.counts.done, &part.place), (3, 3, &to));
    let settled = Snapshot::take(&redis).contents();
    // The reply was lost, or two processes thought that it was their turn.
    for ids in [&found[..], &ids[..]] {
        let again = store.operate(Step { operation: &operation, part: &before, to: &to, ids }).await.unwrap();
        assert_eq!((again.counts.done, again.place), (3, to.clone()));
    }
    assert_eq!(Snapshot::take(&redis).contents(), settled);
    assert_eq!(redis.cli_int(&["HGET", "ai:queue:stats", "redriven"]), 3);
    assert_eq!(store.dead_groups().await.unwrap()[0].count, 2);
    audit(&redis);
}

#[tokio::test]
async fn a_job_that_has_another_owner_of_its_request_is_skipped_and_counted() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let ids = dead(&store, 3).await;
    redis.cli(&["DEL", "ai:idempotency:ws:dead-1"]);
    enqueue_new(&store, spec("dead-1")).await;
    let operation = begun(&store, plan(OperationAction::Redrive)).await;
    let counts = steps(&store, &operation, 0).await;
    assert_eq!((counts.matched, counts.done, skipped(&counts, Skipped::Superseded)), (3, 2, 1));
    assert_eq!(state(&store, ids[1]).await, JobState::Dead);
    audit(&redis);
}

#[tokio::test]
async fn who_died_since_it_began_is_left_and_who_is_no_longer_dead_is_skipped() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let ids = dead(&store, 2).await;
    let operation = begun(&store, plan(OperationAction::Redrive)).await;
    until_past(&store, operation.created_at).await;
    let late = enqueue_new(&store, spec("late")).await;
    let worker = TestWorker::register(&store).await;
    let claimed = worker.claim_one(&store).await;
    worker.end(&store, &claimed, death()).await;
    let (to, found) = look(&store, &operation, 0, 100).await.remove(0);
    assert_eq!(found, ids);
    store.redrive(&queue(), ids[0], None).await.unwrap();
    let part = step(&store, &operation, &to, &[ids[0], ids[1], late]).await;
    assert_eq!((part.counts.done, skipped(&part.counts, Skipped::State)), (1, 2));
    assert_eq!(state(&store, late).await, JobState::Dead);
    audit(&redis);
}

#[tokio::test]
async fn cancelled_and_expired_jobs_of_any_queue_start_anew_when_the_filter_says_so() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let mut ids = Vec::new();
    for (request, name) in [("a", "default"), ("b", "other")] {
        let job = shaped("ws", request, |s| s.queue = QueueName::new(name).unwrap());
        let id = enqueue_new(&store, job).await;
        store.cancel(&QueueName::new(name).unwrap(), id).await.unwrap();
        ids.push(id);
    }
    let end = from_now(&store, 5).await;
    ids.push(enqueue_new(&store, shaped("ws", "c", |s| s.expires_at = Some(end))).await);
    until_past(&store, end).await;
    TestWorker::register(&store).await.claims(&store, 0).await;
    let states = vec![JobState::Cancelled, JobState::Expired];
    let operation = begun(&store, planned(OperationAction::Redrive, |plan| plan.filter.states = states)).await;
    let counts = steps(&store, &operation, 0).await;
    assert_eq!((counts.matched, counts.done), (3, 3));
    for id in &ids {
        assert_eq!(state(&store, *id).await, JobState::Pending);
    }
    let (ours, others) = (["LLEN", "ai:queue:pending"], ["LLEN", "ai:queue:pending:other"]);
    assert_eq!((redis.cli_int(&ours), redis.cli_int(&others)), (2, 1));
}

#[tokio::test]
async fn a_bucket_that_is_walked_again_counts_whom_it_skips_once() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    for i in 0..3 {
        let id = enqueue_new(&store, spec(&format!("r{i}"))).await;
        store.cancel(&queue(), id).await.unwrap();
        redis.cli(&["DEL", &format!("ai:idempotency:ws:r{i}")]);
        enqueue_new(&store, spec(&format!("r{i}"))).await;
    }
    let cancelled = |plan: &mut windlass::domain::OperationPlan| plan.filter.states = vec![JobState::Cancelled];
    let operation = begun(&store, planned(OperationAction::Redrive, cancelled)).await;
    let (to, found) =
        look(&store, &operation, 0, 100).await.into_iter().find(|(_, found)| !found.is_empty()).expect("a bucket");
    let PartPlace::At(place, _) = &to else { panic!("{to:?}") };
    let again = PartPlace::At(place.clone(), "another:0".to_owned());
    step(&store, &operation, &again, &found).await;
    let part = step(&store, &operation, &to, &found).await;
    assert_eq!((part.counts.matched, skipped(&part.counts, Skipped::Superseded)), (3, 3));
    step(&store, &operation, &PartPlace::End, &[]).await;
    assert_eq!(redis.cli_int(&["EXISTS", &format!("ai:operation:{}:met", operation.id)]), 0);
}

fn moved(change: impl FnOnce(&mut windlass::domain::OperationPlan)) -> windlass::domain::OperationPlan {
    planned(OperationAction::Move, |plan| {
        plan.target = Some(other());
        change(plan);
    })
}

#[tokio::test]
async fn a_move_takes_line_schedule_and_expiry_into_the_other_queue() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let waits = enqueue_new(&store, shaped("ws", "r1", |s| s.metadata = RawJson::from_compact("{\"a\":1}"))).await;
    let high = enqueue_new(&store, shaped("ws", "r2", |s| s.priority = Priority::High)).await;
    let (at, end) = (from_now(&store, 60_000).await, from_now(&store, 120_000).await);
    let later = shaped("ws", "r3", |s| (s.run_at, s.expires_at) = (Some(at), Some(end)));
    let later = enqueue_new(&store, later).await;
    store.pause(&queue(), &Switch::Type(spec("x").job_type), "ann", "").await.unwrap();
    let parked = enqueue_new(&store, spec("r4")).await;
    let before: Vec<_> = [waits, high, later, parked].to_vec();
    let mut jobs = Vec::new();
    for id in &before {
        jobs.push(store.job(&Scope::All, *id).await.unwrap().unwrap());
    }
    let operation = begun(&store, moved(|_| {})).await;
    let counts = steps(&store, &operation, 1).await;
    assert_eq!((counts.matched, counts.done), (4, 4), "{counts:?}");
    for old in jobs {
        let job = store.job(&Scope::All, old.id).await.unwrap().unwrap();
        assert_eq!(job.queue, other());
        let same = windlass::domain::Job { queue: old.queue.clone(), ..job };
        assert_eq!(format!("{same:?}"), format!("{old:?}"), "nothing else changed");
    }
    for (key, there) in [("pending", 3), ("scheduled", 1), ("expiring", 1)] {
        let size = if key == "pending" { "LLEN" } else { "ZCARD" };
        assert_eq!(redis.cli_int(&[size, &format!("ai:queue:{key}:other")]), there, "{key}");
        assert_eq!(redis.cli_int(&[size, &format!("ai:queue:{key}")]), 0, "{key}");
    }
    let worker = TestWorker { queue: other(), ..TestWorker::register(&store).await };
    worker.heartbeat(&store, Duration::from_secs(60)).await;
    assert_eq!(worker.work_off(&store, 1).await, [high, waits, parked]);
    assert!(store.queue_names().await.unwrap().contains(&other()));
}

#[tokio::test]
async fn a_move_back_leaves_everything_as_it_was_but_the_counters() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    let record = redis.cli(&["HGET", "ai:jobs", &id.to_string()]);
    let there = begun(&store, moved(|_| {})).await;
    steps(&store, &there, 1).await;
    let back = |plan: &mut windlass::domain::OperationPlan| {
        (plan.filter.queue, plan.target) = (Some(other()), Some(queue()));
    };
    let back = begun(&store, planned(OperationAction::Move, back)).await;
    assert_eq!(steps(&store, &back, 1).await.done, 1);
    assert_eq!(redis.cli(&["HGET", "ai:jobs", &id.to_string()]), record);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 1);
    assert_eq!(redis.cli_int(&["EXISTS", "ai:queue:pending:other"]), 0);
    let stat = |queue: &str, field: &str| redis.cli_int(&["HGET", &format!("ai:queue:stats{queue}"), field]);
    assert_eq!([stat("", "moved_out"), stat("", "moved_in")], [1, 1]);
    assert_eq!([stat(":other", "moved_out"), stat(":other", "moved_in")], [1, 1]);
}

#[tokio::test]
async fn who_finds_no_room_or_a_closed_intake_stays_and_is_counted() {
    let redis = TestRedis::start().await;
    let store = redis.store_with(|options| options.max_depth = 3).await;
    let there = shaped("ws", "there", |s| s.queue = other());
    enqueue(&store, there).await;
    enqueue_many(&store, "ws", "r", 3, |_| {}).await;
    let operation = begun(&store, moved(|_| {})).await;
    let counts = steps(&store, &operation, 1).await;
    assert_eq!((counts.matched, counts.done, skipped(&counts, Skipped::QueueFull)), (3, 2, 1));
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending"]), 1);
    assert_eq!(redis.cli_int(&["LLEN", "ai:queue:pending:other"]), 3);
    store.pause(&other(), &Switch::Intake, "ann", "").await.unwrap();
    let worker = TestWorker { queue: other(), ..TestWorker::register(&store).await };
    worker.heartbeat(&store, Duration::from_secs(60)).await;
    worker.work_off(&store, 5).await;
    let closed = begun(&store, moved(|_| {})).await;
    let counts = steps(&store, &closed, 1).await;
    assert_eq!((counts.done, skipped(&counts, Skipped::QueueFull)), (0, 1));
}

#[tokio::test]
async fn a_pass_counts_only_whom_it_skips_itself() {
    let redis = TestRedis::start().await;
    let store = redis.store_with(|options| options.max_depth = 1).await;
    let worker = TestWorker::register(&store).await;
    enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    enqueue_new(&store, spec("r2")).await;
    worker.end(&store, &claimed, retry(Duration::ZERO)).await;
    let operation = begun(&store, moved(|_| {})).await;
    let counts = steps(&store, &operation, 1).await;
    assert_eq!((counts.done, skipped(&counts, Skipped::QueueFull)), (1, 1));
    let counts = steps(&store, &operation, 2).await;
    assert_eq!((counts.matched, counts.done, skipped(&counts, Skipped::QueueFull)), (2, 1, 1), "not two of them");
}

#[tokio::test]
async fn causes_beyond_five_thousand_share_a_group_and_every_count_comes_back_to_nothing() {
    const FILL: &str = "for i = 1, tonumber(ARGV[1]) do redis.call('HSET', KEYS[1], 'q\\techo\\t' .. i, \
                        '1\\t1\\t1\\t0aaaaaaaaaaaaaaaaaaaaa\\terror') end";
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    redis.ask(&["EVAL", FILL, "1", &redis.named("ai:dead:groups"), "5000"]);
    dead(&store, 2).await;
    let groups = store.dead_groups().await.unwrap();
    let mixed: Vec<_> = groups.iter().filter(|group| group.fingerprint == "other").map(|group| group.count).collect();
    assert_eq!((groups.len(), mixed), (5_001, vec![2]));
    let operation = begun(&store, plan(OperationAction::Redrive)).await;
    assert_eq!(steps(&store, &operation, 0).await.done, 2);
    assert_eq!(store.dead_groups().await.unwrap().len(), 5_000);
}

#[tokio::test]
async fn a_full_redis_refuses_a_redrive_and_says_so() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    dead(&store, 1).await;
    let operation = begun(&store, plan(OperationAction::Redrive)).await;
    let (to, found) = look(&store, &operation, 0, 100).await.remove(0);
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let part = store.operation_part(operation.id).await.unwrap();
    let refused = store.operate(Step { operation: &operation, part: &part, to: &to, ids: &found }).await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(step(&store, &operation, &to, &found).await.counts.done, 1);
    audit(&redis);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    store.cancel(&queue(), id).await.unwrap();
    let states = |plan: &mut windlass::domain::OperationPlan| plan.filter.states = vec![JobState::Cancelled];
    let operation = begun(&store, planned(OperationAction::Redrive, states)).await;
    let (to, found) =
        look(&store, &operation, 0, 100).await.into_iter().find(|(_, found)| !found.is_empty()).expect("a bucket");
    let part = store.operation_part(operation.id).await.unwrap();
    let hour = store.stored(&Scope::All, id).await.unwrap().unwrap().bucket.unwrap();
    let (done, own) = (format!("ai:done:{hour}"), format!("ai:operation:{}", operation.id));
    let keys = [LINE_KEYS, ENDING_KEYS, &[done.as_str(), own.as_str()]].concat();
    let call = async || store.operate(Step { operation: &operation, part: &part, to: &to, ids: &found }).await;
    refuses_wrong_types(&redis, &keys, call).await;
    assert_eq!(call().await.unwrap().counts.done, 1);
}
