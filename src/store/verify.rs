//! Verb `verify`: have a credential checked now by one of the workers, and what came of it.

use std::time::Duration;

use fred::prelude::Value;
use serde_json::json;

use crate::domain::{CredentialName, Timestamp, Workspace, clip_text};

use super::reply::{Reply, corrupt, text};
use super::{Shards, Store, StoreError};

/// What came of a check is kept this long: whoever asked for it waits less.
const KEPT: Duration = Duration::from_secs(60);

/// The longest detail that is kept, in bytes.
const DETAIL: usize = 300;

/// A demand to check a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Whose it is.
    pub workspace: Workspace,
    /// Its name there.
    pub name: CredentialName,
    /// When it was demanded, by Redis' time.
    pub asked: Timestamp,
}

/// A demand as it was put to the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyAsked {
    /// When, by Redis' time.
    pub at: Timestamp,
    /// Live workers that were told, 100 at most.
    pub told: u64,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether the credential is accepted; `None` when only a use of it would tell, or nobody could be asked.
    pub accepted: Option<bool>,
    /// What was done and found, for people; at most 300 bytes, and never a secret.
    pub detail: String,
}

impl Verification {
    /// As in a worker's inbox: `<asked ms> <workspace>/<name>`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (asked, field) = text.split_once(' ')?;
        let (workspace, name) = field.split_once('/')?;
        Some(Self {
            workspace: Workspace::new(workspace).ok()?,
            name: CredentialName::new(name).ok()?,
            asked: Timestamp::from_unix_ms(asked.parse().ok()?),
        })
    }

    fn field(&self) -> String {
        format!("{}/{}@{}", self.workspace, self.name, self.asked.unix_ms())
    }
}

impl Store {
    /// Has a credential checked now: tells the live workers.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn verify(&self, workspace: &Workspace, name: &CredentialName) -> Result<VerifyAsked, StoreError> {
        let args = vec!["-".into(), format!("{workspace}/{name}").into()];
        let mut reply = Reply::array(self.run(&self.inner.scripts.verify, args).await?)?;
        let now = reply.text()?;
        let at = self.saw_time(&now)?;
        Ok(VerifyAsked { at, told: reply.text()?.parse().map_err(|_| corrupt("a number of workers"))? })
    }

    /// Takes a demand on; `false` when another worker has.
    ///
    /// # Errors
    /// When Redis did not answer; a demand that was taken on all the same is not met.
    pub async fn take_verification(&self, demand: &Verification) -> Result<bool, StoreError> {
        let key = self.inner.keys.credential_check(&demand.field());
        let life = KEPT.as_millis().to_string();
        let args = vec![key.into(), "taken".into(), "NX".into(), "PX".into(), life.into()];
        Ok(self.inner.link.command("SET", args).await? != Value::Null)
    }

    /// Answers a demand.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn verified(&self, demand: &Verification, found: &Verified) -> Result<(), StoreError> {
        let key = self.inner.keys.credential_check(&demand.field());
        let answer = json!({"accepted": found.accepted, "detail": clip_text(&found.detail, DETAIL)}).to_string();
        let args = vec![key.into(), answer.into(), "PX".into(), KEPT.as_millis().to_string().into()];
        self.inner.link.command("SET", args).await.map(drop)
    }

    /// The answer to a demand, when it is there.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn verification(&self, demand: &Verification) -> Result<Option<Verified>, StoreError> {
        let key = self.inner.keys.credential_check(&demand.field());
        let answer = text(self.inner.link.command("GET", vec![key.into()]).await?)?;
        if !answer.starts_with('{') {
            return Ok(None);
        }
        let answer: serde_json::Value = serde_json::from_str(&answer).map_err(|_| corrupt("what a check found"))?;
        let detail = answer["detail"].as_str().unwrap_or_default().to_owned();
        Ok(Some(Verified { accepted: answer["accepted"].as_bool(), detail }))
    }
}

impl Shards {
    /// See [`Store::verify`]; workers are registered on every shard.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn verify(&self, workspace: &Workspace, name: &CredentialName) -> Result<VerifyAsked, StoreError> {
        self.first().verify(workspace, name).await
    }
}
