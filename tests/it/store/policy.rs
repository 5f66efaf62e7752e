//! Verb `policy`.

use windlass::store::{PolicyChange, Shards};

use crate::support::audit::refuses_wrong_types;
use crate::support::jobs::workspace;
use crate::support::redis::TestRedis;

fn change(name: Option<&str>, document: Option<&str>) -> PolicyChange {
    PolicyChange { workspace: name.map(workspace), document: document.map(str::to_owned) }
}

#[tokio::test]
async fn every_change_of_a_document_makes_a_revision() {
    let redis = TestRedis::start().await;
    let shards = Shards::from(redis.store().await);
    assert_eq!(shards.first().policies().await.unwrap(), windlass::store::StoredPolicies::default());
    let first = shards.set_policy(&change(None, Some("{}"))).await.unwrap();
    assert_eq!(shards.first().policy_revision().await.unwrap(), first);
    let second = shards.set_policy(&change(Some("rev"), Some("{\"enabled\":false}"))).await.unwrap();
    assert_ne!(first, second);
    let stored = shards.first().policies().await.unwrap();
    assert_eq!(stored.revision, second, "a workspace's name does not overwrite it");
    let documents = [("*".to_owned(), "{}".to_owned()), ("rev".to_owned(), "{\"enabled\":false}".to_owned())];
    assert_eq!(stored.documents, documents.into());
    for _ in 0..2 {
        let third = shards.set_policy(&change(Some("rev"), None)).await.unwrap();
        let stored = shards.first().policies().await.unwrap();
        assert_eq!((stored.revision, stored.documents.len()), (third, 1), "removed, now or before");
    }
}

#[tokio::test]
async fn a_key_of_a_wrong_type_is_met_before_the_first_write() {
    let redis = TestRedis::start().await;
    let shards = Shards::from(redis.store().await);
    refuses_wrong_types(&redis, &["ai:policy"], async || shards.set_policy(&change(None, Some("{}"))).await).await;
}
