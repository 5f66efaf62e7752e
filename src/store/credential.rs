//! Verb `credential`: sealed credentials of workspaces. They are kept on the first shard, and nothing here can open
//! one.
//!
//! Stored as `<revision>\t<JSON>` in one hash; a set per workspace names its own, and one set names those that someone
//! has to renew. Who renews one takes its turn first, a key with a life of its own.

use std::time::Duration;

use fred::prelude::Value;
use serde_json::json;

use crate::domain::{CredentialKind, CredentialName, CredentialState, Timestamp, Workspace, clip_text};

use super::reply::{Reply, corrupt, int, text};
use super::{Shards, Store, StoreError};

/// Most credentials of a workspace.
pub const MOST_CREDENTIALS: usize = 100;

/// The longest reason that is kept, in bytes.
const REASON: usize = 300;

/// A credential as it is stored: what it is in clear, its content sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRecord {
    /// Whose it is.
    pub workspace: Workspace,
    /// Its name there.
    pub name: CredentialName,
    /// What it is for.
    pub kind: CredentialKind,
    /// Whose account it is, as far as somebody said.
    pub account: Option<String>,
    /// What it may do, as far as known.
    pub scopes: Vec<String>,
    /// Names the key that sealed it.
    pub key_id: String,
    /// The nonce, in base64.
    pub nonce: String,
    /// The sealed content, in base64.
    pub sealed: String,
    /// Grows with every change, over all credentials; 0 before it is stored.
    pub revision: u64,
    /// Whether it can be used.
    pub state: CredentialState,
    /// Why someone has to renew it; at most 300 bytes, and never a secret.
    pub reason: Option<String>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was replaced or renewed last.
    pub updated_at: Timestamp,
    /// When its access token ends; `None` when it has none, or one that does not say.
    pub expires_at: Option<Timestamp>,
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutCredential {
    /// Stored, under this revision.
    Stored(u64),
    /// Another revision is there than the one it was to replace; nothing was written.
    Changed,
    /// The workspace has as many as it may; nothing was written.
    Full,
}

/// The turn to renew a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialTurn {
    workspace: Workspace,
    name: CredentialName,
    holder: String,
}

/// One page of all credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialPage {
    /// Those of the page: some hundred, as Redis likes; a credential may stand on two pages.
    pub records: Vec<CredentialRecord>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<u64>,
}

impl Store {
    /// Stores a credential in the place of the revision that it carries, 0 for none. A repeat after a lost reply answers
    /// `Changed`; the nonce of what is stored then tells whether it was this one.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn put_credential(&self, record: &CredentialRecord) -> Result<PutCredential, StoreError> {
        let (replaced, most) = (record.revision.to_string(), MOST_CREDENTIALS.to_string());
        let doubtful = if record.state == CredentialState::NeedsReauth { "1" } else { "0" };
        let content = encode(record);
        let args = [replaced.as_str(), &content, doubtful, &most];
        match self.credential_verb("put", &record.workspace, &record.name, &args).await?.as_str() {
            "changed" => Ok(PutCredential::Changed),
            "full" => Ok(PutCredential::Full),
            revision => revision.parse().map(PutCredential::Stored).map_err(|_| corrupt("a revision")),
        }
    }

    /// Removes a credential; `false` when there is none.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn remove_credential(&self, workspace: &Workspace, name: &CredentialName) -> Result<bool, StoreError> {
        Ok(self.credential_verb("remove", workspace, name, &[]).await? == "1")
    }

    /// A credential.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn credential(
        &self,
        workspace: &Workspace,
        name: &CredentialName,
    ) -> Result<Option<CredentialRecord>, StoreError> {
        let args = vec![self.inner.keys.credentials().into(), field(workspace, name).into()];
        let stored = text(self.inner.link.command("HGET", args).await?)?;
        if stored.is_empty() { Ok(None) } else { decode(&field(workspace, name), &stored).map(Some) }
    }

    /// The credentials of a workspace, by name: at most a hundred.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn workspace_credentials(&self, workspace: &Workspace) -> Result<Vec<CredentialRecord>, StoreError> {
        let of = vec![self.inner.keys.credentials_of(workspace.as_str()).into()];
        let mut names = Reply::array(self.inner.link.command("SMEMBERS", of).await?)?.texts()?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        names.sort();
        let fields: Vec<String> = names.iter().map(|name| format!("{workspace}/{name}")).collect();
        let mut args: Vec<Value> = vec![self.inner.keys.credentials().into()];
        args.extend(fields.iter().map(|field| field.as_str().into()));
        let stored = Reply::array(self.inner.link.command("HMGET", args).await?)?.texts()?;
        let there = fields.iter().zip(&stored).filter(|(_, stored)| !stored.is_empty());
        there.map(|(field, stored)| decode(field, stored)).collect()
    }

    /// A page of the credentials of all workspaces, `from` 0 or where the page before said. What is there all the time is
    /// on one of the pages.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn all_credentials(&self, from: u64) -> Result<CredentialPage, StoreError> {
        let args = vec![self.inner.keys.credentials().into(), from.to_string().into(), "COUNT".into(), "100".into()];
        let mut reply = Reply::array(self.inner.link.command("HSCAN", args).await?)?;
        let next = reply.text()?.parse().map_err(|_| corrupt("a cursor"))?;
        let records =
            reply.nested()?.pairs()?.iter().map(|(field, stored)| decode(field, stored)).collect::<Result<_, _>>()?;
        Ok(CredentialPage { records, next: (next != 0).then_some(next) })
    }

    /// How many credentials someone has to renew.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn credentials_needing_reauth(&self) -> Result<u64, StoreError> {
        let count =
            int(&self.inner.link.command("SCARD", vec![self.inner.keys.credentials_in_doubt().into()]).await?)?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Takes the turn to renew a credential for `life`, unless another has it.
    ///
    /// # Errors
    /// When Redis did not answer; a turn that was taken all the same is free again after `life`.
    pub async fn take_credential_turn(
        &self,
        workspace: &Workspace,
        name: &CredentialName,
        life: Duration,
    ) -> Result<Option<CredentialTurn>, StoreError> {
        let holder = uuid::Uuid::new_v4().simple().to_string();
        let key = self.inner.keys.credential_turn(&field(workspace, name));
        let life = life.as_millis().to_string();
        let args = vec![key.into(), holder.as_str().into(), "NX".into(), "PX".into(), life.into()];
        let taken = self.inner.link.command("SET", args).await? != Value::Null;
        Ok(taken.then(|| CredentialTurn { workspace: workspace.clone(), name: name.clone(), holder }))
    }

    /// Gives a turn back; `false` when it is another's by now.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn leave_credential_turn(&self, turn: &CredentialTurn) -> Result<bool, StoreError> {
        Ok(self.credential_verb("leave", &turn.workspace, &turn.name, &[&turn.holder]).await? == "1")
    }

    async fn credential_verb(
        &self,
        what: &str,
        workspace: &Workspace,
        name: &CredentialName,
        rest: &[&str],
    ) -> Result<String, StoreError> {
        let mut args: Vec<Value> = ["-", what, workspace.as_str(), name.as_str()].map(Into::into).into();
        args.extend(rest.iter().map(|arg| (*arg).into()));
        text(self.run(&self.inner.scripts.credential, args).await?)
    }
}

impl Shards {
    /// The shard that has the credentials of all.
    #[must_use]
    pub fn credentials(&self) -> &Store {
        self.first()
    }
}

fn field(workspace: &Workspace, name: &CredentialName) -> String {
    format!("{workspace}/{name}")
}

fn encode(record: &CredentialRecord) -> String {
    json!({
        "kind": record.kind.as_str(),
        "account": record.account,
        "scopes": record.scopes,
        "key_id": record.key_id,
        "nonce": record.nonce,
        "sealed": record.sealed,
        "state": record.state.as_str(),
        "reason": record.reason.as_ref().map(|reason| clip_text(reason, REASON)),
        "created_at": record.created_at.unix_ms(),
        "updated_at": record.updated_at.unix_ms(),
        "expires_at": record.expires_at.map(Timestamp::unix_ms),
    })
    .to_string()
}

fn decode(field: &str, stored: &str) -> Result<CredentialRecord, StoreError> {
    read(field, stored).ok_or_else(|| corrupt("a credential's record"))
}

fn read(field: &str, stored: &str) -> Option<CredentialRecord> {
    let (workspace, name) = field.split_once('/')?;
    let (revision, content) = stored.split_once('\t')?;
    let value: serde_json::Value = serde_json::from_str(content).ok()?;
    let word = |key: &str| value[key].as_str().map(str::to_owned);
    let scopes = value["scopes"].as_array().into_iter().flatten().filter_map(|s| s.as_str().map(str::to_owned));
    let time = |key: &str| value[key].as_i64().map(Timestamp::from_unix_ms);
    Some(CredentialRecord {
        workspace: Workspace::new(workspace).ok()?,
        name: CredentialName::new(name).ok()?,
        kind: CredentialKind::from_word(value["kind"].as_str()?)?,
        account: word("account"),
        scopes: scopes.collect(),
        key_id: word("key_id")?,
        nonce: word("nonce")?,
        sealed: word("sealed")?,
        revision: revision.parse().ok()?,
        state: CredentialState::from_word(value["state"].as_str()?)?,
        reason: word("reason"),
        created_at: time("created_at")?,
        updated_at: time("updated_at")?,
        expires_at: time("expires_at"),
    })
}
