//! Every job's transitions for those who watch: what a long absence is worth.

use tokio_util::sync::CancellationToken;
use windlass::engine::{EventHub, WatchHub, Watched};

use crate::support::jobs::enqueue_many;
use crate::support::redis::TestRedis;

#[tokio::test]
async fn who_comes_back_late_is_told_the_latest_transitions_and_that_others_were_missed() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let hub = WatchHub::new(EventHub::start(store.clone(), CancellationToken::new()).unwrap(), store.clone().into());
    let from = hub.place().await.unwrap();
    let jobs = enqueue_many(&store, "acme", "r", 4_200, |_| {}).await;
    let told = hub.since(&from).await.unwrap();
    let steps = told.iter().filter_map(|watched| match watched {
        Watched::Step(step) => Some(step.job),
        Watched::Reset => None,
    });
    assert!(matches!(told[0], Watched::Reset), "{:?}", told[0]);
    assert_eq!(steps.collect::<Vec<_>>(), jobs[4_200 - 4_096..]);
    let here = hub.place().await.unwrap();
    assert!(hub.since(&here).await.unwrap().is_empty(), "nothing happened since");
}
