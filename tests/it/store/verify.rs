//! Verb `verify`: one of the workers that are told checks a credential, and its answer is for whoever asked.

use std::time::Duration;

use windlass::domain::{CredentialName, Timestamp, Workspace};
use windlass::store::{Message, Verification, Verified};

use crate::support::audit::{Snapshot, refuses_wrong_types};
use crate::support::jobs::TestWorker;
use crate::support::redis::TestRedis;

fn demand(asked: Timestamp) -> Verification {
    Verification { workspace: Workspace::new("acme").unwrap(), name: CredentialName::new("mail").unwrap(), asked }
}

#[tokio::test]
async fn live_workers_are_told_and_one_takes_it_on() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (one, other) = (TestWorker::register(&store).await, TestWorker::register(&store).await);
    let about = demand(Timestamp::default());
    let asked = store.verify(&about.workspace, &about.name).await.unwrap();
    assert_eq!(asked.told, 2);
    let demand = demand(asked.at);
    let mut took = Vec::new();
    for worker in [&one, &other] {
        let told = store.inbox(worker.id).unwrap().wait(Duration::from_secs(5)).await.unwrap();
        assert_eq!(told, Some(Message::Verify(demand.clone())));
        took.push(store.take_verification(&demand).await.unwrap());
    }
    assert_eq!(took, [true, false]);
    let left = redis.cli_int(&["TTL", &format!("ai:worker:{}:inbox", one.id)]);
    assert!(left <= 60, "{left}");
}

#[tokio::test]
async fn an_answer_is_for_the_demand_that_it_answers() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let (one, other) = (demand(Timestamp::from_unix_ms(1)), demand(Timestamp::from_unix_ms(2)));
    assert!(store.take_verification(&one).await.unwrap());
    assert_eq!(store.verification(&one).await.unwrap(), None, "taken on is not answered");
    for accepted in [Some(true), Some(false), None] {
        let found = Verified { accepted, detail: "so \"it\" is".into() };
        store.verified(&one, &found).await.unwrap();
        assert_eq!(store.verification(&one).await.unwrap(), Some(found));
    }
    assert_eq!(store.verification(&other).await.unwrap(), None);
    let left = redis.cli_int(&["TTL", "ai:credential:check:acme/mail@1"]);
    assert!((1..=60).contains(&left), "{left}");
}

#[tokio::test]
async fn without_a_worker_nobody_is_told() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let before = Snapshot::take(&redis).contents();
    let about = demand(Timestamp::default());
    assert_eq!(store.verify(&about.workspace, &about.name).await.unwrap().told, 0);
    assert_eq!(Snapshot::take(&redis).contents(), before);
}

#[tokio::test]
async fn keys_of_other_types_are_refused_before_anything_is_written() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let about = demand(Timestamp::default());
    store.verify(&about.workspace, &about.name).await.unwrap();
    let inbox = format!("ai:worker:{}:inbox", worker.id);
    let keys = ["ai:workers", inbox.as_str()];
    refuses_wrong_types(&redis, &keys, async || store.verify(&about.workspace, &about.name).await).await;
}
