//! The vault over Redis and a token endpoint: which credential is meant, and what becomes of it.

use std::sync::Arc;

use secrecy::ExposeSecret;
use serde_json::json;
use windlass::domain::{
    CredentialKind, CredentialName, CredentialState, HeldReason, Material, OAuth, SmtpLogin, SmtpSecurity, Workspace,
};
use windlass::engine::{Disposition, ExecutionError, Keyring, NewCredential, Safe};
use windlass::executors::actions::{Secret, StoredVault, Vault, VaultDefaults, VaultError, VaultOptions};
use windlass::store::{CredentialRecord, PutCredential};

use crate::support::oauth::{FIRST, OAuthServer};
use crate::support::redis::TestRedis;

pub(super) const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
pub(super) const OTHER_KEY: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

pub(super) fn ws() -> Workspace {
    Workspace::new("acme").unwrap()
}

pub(super) fn name(text: &str) -> CredentialName {
    CredentialName::new(text).unwrap()
}

pub(super) fn keyring(current: &str, old: &[&str]) -> Option<Arc<Keyring>> {
    let old: Vec<_> = old.iter().map(|key| (*key).into()).collect();
    Some(Arc::new(Keyring::new(&current.into(), &old).unwrap()))
}

/// A safe over connections of its own, as another process has.
pub(super) async fn safe(redis: &TestRedis) -> Safe {
    Safe::new(redis.store().await, keyring(KEY, &[]))
}

pub(super) fn vault(safe: &Safe, server: &OAuthServer) -> Arc<StoredVault> {
    let options = VaultOptions { endpoints: server.endpoints(), ..VaultOptions::default() };
    Arc::new(StoredVault::new(safe.clone(), &options).unwrap())
}

pub(super) fn renewable(kind: CredentialKind) -> NewCredential {
    let oauth = OAuth {
        client_id: "the-app".into(),
        client_secret: Some("client-canary".into()),
        refresh_token: Some(FIRST.into()),
        ..OAuth::default()
    };
    NewCredential { kind, account: Some("me@example.org".into()), scopes: Vec::new(), material: Material::OAuth(oauth) }
}

fn token(text: &str) -> NewCredential {
    let material = Material::Token(text.into());
    NewCredential { kind: CredentialKind::Github, account: None, scopes: Vec::new(), material }
}

pub(super) fn bearer(secret: &Secret) -> &str {
    let Secret::Bearer { token, .. } = secret else { panic!("no token") };
    token.expose_secret()
}

async fn github(vault: &StoredVault, name: Option<&str>) -> Result<String, VaultError> {
    vault.get(&ws(), CredentialKind::Github, name).await.map(|found| bearer(&found.secret).to_owned())
}

#[tokio::test]
async fn the_named_one_the_default_or_the_only_one_is_meant() {
    let (redis, server) = (TestRedis::start().await, OAuthServer::start().await);
    let safe = safe(&redis).await;
    let meant = async |name: Option<&str>| github(&vault(&safe, &server), name).await;
    assert!(matches!(meant(None).await, Err(VaultError::Missing("github", _))));
    safe.add(&ws(), &name("one"), &token("t1")).await.unwrap();
    assert_eq!(meant(None).await.unwrap(), "t1", "the only one of its kind");
    safe.add(&ws(), &name("two"), &token("t2")).await.unwrap();
    let error = meant(None).await.unwrap_err().to_string();
    assert!(error.contains("no github credential called `default`, and 2 others"), "{error}");
    assert_eq!(meant(Some("two")).await.unwrap(), "t2");
    safe.add(&ws(), &name("default"), &token("t3")).await.unwrap();
    assert_eq!(meant(None).await.unwrap(), "t3");
    for absent in ["three", "not a name"] {
        assert!(matches!(meant(Some(absent)).await, Err(VaultError::Missing("github", _))), "{absent}");
    }
    let vault = vault(&safe, &server);
    let other = Workspace::new("other").unwrap();
    assert!(matches!(vault.get(&other, CredentialKind::Github, None).await, Err(VaultError::Missing(..))));
    let kind = vault.get(&ws(), CredentialKind::Smtp, Some("two")).await;
    assert!(matches!(kind, Err(VaultError::Missing("smtp", _))), "a name of another kind");
}

#[tokio::test]
async fn a_credential_of_the_settings_stands_in_where_a_workspace_has_none() {
    let (redis, server) = (TestRedis::start().await, OAuthServer::start().await);
    let safe = safe(&redis).await;
    let login = Some(("user".to_owned(), "password-canary".into()));
    let smtp = SmtpLogin { host: "mail.example.org".into(), port: 465, security: SmtpSecurity::Tls, login };
    let defaults = VaultDefaults { smtp: Some((smtp, Some("me@example.org".into()))) };
    let options = VaultOptions { endpoints: server.endpoints(), defaults };
    assert!(!format!("{options:?}").contains("canary"));
    let make = || StoredVault::new(safe.clone(), &options).unwrap();
    assert!(make().get(&ws(), CredentialKind::Smtp, Some("x")).await.is_err(), "a name means one of the workspace");
    let found = make().get(&ws(), CredentialKind::Smtp, None).await.unwrap();
    assert_eq!(found.account.as_deref(), Some("me@example.org"));
    assert!(matches!(&found.secret, Secret::Smtp { host, port: 465, .. } if host == "mail.example.org"));
    let refused = make().renew(&ws(), &found).await.unwrap_err();
    assert!(matches!(&refused, VaultError::NeedsReauth(_, why) if why.contains("settings")), "{refused}");
}

#[tokio::test]
async fn a_refused_token_that_nothing_renews_waits_for_a_person_and_its_jobs_are_held_uncharged() {
    let (redis, server) = (TestRedis::start().await, OAuthServer::start().await);
    let safe = safe(&redis).await;
    safe.add(&ws(), &name("default"), &token("t1")).await.unwrap();
    let vault = vault(&safe, &server);
    let refused = vault.get(&ws(), CredentialKind::Github, None).await.unwrap();
    let error = vault.renew(&ws(), &refused).await.unwrap_err();
    assert!(matches!(error, VaultError::NeedsReauth(..)), "{error}");
    assert_eq!(ExecutionError::from(error).disposition, Disposition::Hold(HeldReason::NeedsReauth));
    assert!(matches!(github(&vault, None).await, Err(VaultError::NeedsReauth(..))));
    assert_eq!(safe.store().credentials().credentials_needing_reauth().await.unwrap(), 1);
    let record = safe.store().credentials().credential(&ws(), &name("default")).await.unwrap().unwrap();
    assert_eq!(record.state, CredentialState::NeedsReauth);

    safe.add(&ws(), &name("default"), &token("t2")).await.unwrap();
    assert_eq!(safe.store().credentials().credentials_needing_reauth().await.unwrap(), 0);
    assert_eq!(github(&vault, None).await.unwrap(), "t2", "at once: a refusal is not remembered");
    let newer = vault.renew(&ws(), &refused).await.unwrap();
    assert_eq!(bearer(&newer.secret), "t2", "who still has the old one gets the new one");
}

#[tokio::test]
async fn without_the_key_or_out_of_place_nothing_opens() {
    let (redis, server) = (TestRedis::start().await, OAuthServer::start().await);
    let safe = safe(&redis).await;
    safe.add(&ws(), &name("default"), &token("the-canary")).await.unwrap();
    for keys in [None, keyring(OTHER_KEY, &[])] {
        let other = Safe::new(redis.store().await, keys);
        let error = github(&vault(&other, &server), None).await.unwrap_err();
        assert!(matches!(error, VaultError::Undecipherable(_)), "{error}");
        assert!(matches!(ExecutionError::from(error).disposition, Disposition::Retry { .. }));
    }
    let renamed = Safe::new(redis.store().await, keyring(OTHER_KEY, &[KEY]));
    assert_eq!(github(&vault(&renamed, &server), None).await.unwrap(), "the-canary", "an old key opens");

    let stored = redis.ask(&["HGET", "ai:credentials", "acme/default"]);
    assert!(!stored.contains("canary"), "{stored}");
    redis.ask(&["HSET", "ai:credentials", "evil/default", &stored]);
    redis.ask(&["SADD", "ai:credentials:evil", "default"]);
    let evil = Workspace::new("evil").unwrap();
    let stolen = vault(&safe, &server).get(&evil, CredentialKind::Github, None).await;
    assert!(matches!(stolen, Err(VaultError::Undecipherable(_))), "a record that was moved does not open");
}

#[tokio::test]
async fn all_is_sealed_anew_in_steps_that_may_be_repeated() {
    let redis = TestRedis::start().await;
    let old = safe(&redis).await;
    for i in 0..120 {
        let workspace = Workspace::new(&format!("w{}", i % 3)).unwrap();
        old.add(&workspace, &name(&format!("c{i}")), &token(&format!("t{i}"))).await.unwrap();
    }
    let new = Safe::new(redis.store().await, keyring(OTHER_KEY, &[KEY]));
    let lone = Safe::new(redis.store().await, keyring(OTHER_KEY, &[]));
    let run = async |safe: &Safe| {
        let (mut from, mut total) = (0, (0, 0, 0));
        loop {
            let step = safe.reseal(from).await.unwrap();
            total = (total.0 + step.resealed, total.1 + step.current, total.2 + step.unreadable);
            match step.next {
                Some(next) => from = next,
                None => return total,
            }
        }
    };
    assert_eq!(run(&lone).await, (0, 0, 120), "what it cannot open it leaves alone");
    assert_eq!(run(&new).await, (120, 0, 0));
    assert_eq!(run(&new).await, (0, 120, 0));
    let record = lone.store().credentials().credential(&Workspace::new("w1").unwrap(), &name("c7")).await.unwrap();
    assert!(matches!(lone.open(&record.unwrap()).unwrap(), Material::Token(token) if token.expose_secret() == "t7"));
}

#[tokio::test]
async fn an_application_of_microsoft_acts_on_its_own_in_its_directory() {
    let (redis, server) = (TestRedis::start().await, OAuthServer::start().await);
    let safe = safe(&redis).await;
    let mut app = renewable(CredentialKind::Microsoft);
    let Material::OAuth(oauth) = &mut app.material else { panic!("no OAuth") };
    oauth.refresh_token = None;
    oauth.tenant = Some("contoso.example".into());
    safe.add(&ws(), &name("default"), &app).await.unwrap();
    let found = vault(&safe, &server).get(&ws(), CredentialKind::Microsoft, None).await.unwrap();
    assert_eq!(bearer(&found.secret), "access-canary-1");
    let asked = server.asked();
    assert_eq!(asked[0].0, "contoso.example");
    let form = json!({
        "client_id": "the-app", "client_secret": "client-canary", "grant_type": "client_credentials",
        "scope": "https://graph.microsoft.com/.default",
    });
    let sent: serde_json::Map<_, _> = asked[0].1.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    assert_eq!(serde_json::Value::Object(sent), form);
}

#[tokio::test]
async fn a_record_changes_only_from_the_revision_that_was_read() {
    let redis = TestRedis::start().await;
    let safe = safe(&redis).await;
    let record = safe.add(&ws(), &name("default"), &token("t1")).await.unwrap();
    let store = safe.store().credentials();
    safe.add(&ws(), &name("default"), &token("t2")).await.unwrap();
    let late = CredentialRecord { state: CredentialState::NeedsReauth, ..record };
    assert_eq!(store.put_credential(&late).await.unwrap(), PutCredential::Changed);
    assert_eq!(store.credentials_needing_reauth().await.unwrap(), 0);
}
