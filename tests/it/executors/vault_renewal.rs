//! Renewals: one for the whole fleet, and no refresh token is lost.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::time::timeout;
use windlass::domain::{CredentialKind, CredentialState, Material};
use windlass::engine::{Safe, tasks};
use windlass::executors::actions::{Credential, StoredVault, Vault, VaultError};
use windlass::store::CredentialRecord;

use super::vault::{KEY, OTHER_KEY, bearer, keyring, name, renewable, safe, vault, ws};
use crate::support::oauth::OAuthServer;
use crate::support::redis::TestRedis;

const KIND: CredentialKind = CredentialKind::Microsoft;
const LIMIT: Duration = Duration::from_secs(60);

async fn get(vault: &StoredVault) -> Result<Arc<Credential>, VaultError> {
    timeout(LIMIT, vault.get(&ws(), KIND, None)).await.expect("an answer")
}

async fn record(safe: &Safe) -> CredentialRecord {
    safe.store().credentials().credential(&ws(), &name("default")).await.unwrap().unwrap()
}

/// Eight vaults over two sets of connections, as two processes with four each have.
async fn fleet(redis: &TestRedis, server: &OAuthServer) -> (Safe, Vec<Arc<StoredVault>>) {
    let processes = [safe(redis).await, safe(redis).await];
    processes[0].add(&ws(), &name("default"), &renewable(KIND)).await.unwrap();
    let vaults = (0..8).map(|i| vault(&processes[i % 2], server)).collect();
    let [first, _] = processes;
    (first, vaults)
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_vaults_of_two_processes_renew_a_credential_once_and_lose_no_token() {
    let (redis, mut server) = (TestRedis::start().await, OAuthServer::start().await);
    let (_, vaults) = fleet(&redis, &server).await;
    server.hold();
    let asking = vaults.clone();
    let all = tasks::spawn("asking", async move { join_all(asking.iter().map(|vault| get(vault))).await });
    server.wait_asked(1).await;
    server.release();
    let mut held: Vec<_> = all.await.unwrap().into_iter().map(Result::unwrap).collect();
    assert!(held.iter().all(|found| bearer(&found.secret) == "access-canary-1"));
    assert_eq!(server.asked().len(), 1);
    let acme = ws();
    // The endpoint refuses any refresh token but the latest, so each round shows that the one before was stored.
    for round in 2..=5 {
        let renewing = vaults.iter().zip(&held).map(|(vault, refused)| vault.renew(&acme, refused));
        let renewed: Vec<_> =
            timeout(LIMIT, join_all(renewing)).await.unwrap().into_iter().map(Result::unwrap).collect();
        let expected = format!("access-canary-{round}");
        assert!(renewed.iter().all(|found| bearer(&found.secret) == expected), "round {round}");
        assert_eq!((server.asked().len(), server.granted()), (round, round));
        held = renewed;
    }
    assert_eq!(redis.ask(&["EXISTS", "ai:credential:turn:acme/default"]), "0", "the turn was given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_does_not_take_a_renewal_along() {
    let (redis, mut server) = (TestRedis::start().await, OAuthServer::start().await);
    let (safe, vaults) = fleet(&redis, &server).await;
    server.hold();
    let job = {
        let vault = Arc::clone(&vaults[0]);
        tasks::spawn("asking", async move { get(&vault).await })
    };
    server.wait_asked(1).await;
    job.abort();
    assert!(job.await.unwrap_err().is_cancelled());
    server.release();
    let stored = async { while record(&safe).await.expires_at.is_none() {} };
    timeout(LIMIT, stored).await.expect("what the provider gave is stored all the same");
    assert_eq!(bearer(&get(&vaults[1]).await.unwrap().secret), "access-canary-1");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn an_invalid_grant_is_asked_once_and_then_waits_for_a_person() {
    let (redis, server) = (TestRedis::start().await, OAuthServer::start().await);
    let (safe, vaults) = fleet(&redis, &server).await;
    let text = "AADSTS700082: refresh-canary-0 expired";
    server.fail(400, json!({"error": "invalid_grant", "error_description": text, "error_codes": [700_082]}));
    for outcome in join_all(vaults.iter().map(|vault| get(vault))).await {
        let error = outcome.unwrap_err();
        assert!(matches!(error, VaultError::NeedsReauth(..)), "{error}");
        assert!(error.to_string().contains("400 invalid_grant (AADSTS700082)"), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    assert_eq!(server.asked().len(), 1);
    let stored = record(&safe).await;
    assert_eq!(stored.state, CredentialState::NeedsReauth);
    assert!(!format!("{stored:?}").contains("canary"));

    safe.add(&ws(), &name("default"), &renewable(KIND)).await.unwrap();
    assert_eq!(bearer(&get(&vaults[3]).await.unwrap().secret), "access-canary-1");
    assert_eq!(record(&safe).await.state, CredentialState::Ok);
}

#[tokio::test]
async fn a_provider_that_is_away_holds_nothing_and_marks_nothing() {
    let (redis, server) = (TestRedis::start().await, OAuthServer::start().await);
    let (safe, vaults) = fleet(&redis, &server).await;
    for (i, (status, body)) in [
        (503, json!({"error": "temporarily_unavailable"})),
        (429, json!({"error": "invalid_grant"})),
        (200, json!({"unexpected": true})),
        (302, json!(null)),
    ]
    .into_iter()
    .enumerate()
    {
        server.fail(status, body);
        let error = get(&vaults[i]).await.unwrap_err();
        assert!(matches!(error, VaultError::Unavailable(_)), "{status}: {error}");
        assert_eq!(get(&vaults[i]).await.unwrap_err(), error, "it is left alone for a moment");
        assert_eq!(server.asked().len(), i + 1);
    }
    assert_eq!(record(&safe).await.state, CredentialState::Ok);
    assert_eq!(bearer(&get(&vaults[7]).await.unwrap().secret), "access-canary-1");
}

#[tokio::test]
async fn the_turn_of_a_process_that_died_runs_out() {
    let (redis, server) = (TestRedis::start().await, OAuthServer::start().await);
    let (safe, vaults) = fleet(&redis, &server).await;
    let store = safe.store().credentials();
    let turn = store.take_credential_turn(&ws(), &name("default"), Duration::from_millis(300)).await.unwrap();
    assert!(turn.is_some());
    assert_eq!(bearer(&get(&vaults[0]).await.unwrap().secret), "access-canary-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_replaced_while_it_is_renewed_stays_replaced() {
    let (redis, mut server) = (TestRedis::start().await, OAuthServer::start().await);
    let (safe, vaults) = fleet(&redis, &server).await;
    server.hold();
    let renewing = {
        let vault = Arc::clone(&vaults[0]);
        tasks::spawn("asking", async move { get(&vault).await })
    };
    server.wait_asked(1).await;
    let mut replaced = renewable(KIND);
    if let Material::OAuth(oauth) = &mut replaced.material {
        oauth.refresh_token = Some("refresh-canary-1".into());
    }
    safe.add(&ws(), &name("default"), &replaced).await.unwrap();
    server.release();
    let error = renewing.await.unwrap().unwrap_err();
    assert!(matches!(error, VaultError::Unavailable(_)), "{error}");
    assert_eq!(bearer(&get(&vaults[1]).await.unwrap().secret), "access-canary-2", "the new one was asked with");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_of_the_application_is_not_undone_by_a_renewal_with_the_old_one() {
    let (redis, mut server) = (TestRedis::start().await, OAuthServer::start().await);
    let (safe, vaults) = fleet(&redis, &server).await;
    server.hold();
    let renewing = {
        let vault = Arc::clone(&vaults[0]);
        tasks::spawn("asking", async move { get(&vault).await })
    };
    server.wait_asked(1).await;
    let mut replaced = renewable(KIND);
    if let Material::OAuth(oauth) = &mut replaced.material {
        oauth.client_secret = Some("newer".into());
    }
    safe.add(&ws(), &name("default"), &replaced).await.unwrap();
    server.release();
    assert!(matches!(renewing.await.unwrap(), Err(VaultError::Unavailable(_))));
    let Material::OAuth(stored) = safe.open(&record(&safe).await).unwrap() else { panic!("no OAuth") };
    assert_eq!(stored.client_secret.unwrap().expose_secret(), "newer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_sealed_anew_while_it_is_renewed_loses_nothing() {
    let (redis, mut server) = (TestRedis::start().await, OAuthServer::start().await);
    let processes = [keyring(KEY, &[OTHER_KEY]), keyring(OTHER_KEY, &[KEY])];
    let [one, other] = processes;
    let (one, other) = (Safe::new(redis.store().await, one), Safe::new(redis.store().await, other));
    one.add(&ws(), &name("default"), &renewable(KIND)).await.unwrap();
    let (first, second) = (vault(&one, &server), vault(&other, &server));
    server.hold();
    let renewing = tasks::spawn("asking", async move { get(&first).await });
    server.wait_asked(1).await;
    assert_eq!(other.reseal(0).await.unwrap().resealed, 1);
    server.release();
    let found = renewing.await.unwrap().unwrap();
    assert_eq!(bearer(&found.secret), "access-canary-1");
    let renewed = second.renew(&ws(), &found).await.unwrap();
    assert_eq!(bearer(&renewed.secret), "access-canary-2", "the refresh token of the first renewal was stored");
}

#[tokio::test]
async fn no_form_of_a_credential_shows_what_is_secret_in_it() {
    let (redis, server) = (TestRedis::start().await, OAuthServer::start().await);
    let (safe, vaults) = fleet(&redis, &server).await;
    let found = get(&vaults[0]).await.unwrap();
    let shown = format!("{found:?} {:?} {safe:?} {:?}", vaults[0], record(&safe).await);
    assert!(!shown.contains("canary") && shown.contains("acme"), "{shown}");
}
