//! Redis did it, and the reply was lost: nothing is lost, doubled or charged.

use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;
use windlass::domain::JobState;
use windlass::engine::{Guard, SubmitError, Submitter};
use windlass::store::StoreError;

use crate::support::fleet::{Gated, reaches, short_lease, start};
use crate::support::jobs::{enqueue_new, spec};
use crate::support::processes::stat;
use crate::support::proxy::Proxy;
use crate::support::redis::TestRedis;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_claim_got_no_reply_comes_back_uncharged() {
    let redis = TestRedis::start().await;
    let mut proxy = Proxy::start(&redis).await;
    let (store, through) = (redis.store().await, proxy.store().await);
    let mut jobs = Gated::new();
    let id = enqueue_new(&store, spec("r")).await;
    // The list of types, as only claims send it.
    proxy.swallow_reply_to("\r\n$4\r\necho\r\n");
    let worker = start(&through, &jobs.registry, short_lease(2000));
    proxy.swallowed().await;
    let context = jobs.began().await;
    assert_eq!((context.id, context.attempt), (id, 1));
    jobs.go.add_permits(1);
    let job = reaches(&store, id, JobState::Succeeded).await;
    assert_eq!((job.attempt, job.crashes), (1, 0));
    assert_eq!((stat(&redis, "lease_expiries"), stat(&redis, "dequeue")), (1, 2));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_completion_got_no_reply_never_runs_again() {
    let redis = TestRedis::start().await;
    let mut proxy = Proxy::start(&redis).await;
    let (store, through) = (redis.store().await, proxy.store().await);
    let mut jobs = Gated::new();
    let worker = start(&through, &jobs.registry, short_lease(2000));
    let id = enqueue_new(&store, spec("r")).await;
    jobs.began().await;
    proxy.swallow_reply_to("\"done\"");
    jobs.go.add_permits(2);
    proxy.swallowed().await;
    reaches(&store, id, JobState::Succeeded).await;
    let next = enqueue_new(&store, spec("next")).await;
    reaches(&store, next, JobState::Succeeded).await;
    worker.stop().await;
    assert_eq!(jobs.more_begun(), 1, "only the next job began");
    assert_eq!((stat(&redis, "succeeded"), stat(&redis, "dequeue"), stat(&redis, "lease_expiries")), (2, 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enqueue_that_got_no_reply_is_repeated_and_makes_one_job() {
    let redis = TestRedis::start().await;
    let mut proxy = Proxy::start(&redis).await;
    let through = proxy.store().await;
    let shutdown = CancellationToken::new();
    let guard = Guard::start(redis.store().await, shutdown.clone());
    guard.first_look().await;
    let submitter = Submitter::start(through, guard, shutdown.clone());
    proxy.swallow_reply_to("print-of-r");
    let submitted = tokio::time::timeout(Duration::from_secs(60), submitter.submit(spec("r"))).await.unwrap().unwrap();
    proxy.swallowed().await;
    assert!(!submitted.replayed, "the repeat finds its own job");
    let again = submitter.submit(spec("r")).await.unwrap();
    assert!(again.replayed && again.job.id == submitted.job.id);
    assert_eq!((redis.cli_int(&["HLEN", "ai:jobs"]), stat(&redis, "enqueue")), (1, 1));
    shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_silent_redis_was_never_sent_is_refused_and_only_the_rest_is_unknown() {
    let redis = TestRedis::start().await;
    let proxy = Proxy::start(&redis).await;
    let through = proxy.store_with(|options| options.pool_size = 4).await;
    // Longer than an enqueue may wait, and shorter than a timeout of each connection in turn.
    let patient = proxy.store_with(|options| options.command_timeout = Duration::from_secs(7)).await;
    let shutdown = CancellationToken::new();
    let guard = Guard::start(redis.store().await, shutdown.clone());
    guard.first_look().await;
    let submitter = Submitter::start(through.clone(), guard, shutdown.clone());
    submitter.submit(spec("warm")).await.unwrap();
    proxy.go_silent();
    let submit = |n: usize| submitter.submit(spec(&format!("r{n}")));
    let answers = tokio::select! {
        answers = join_all((0..500).map(submit)) => answers,
        _ = patient.now() => panic!("the enqueues wait for more than one timeout"),
    };
    proxy.forward();
    through.wait_connected(Duration::from_secs(20)).await.unwrap();
    let (mut refused, mut unknown) = (0, 0);
    for (n, answer) in answers.into_iter().enumerate() {
        let again = submit(n).await.unwrap();
        match answer.unwrap_err() {
            SubmitError::Store(StoreError::Unavailable(_)) => {
                assert!(!again.replayed, "r{n} was said not to be enqueued");
                refused += 1;
            }
            SubmitError::Store(StoreError::Unknown(_)) => unknown += 1,
            other => panic!("r{n}: {other}"),
        }
    }
    assert!(refused > 0 && unknown > 0, "{refused} refused, {unknown} unknown");
    assert_eq!((redis.cli_int(&["HLEN", "ai:jobs"]), stat(&redis, "enqueue")), (501, 501));
    shutdown.cancel();
}
