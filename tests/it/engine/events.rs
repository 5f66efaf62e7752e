//! Events reach subscribers, resume, and say so when they have a gap.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use windlass::domain::JobState;
use windlass::engine::{Delivery, EventHub, JobEvent, Subscription};

use crate::support::jobs::{TestWorker, enqueue_new, spec, success};
use crate::support::redis::TestRedis;

async fn next(subscription: &mut Subscription) -> Delivery {
    let next = tokio::time::timeout(Duration::from_secs(60), subscription.next()).await;
    next.expect("a delivery").expect("the hub runs")
}

async fn next_event(subscription: &mut Subscription) -> JobEvent {
    loop {
        if let Delivery::Event(event) = next(subscription).await {
            return event;
        }
    }
}

fn states(deliveries: &[Delivery]) -> Vec<Option<JobState>> {
    let state = |d: &Delivery| match d {
        Delivery::Event(event) => Some(event.state),
        Delivery::Reset | Delivery::Text => None,
    };
    deliveries.iter().map(state).collect()
}

#[tokio::test]
async fn a_subscriber_sees_each_transition_in_order_and_resumes_by_its_cursor() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r")).await;
    let other = enqueue_new(&store, spec("other")).await;
    let hub = EventHub::start(store.clone(), CancellationToken::new()).unwrap();
    let mut subscription = hub.subscribe(id);
    // The tail has taken its place: from here on nothing is missed.
    assert!(matches!(next(&mut subscription).await, Delivery::Reset));
    let worker = TestWorker::register(&store).await;
    let claimed = worker.claim(&store, 2).await;
    let running = next_event(&mut subscription).await;
    assert_eq!((running.job, running.state, running.attempt), (id, JobState::Running, 1));
    for claimed in &claimed {
        worker.end(&store, claimed, success()).await;
    }
    assert_eq!(next_event(&mut subscription).await.state, JobState::Succeeded);
    assert_eq!(states(&hub.since(id, &running.cursor).await.unwrap()), [Some(JobState::Succeeded)]);
    assert_eq!(states(&hub.since(other, &running.cursor).await.unwrap()), [Some(JobState::Succeeded)]);
}

#[tokio::test]
async fn a_subscriber_that_comes_before_the_tail_is_told_to_read() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r")).await;
    let hub = EventHub::start(store.clone(), CancellationToken::new()).unwrap();
    let mut subscription = hub.subscribe(id);
    let worker = TestWorker::register(&store).await;
    let claimed = worker.claim_one(&store).await;
    worker.end(&store, &claimed, success()).await;
    loop {
        match next(&mut subscription).await {
            Delivery::Event(event) if event.state == JobState::Succeeded => break,
            Delivery::Event(_) | Delivery::Text => {}
            // A reader that looks now cannot miss the end.
            Delivery::Reset => {
                let job = store.job(&windlass::store::Scope::All, id).await.unwrap().unwrap();
                if job.state == JobState::Succeeded {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_cursor_beyond_the_stream_or_of_another_epoch_is_reset() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r")).await;
    let hub = EventHub::start(store.clone(), CancellationToken::new()).unwrap();
    let mut subscription = hub.subscribe(id);
    assert!(matches!(next(&mut subscription).await, Delivery::Reset));
    let worker = TestWorker::register(&store).await;
    let claimed = worker.claim_one(&store).await;
    let running = next_event(&mut subscription).await;
    worker.end(&store, &claimed, success()).await;
    enqueue_new(&store, spec("newer")).await;
    redis.cli(&["XTRIM", "ai:events", "MAXLEN", "1"]);
    assert_eq!(states(&hub.since(id, &running.cursor).await.unwrap()), [None]);
    let (_, place) = running.cursor.split_once('-').unwrap();
    for forged in [format!("other-{place}"), String::new(), "x".into(), format!("{}-x-y", running.cursor)] {
        assert_eq!(states(&hub.since(id, &forged).await.unwrap()), [None], "{forged}");
    }
}

#[tokio::test]
async fn after_a_broken_connection_subscribers_are_reset_and_hear_again() {
    let mut redis = TestRedis::start_durable().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r")).await;
    let hub = EventHub::start(store.clone(), CancellationToken::new()).unwrap();
    let mut subscription = hub.subscribe(id);
    assert!(matches!(next(&mut subscription).await, Delivery::Reset));
    redis.kill();
    redis.launch().await;
    assert!(matches!(next(&mut subscription).await, Delivery::Reset));
    store.wait_connected(Duration::from_secs(20)).await.unwrap();
    let worker = TestWorker::register(&store).await;
    worker.claim_one(&store).await;
    assert_eq!(next_event(&mut subscription).await.state, JobState::Running);
}

#[tokio::test]
async fn a_stopped_hub_ends_its_subscriptions() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let shutdown = CancellationToken::new();
    let hub = EventHub::start(store.clone(), shutdown.clone()).unwrap();
    let id = enqueue_new(&store, spec("r")).await;
    let mut subscription = hub.subscribe(id);
    shutdown.cancel();
    let end = async { while subscription.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(60), end).await.expect("it ends");
}
