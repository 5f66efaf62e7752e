//! Verb `deltas`.

use std::time::Duration;

use windlass::domain::{AttemptId, bounds};
use windlass::store::{Claimed, Delta, DeltaPlace, LeaseRef, NewDelta, Store};

use crate::support::audit::{Snapshot, audit, refuses_wrong_types};
use crate::support::jobs::{TestWorker, enqueue_many, enqueue_new, retry, spec, success};
use crate::support::redis::TestRedis;

fn lease(claimed: &Claimed) -> LeaseRef {
    LeaseRef { queue: claimed.job.queue.clone(), job: claimed.job.id, attempt_id: claimed.attempt_id }
}

async fn write(store: &Store, claimed: &Claimed, place: Option<DeltaPlace>, text: &str) -> Option<DeltaPlace> {
    let lease = lease(claimed);
    let new = NewDelta { lease: &lease, attempt: claimed.job.attempt, place, truncated: false, text };
    store.deltas(&[new]).await.unwrap()[0]
}

async fn texts(store: &Store, claimed: &Claimed) -> Vec<String> {
    let all = store.deltas_after(claimed.job.id, None, 100).await.unwrap();
    all.into_iter().map(|delta| delta.text).collect()
}

async fn running(redis: &TestRedis) -> (Store, TestWorker, Claimed) {
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    (store, worker, claimed)
}

#[tokio::test]
async fn text_is_kept_in_order_and_read_from_any_place() {
    let redis = TestRedis::start().await;
    let (store, _, claimed) = running(&redis).await;
    let first = write(&store, &claimed, None, "one\n").await.expect("written");
    let second = write(&store, &claimed, Some(first.next()), "zwei ä").await.expect("written");
    assert_eq!((first.seq, second), (1, first.next()));
    let all = store.deltas_after(claimed.job.id, None, 100).await.unwrap();
    let delta = |place, begins, text: &str| Delta { place, attempt: 1, begins, truncated: false, text: text.into() };
    assert_eq!(all, [delta(first, true, "one\n"), delta(second, false, "zwei ä")]);
    assert_eq!(store.deltas_after(claimed.job.id, Some(first), 100).await.unwrap(), all[1..]);
    assert_eq!(store.deltas_after(claimed.job.id, None, 1).await.unwrap(), all[..1]);
    assert_eq!(store.newest_delta(claimed.job.id).await.unwrap(), Some(second));
    let life = redis.cli_int(&["TTL", &format!("ai:job:{}:stream", claimed.job.id)]);
    assert!((3590..=3600).contains(&life), "{life}");
    audit(&redis);
}

#[tokio::test]
async fn a_repeated_entry_is_written_once() {
    let redis = TestRedis::start().await;
    let (store, _, claimed) = running(&redis).await;
    let first = write(&store, &claimed, None, "a").await.expect("written");
    for _ in 0..2 {
        assert_eq!(write(&store, &claimed, Some(first.next()), "b").await, Some(first.next()));
    }
    assert_eq!(texts(&store, &claimed).await, ["a", "b"]);
}

#[tokio::test]
async fn another_answer_takes_the_place_of_the_one_before_and_counts_on() {
    let redis = TestRedis::start().await;
    let (store, worker, claimed) = running(&redis).await;
    let first = write(&store, &claimed, None, "a").await.expect("written");
    write(&store, &claimed, Some(first.next()), "b").await.expect("written");
    worker.end(&store, &claimed, retry(Duration::ZERO)).await;
    let again = worker.claim_one(&store).await;
    let begun = write(&store, &again, None, "c").await.expect("written");
    assert_eq!(begun, DeltaPlace { made: first.made, seq: 3 });
    let left = store.deltas_after(claimed.job.id, Some(first), 100).await.unwrap();
    assert_eq!(left.iter().map(|d| (d.attempt, d.begins, d.text.as_str())).collect::<Vec<_>>(), [(2, true, "c")]);
}

#[tokio::test]
async fn a_stale_or_unknown_attempt_changes_nothing() {
    let redis = TestRedis::start().await;
    let (store, worker, claimed) = running(&redis).await;
    let first = write(&store, &claimed, None, "a").await.expect("written");
    let mut foreign = claimed.clone();
    foreign.attempt_id = AttemptId::random();
    let before = Snapshot::take(&redis).contents();
    assert_eq!(write(&store, &foreign, Some(first.next()), "b").await, None);
    assert_eq!(write(&store, &foreign, None, "b").await, None);
    assert_eq!(Snapshot::take(&redis).contents(), before);
    worker.end(&store, &claimed, success()).await;
    let before = Snapshot::take(&redis).contents();
    assert_eq!(write(&store, &claimed, Some(first.next()), "b").await, None);
    assert_eq!(Snapshot::take(&redis).contents(), before);
    assert_eq!(texts(&store, &claimed).await, ["a"], "what was told stays readable");
}

#[tokio::test]
async fn one_call_serves_many_jobs_and_answers_each() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    enqueue_many(&store, "ws", "r", 100, |_| {}).await;
    let claimed = worker.claim(&store, 100).await;
    worker.end(&store, &claimed[7], success()).await;
    let leases: Vec<LeaseRef> = claimed.iter().map(lease).collect();
    let new = |lease| NewDelta { lease, attempt: 1, place: None, truncated: true, text: "x" };
    let all: Vec<NewDelta<'_>> = leases.iter().map(new).collect();
    let places = store.deltas(&all).await.unwrap();
    assert_eq!(places.iter().filter(|place| place.is_some()).count(), 99);
    assert_eq!(places[7], None);
    assert!(store.deltas_after(claimed[8].job.id, None, 1).await.unwrap()[0].truncated);
    assert_eq!(redis.cli_int(&["XLEN", "ai:streamed"]), 1, "one wake-up for all");
    let too_many: Vec<NewDelta<'_>> = all.iter().chain(&all[..1]).copied().collect();
    assert!(store.deltas(&too_many).await.is_err());
}

#[tokio::test]
async fn an_entry_over_sixteen_kibibytes_is_refused() {
    let redis = TestRedis::start().await;
    let (store, _, claimed) = running(&redis).await;
    let text = "x".repeat(bounds::DELTA + 1);
    let lease = lease(&claimed);
    let new = |text| NewDelta { lease: &lease, attempt: 1, place: None, truncated: false, text };
    assert!(store.deltas(&[new(&text)]).await.is_err());
    assert!(store.deltas(&[new(&text[1..])]).await.unwrap()[0].is_some());
}

#[tokio::test]
async fn wake_ups_are_bounded_and_none_come_without_events() {
    let redis = TestRedis::start().await;
    let (store, _, claimed) = running(&redis).await;
    let mut place = write(&store, &claimed, None, "x").await.expect("written");
    for _ in 0..1500 {
        place = write(&store, &claimed, Some(place.next()), "x").await.expect("written");
    }
    let kept = redis.cli_int(&["XLEN", "ai:streamed"]);
    assert!((1000..1200).contains(&kept), "{kept}");
    let silent = redis.store_with(|options| options.events_kept = 0).await;
    redis.cli(&["DEL", "ai:streamed"]);
    write(&silent, &claimed, Some(place.next()), "x").await.expect("written");
    assert_eq!(redis.cli_int(&["EXISTS", "ai:streamed"]), 0);
}

#[tokio::test]
async fn text_races_the_end_of_the_job_and_is_whole_or_absent() {
    let redis = TestRedis::start().await;
    let (store, other) = (redis.store().await, redis.store().await);
    let worker = TestWorker::register(&store).await;
    for i in 0..20 {
        enqueue_new(&store, spec(&format!("r{i}"))).await;
        let claimed = worker.claim_one(&store).await;
        let (written, _) = tokio::join!(write(&other, &claimed, None, "x"), worker.end(&store, &claimed, success()));
        assert_eq!(texts(&store, &claimed).await.len(), usize::from(written.is_some()));
    }
    audit(&redis);
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let (store, _, claimed) = running(&redis).await;
    write(&store, &claimed, None, "x").await.expect("written");
    let stream = format!("ai:job:{}:stream", claimed.job.id);
    let keys = ["ai:queue:running", &stream, "ai:streamed"];
    let lease = lease(&claimed);
    let new = [NewDelta { lease: &lease, attempt: 1, place: None, truncated: false, text: "x" }];
    refuses_wrong_types(&redis, &keys, async || store.deltas(&new).await).await;
}
