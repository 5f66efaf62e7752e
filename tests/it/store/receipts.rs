//! Verb `receipts`.

use windlass::domain::{EffectClass, JobId, RawJson, Timestamp};
use windlass::store::{Scope, Shards, Unhold};

use crate::support::jobs::{TestWorker, enqueue_new, hold, queue, spec, workspace};
use crate::support::redis::TestRedis;

#[tokio::test]
async fn a_job_without_effects_and_one_that_never_was_have_none() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let id = enqueue_new(&store, spec("r1")).await;
    for id in [id, JobId::new(1, 0)] {
        assert!(store.effects(id, None).await.unwrap().is_empty());
        assert!(store.effects(id, Some(5)).await.unwrap().is_empty());
        assert_eq!(store.approval(id).await.unwrap(), None);
    }
}

#[tokio::test]
async fn another_workspace_sees_no_effects() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let id = enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    store.effect_begin(&claimed, "send", EffectClass::Keyed, false, "").await.unwrap();
    worker.end(&store, &claimed, hold()).await;
    let (by, digest) = ("ann".to_owned(), "abc".to_owned());
    let approved = Unhold::Approved { by, digest, expires_at: Timestamp::from_unix_ms(5) };
    store.unhold(&queue(), id, None, approved).await.unwrap();
    let shards = Shards::from(store.clone());
    let foreign = Scope::Workspace(workspace("other"));
    assert!(shards.effects(&foreign, id).await.unwrap().is_empty());
    assert_eq!(shards.approval(&foreign, id).await.unwrap(), None);
    for scope in [Scope::All, Scope::Workspace(workspace("ws"))] {
        assert_eq!(shards.effects(&scope, id).await.unwrap().len(), 1);
        assert_eq!(shards.approval(&scope, id).await.unwrap().unwrap().digest, "abc");
    }
}

#[tokio::test]
async fn a_cancelled_job_shows_what_it_had_begun() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let worker = TestWorker::register(&store).await;
    let id = enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    store.effect_begin(&claimed, "send", EffectClass::Once, false, "").await.unwrap();
    store.effect_note(&claimed, "send", &RawJson::from_compact("7")).await.unwrap();
    store.cancel(&queue(), id).await.unwrap();
    assert!(store.effects(id, None).await.unwrap().is_empty(), "it is no live job");
    let found = Shards::from(store).effects(&Scope::All, id).await.unwrap();
    assert_eq!((found.len(), found[0].document.as_str()), (1, "7"));
}

#[tokio::test]
async fn a_read_beside_writes_sees_one_of_them_whole() {
    let redis = TestRedis::start().await;
    let (store, other) = (redis.store().await, redis.store().await);
    let worker = TestWorker::register(&store).await;
    let id = enqueue_new(&store, spec("r1")).await;
    let claimed = worker.claim_one(&store).await;
    store.effect_begin(&claimed, "send", EffectClass::Once, false, "").await.unwrap();
    for i in 0..20 {
        let note = RawJson::from_compact(i.to_string());
        let (noted, seen) = tokio::join!(store.effect_note(&claimed, "send", &note), other.effects(id, None));
        assert!(noted.unwrap());
        let seen = seen.unwrap();
        assert_eq!(seen.len(), 1);
        let earlier = if i == 0 { "null".to_owned() } else { (i - 1).to_string() };
        assert!([earlier, i.to_string()].contains(&seen[0].document.as_str().to_owned()), "{seen:?}");
    }
}
