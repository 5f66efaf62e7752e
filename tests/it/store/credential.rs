//! Verb `credential`: sealed records, by revision, and the turn to renew one.

use std::time::Duration;

use windlass::domain::{CredentialKind, CredentialName, CredentialState, Timestamp, Workspace};
use windlass::store::{CredentialRecord, MOST_CREDENTIALS, PutCredential};

use crate::support::audit::{Snapshot, refuses_wrong_types};
use crate::support::redis::TestRedis;

fn ws(text: &str) -> Workspace {
    Workspace::new(text).unwrap()
}

fn name(text: &str) -> CredentialName {
    CredentialName::new(text).unwrap()
}

fn record(workspace: &str, of: &str, revision: u64) -> CredentialRecord {
    CredentialRecord {
        workspace: ws(workspace),
        name: name(of),
        kind: CredentialKind::Google,
        account: Some("me\t@example.org".into()),
        scopes: vec!["a".into(), "b".into()],
        key_id: "0011".into(),
        nonce: "bm9uY2U=".into(),
        sealed: "c2VhbGVk".into(),
        revision,
        state: CredentialState::Ok,
        reason: None,
        created_at: Timestamp::from_unix_ms(1_000),
        updated_at: Timestamp::from_unix_ms(2_000),
        expires_at: Some(Timestamp::from_unix_ms(3_000)),
    }
}

fn revision(put: PutCredential) -> u64 {
    let PutCredential::Stored(revision) = put else { panic!("{put:?}") };
    revision
}

#[tokio::test]
async fn what_was_put_is_read_and_listed_in_its_workspace() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let first = revision(store.put_credential(&record("a", "x", 0)).await.unwrap());
    store.put_credential(&record("a", "b", 0)).await.unwrap();
    store.put_credential(&record("a2", "y", 0)).await.unwrap();
    let read = store.credential(&ws("a"), &name("x")).await.unwrap().unwrap();
    assert_eq!(read, record("a", "x", first));
    let listed = store.workspace_credentials(&ws("a")).await.unwrap();
    assert_eq!(listed.iter().map(|record| record.name.as_str()).collect::<Vec<_>>(), ["b", "x"]);
    let page = store.all_credentials(0).await.unwrap();
    assert_eq!((page.records.len(), page.next), (3, None));
    assert_eq!(store.credential(&ws("b"), &name("x")).await.unwrap(), None);
    assert!(store.workspace_credentials(&ws("b")).await.unwrap().is_empty());
}

#[tokio::test]
async fn of_many_that_replace_the_same_revision_one_wins() {
    let redis = TestRedis::start().await;
    let stores = [redis.store().await, redis.store().await];
    let first = revision(stores[0].put_credential(&record("a", "x", 0)).await.unwrap());
    assert_eq!(stores[1].put_credential(&record("a", "x", 0)).await.unwrap(), PutCredential::Changed);
    let mut puts = tokio::task::JoinSet::new();
    for i in 0..20 {
        let store = stores[i % 2].clone();
        let own = CredentialRecord { sealed: i.to_string(), ..record("a", "x", first) };
        puts.spawn(async move { (i, store.put_credential(&own).await.unwrap()) });
    }
    let won: Vec<_> = puts.join_all().await.into_iter().filter(|(_, put)| *put != PutCredential::Changed).collect();
    assert_eq!(won.len(), 1);
    let read = stores[0].credential(&ws("a"), &name("x")).await.unwrap().unwrap();
    assert_eq!((read.sealed, read.revision), (won[0].0.to_string(), revision(won[0].1)));
    assert!(read.revision > first);
}

#[tokio::test]
async fn a_revision_never_comes_again_after_a_removal_or_a_lost_counter() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let first = revision(store.put_credential(&record("a", "x", 0)).await.unwrap());
    assert!(store.remove_credential(&ws("a"), &name("x")).await.unwrap());
    assert!(!store.remove_credential(&ws("a"), &name("x")).await.unwrap());
    let late = record("a", "x", first);
    assert_eq!(store.put_credential(&late).await.unwrap(), PutCredential::Changed, "it is gone");
    let second = revision(store.put_credential(&record("a", "x", 0)).await.unwrap());
    assert!(second > first);
    assert_eq!(store.put_credential(&late).await.unwrap(), PutCredential::Changed, "it is another one");
    redis.cli(&["DEL", "ai:credential:revision"]);
    store.remove_credential(&ws("a"), &name("x")).await.unwrap();
    let third = revision(store.put_credential(&record("a", "x", 0)).await.unwrap());
    assert!(third >= first, "Redis' time goes on");
}

#[tokio::test]
async fn those_that_need_someone_are_counted_once_and_not_after_their_end() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let doubtful = |revision| CredentialRecord {
        state: CredentialState::NeedsReauth,
        reason: Some("x".repeat(1_000)),
        ..record("a", "x", revision)
    };
    assert_eq!(store.credentials_needing_reauth().await.unwrap(), 0);
    let first = revision(store.put_credential(&doubtful(0)).await.unwrap());
    let second = revision(store.put_credential(&doubtful(first)).await.unwrap());
    assert_eq!(store.credentials_needing_reauth().await.unwrap(), 1);
    let read = store.credential(&ws("a"), &name("x")).await.unwrap().unwrap();
    assert_eq!(read.reason.map(|reason| reason.len()), Some(300));
    let third = revision(store.put_credential(&record("a", "x", second)).await.unwrap());
    assert_eq!(store.credentials_needing_reauth().await.unwrap(), 0);
    store.put_credential(&doubtful(third)).await.unwrap();
    store.remove_credential(&ws("a"), &name("x")).await.unwrap();
    assert_eq!(store.credentials_needing_reauth().await.unwrap(), 0);
    assert!(Snapshot::take(&redis).keys.keys().all(|key| !key.contains("credentials")), "nothing is left");
}

#[tokio::test]
async fn a_workspace_has_so_many_and_may_replace_them_all_the_same() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let mut last = 0;
    for i in 0..MOST_CREDENTIALS {
        last = revision(store.put_credential(&record("a", &format!("c{i}"), 0)).await.unwrap());
    }
    assert_eq!(store.put_credential(&record("a", "more", 0)).await.unwrap(), PutCredential::Full);
    let latest = format!("c{}", MOST_CREDENTIALS - 1);
    revision(store.put_credential(&record("a", &latest, last)).await.unwrap());
    revision(store.put_credential(&record("b", "more", 0)).await.unwrap());
}

#[tokio::test]
async fn one_has_the_turn_until_it_gives_it_back_or_it_runs_out() {
    let redis = TestRedis::start().await;
    let stores = [redis.store().await, redis.store().await];
    let life = Duration::from_secs(60);
    let mut asked = tokio::task::JoinSet::new();
    for i in 0..20 {
        let store = stores[i % 2].clone();
        asked.spawn(async move { store.take_credential_turn(&ws("a"), &name("x"), life).await.unwrap() });
    }
    let turns: Vec<_> = asked.join_all().await.into_iter().flatten().collect();
    assert_eq!(turns.len(), 1);
    assert!(stores[0].take_credential_turn(&ws("a"), &name("y"), life).await.unwrap().is_some(), "each has its own");
    let left = redis.cli_int(&["PTTL", "ai:credential:turn:a/x"]);
    assert!((1..=60_000).contains(&left), "{left}");

    redis.cli(&["PEXPIRE", "ai:credential:turn:a/x", "0"]);
    let next = stores[1].take_credential_turn(&ws("a"), &name("x"), life).await.unwrap().unwrap();
    assert!(!stores[0].leave_credential_turn(&turns[0]).await.unwrap(), "it is another's by now");
    assert!(stores[1].leave_credential_turn(&next).await.unwrap());
    assert!(!stores[1].leave_credential_turn(&next).await.unwrap());
    assert!(stores[0].take_credential_turn(&ws("a"), &name("x"), life).await.unwrap().is_some());
}

#[tokio::test]
async fn keys_of_other_types_are_refused_before_anything_is_written() {
    let redis = TestRedis::start().await;
    let store = redis.store().await;
    let doubtful = CredentialRecord { state: CredentialState::NeedsReauth, ..record("a", "x", 0) };
    let put = revision(store.put_credential(&doubtful).await.unwrap());
    let keys = ["ai:credentials", "ai:credentials:a", "ai:credential:reauth"];
    refuses_wrong_types(&redis, &keys, async || store.put_credential(&record("a", "x", put)).await).await;
    refuses_wrong_types(&redis, &keys, async || store.remove_credential(&ws("a"), &name("x")).await).await;
}
