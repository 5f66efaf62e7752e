//! Renewing a credential, once for the whole fleet.
//!
//! Whoever finds an access token that ends within a minute, or was refused, takes the credential's turn in Redis; the
//! others wait for the record to change. The holder asks the provider and stores what it got before anyone uses it: a
//! refresh token that was replaced and not stored is lost. It runs in a task of its own, which a cancelled job does not
//! take along.
//!
//! What cannot be helped: a process that dies between the provider's answer and the store loses the new refresh token.
//! Microsoft "doesn't revoke old refresh tokens when used to fetch new access tokens"
//! ([refresh tokens](https://learn.microsoft.com/en-us/entra/identity-platform/refresh-tokens)) and Google seldom sends
//! new ones, so the old one usually works on; where it does not, the provider says `invalid_grant`, and a person has to
//! renew the credential.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::oauth::{Granted, TokenEndpoints, TokenError, ask};
use crate::clock;
use crate::domain::{CredentialName, CredentialState, Material, OAuth, Workspace};
use crate::engine::{Safe, SafeError, tasks};
use crate::executors::actions::VaultError;
use crate::store::{CredentialRecord, PutCredential, StoreError};

/// An access token is renewed when it has this long left: longer than an attempt's calls take.
const MARGIN: Duration = Duration::from_secs(60);

/// Life of a turn: longer than the request to the provider and the tries to store its answer take.
const TURN: Duration = Duration::from_secs(40);

/// How long others wait for the holder of the turn.
const PATIENCE: Duration = Duration::from_secs(15);

/// Tries to store what a provider gave, and the first pause between two; it doubles.
const SAVES: u32 = 6;
const SAVE_PAUSE: Duration = Duration::from_millis(200);

/// A record with its content.
pub(super) type Opened = (CredentialRecord, Material);

/// Renews credentials on behalf of one process.
#[derive(Debug)]
pub(super) struct Renewer {
    pub(super) safe: Safe,
    pub(super) http: reqwest::Client,
    pub(super) endpoints: TokenEndpoints,
}

/// What makes an access token no good.
#[derive(Clone, Default)]
pub(super) struct Wanted {
    /// A token that the provider refused.
    pub(super) refused: Option<SecretString>,
    /// Whether one that is marked as needing a person is tried all the same.
    pub(super) despite_state: bool,
}

impl Renewer {
    /// A record with content that can be used now: as it is, or renewed.
    pub(super) async fn usable(
        self: &Arc<Self>,
        workspace: &Workspace,
        name: &CredentialName,
        wanted: Wanted,
    ) -> Result<Opened, VaultError> {
        let (renewer, workspace, name) = (Arc::clone(self), workspace.clone(), name.clone());
        let task = tasks::spawn("credential-renewal", async move { renewer.run(&workspace, &name, &wanted).await });
        task.await.unwrap_or_else(|_| Err(VaultError::Unavailable("its renewal broke off".to_owned())))
    }

    async fn run(&self, workspace: &Workspace, name: &CredentialName, wanted: &Wanted) -> Result<Opened, VaultError> {
        let store = self.safe.store().credentials();
        let until = clock::now() + PATIENCE;
        let mut pause = Duration::from_millis(25);
        loop {
            let (record, material) = self.load(workspace, name).await?;
            if self.is_usable(&record, &material, wanted)? {
                return Ok((record, material));
            }
            if let Some(turn) = store.take_credential_turn(workspace, name, TURN).await.map_err(away)? {
                let outcome = self.renew(workspace, name, wanted).await;
                if let Err(error) = store.leave_credential_turn(&turn).await {
                    tracing::debug!(%error, "a turn to renew a credential was not given back, and runs out");
                }
                return outcome;
            }
            if clock::now() > until {
                return Err(VaultError::Unavailable("another process is renewing it, and is not done yet".to_owned()));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }

    pub(super) async fn load(&self, workspace: &Workspace, name: &CredentialName) -> Result<Opened, VaultError> {
        let found = self.safe.store().credentials().credential(workspace, name).await.map_err(away)?;
        let record = found.ok_or_else(|| VaultError::Missing("such", format!(" called `{name}`")))?;
        let material = self.safe.open(&record).map_err(closed)?;
        Ok((record, material))
    }

    /// Whether it can be used as it is.
    fn is_usable(&self, record: &CredentialRecord, material: &Material, wanted: &Wanted) -> Result<bool, VaultError> {
        if record.state == CredentialState::NeedsReauth && !wanted.despite_state {
            return Err(needs_reauth(record));
        }
        let Material::OAuth(oauth) = material else { return Ok(true) };
        let Some(token) = &oauth.access_token else { return Ok(false) };
        let refused = wanted.refused.as_ref().is_some_and(|refused| same(refused, token));
        let ends_soon = record.expires_at.is_some_and(|at| at.since(self.safe.now()) < MARGIN);
        Ok(!refused && !ends_soon)
    }

    /// By the holder of the turn.
    async fn renew(&self, workspace: &Workspace, name: &CredentialName, wanted: &Wanted) -> Result<Opened, VaultError> {
        // Again: the one before may have been done between our look and our turn.
        let (record, material) = self.load(workspace, name).await?;
        if self.is_usable(&record, &material, wanted)? {
            return Ok((record, material));
        }
        let Material::OAuth(oauth) = material else { return Ok((record, material)) };
        if !oauth.is_renewable() {
            return Err(self.doubt(record, "its access token ended or was refused, and nothing renews it").await);
        }
        match ask(&self.http, &self.endpoints, (record.kind, &record.scopes), &oauth).await {
            Ok(granted) => self.save(record, oauth, granted).await,
            Err(TokenError::Refused(why)) => Err(self.doubt(record, &why).await),
            Err(TokenError::Unavailable(why)) => Err(VaultError::Unavailable(why)),
        }
    }

    /// Stores what the provider gave; only then may it be used.
    async fn save(&self, mut record: CredentialRecord, used: OAuth, granted: Granted) -> Result<Opened, VaultError> {
        let store = self.safe.store().credentials();
        // Then a reading proves nothing: it is stored again until the replicas have it.
        let strict = store.options().strict.is_some();
        let mut renewed = used.clone();
        renewed.access_token = Some(granted.access_token);
        renewed.refresh_token = granted.refresh_token.or(renewed.refresh_token);
        let expires_at = self.safe.now().plus(granted.life);
        let mut why = StoreError::Unavailable("not tried".to_owned());
        for attempt in 0..SAVES {
            let state = CredentialState::Ok;
            let updated_at = self.safe.now();
            let next =
                CredentialRecord { state, reason: None, expires_at: Some(expires_at), updated_at, ..record.clone() };
            let next = CredentialRecord { scopes: scopes(&next, &granted.scopes), ..next };
            let material = Material::OAuth(renewed.clone());
            let next = self.safe.seal(next, &material).map_err(closed)?;
            match store.put_credential(&next).await {
                Ok(PutCredential::Stored(revision)) => return Ok((CredentialRecord { revision, ..next }, material)),
                Ok(PutCredential::Full) => return Err(gone(&record)),
                Ok(PutCredential::Changed) => {}
                Err(error) => why = error,
            }
            // Perhaps it was stored and the reply was lost; perhaps another key sealed the same content meanwhile.
            match self.load(&record.workspace, &record.name).await {
                Ok((stored, _)) if stored.nonce == next.nonce && strict => record = stored,
                Ok((stored, material)) if stored.nonce == next.nonce => return Ok((stored, material)),
                Ok((stored, Material::OAuth(now))) if same_grant(&now, &used) => record = stored,
                Ok(_) => return Err(VaultError::Unavailable("it was replaced while it was renewed".to_owned())),
                Err(missing @ VaultError::Missing(..)) => return Err(missing),
                Err(_) => {}
            }
            tokio::time::sleep(SAVE_PAUSE * 2_u32.pow(attempt)).await;
        }
        tracing::error!(tenant_id = %record.workspace, credential = %record.name, error = %why,
            "a renewed credential could not be stored; where its provider took the old one back, someone has to renew it");
        Err(VaultError::Unavailable("what the provider gave could not be stored".to_owned()))
    }

    /// Marks it as needing a person.
    pub(super) async fn doubt(&self, record: CredentialRecord, why: &str) -> VaultError {
        let updated_at = self.safe.now();
        let doubtful = CredentialRecord {
            state: CredentialState::NeedsReauth,
            reason: Some(why.to_owned()),
            updated_at,
            ..record
        };
        match self.safe.store().credentials().put_credential(&doubtful).await {
            Ok(PutCredential::Stored(_)) => {
                tracing::warn!(tenant_id = %doubtful.workspace, credential = %doubtful.name, why,
                    "a credential needs someone to renew it");
                needs_reauth(&doubtful)
            }
            Ok(_) => VaultError::Unavailable("it was replaced meanwhile".to_owned()),
            Err(error) => away(error),
        }
    }
}

fn scopes(record: &CredentialRecord, granted: &Option<Vec<String>>) -> Vec<String> {
    // What was asked for is kept, since it is asked for again; what Google granted is shown when nothing was asked.
    match granted {
        Some(granted) if record.scopes.is_empty() && record.kind == crate::domain::CredentialKind::Google => {
            granted.clone()
        }
        _ => record.scopes.clone(),
    }
}

pub(super) fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

/// Whether a record still holds what was asked with: then what came of it may take its place.
fn same_grant(one: &OAuth, other: &OAuth) -> bool {
    let pair = |one: &Option<SecretString>, other: &Option<SecretString>| match (one, other) {
        (Some(one), Some(other)) => same(one, other),
        (None, None) => true,
        _ => false,
    };
    one.client_id == other.client_id
        && one.tenant == other.tenant
        && pair(&one.client_secret, &other.client_secret)
        && pair(&one.refresh_token, &other.refresh_token)
}

fn gone(record: &CredentialRecord) -> VaultError {
    VaultError::Missing(record.kind.as_str(), format!(" called `{}`", record.name))
}

pub(super) fn needs_reauth(record: &CredentialRecord) -> VaultError {
    let why = record.reason.clone().unwrap_or_else(|| "its provider refuses it".to_owned());
    VaultError::NeedsReauth(record.name.to_string(), why)
}

pub(super) fn away(error: StoreError) -> VaultError {
    VaultError::Unavailable(error.to_string())
}

pub(super) fn closed(error: SafeError) -> VaultError {
    match error {
        SafeError::Store(error) => away(error),
        other => VaultError::Undecipherable(other.to_string()),
    }
}
