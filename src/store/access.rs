//! API keys: stored by hash, never as themselves.

use serde_json::json;

use crate::domain::Timestamp;

use super::reply::{Reply, corrupt, int, text};
use super::views::KeyRecord;
use super::{Store, StoreError};

/// Marks that a bootstrap key was minted once.
const BOOTSTRAPPED: &str = "bootstrapped";

impl Store {
    /// Stores a new key.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn put_key(&self, key: &KeyRecord) -> Result<(), StoreError> {
        let stored = self.inner.keys.api_keys();
        let args = vec![stored.into(), key.hash.as_str().into(), encode(key).into(), BOOTSTRAPPED.into(), "1".into()];
        self.inner.link.command("HSET", args).await.map(drop)
    }

    /// Stores the bootstrap key unless any key was ever stored; says whether it was taken.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn put_first_key(&self, key: &KeyRecord) -> Result<bool, StoreError> {
        let args = vec![self.inner.keys.api_keys().into(), BOOTSTRAPPED.into(), "1".into()];
        let first = int(&self.inner.link.command("HSETNX", args).await?)? == 1;
        if first {
            self.put_key(key).await?;
        }
        Ok(first)
    }

    /// The key with this SHA-256 (hex), revoked or not.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn key_by_hash(&self, hash: &str) -> Result<Option<KeyRecord>, StoreError> {
        if hash == BOOTSTRAPPED {
            return Ok(None);
        }
        let args = vec![self.inner.keys.api_keys().into(), hash.into()];
        let stored = text(self.inner.link.command("HGET", args).await?)?;
        if stored.is_empty() { Ok(None) } else { decode(hash, &stored).map(Some) }
    }

    /// Every key, newest first.
    ///
    /// # Errors
    /// When Redis did not answer.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let all = self.inner.link.command("HGETALL", vec![self.inner.keys.api_keys().into()]).await?;
        let mut keys = Reply::array(all)?
            .pairs()?
            .iter()
            .filter(|(hash, _)| hash.as_str() != BOOTSTRAPPED)
            .map(|(hash, stored)| decode(hash, stored))
            .collect::<Result<Vec<_>, _>>()?;
        keys.sort_by_key(|key| std::cmp::Reverse(key.created_at));
        Ok(keys)
    }

    /// Revokes a key; false when there is none with this id.
    ///
    /// # Errors
    /// When Redis did not answer; repeating is safe.
    pub async fn revoke_key(&self, id: &str) -> Result<bool, StoreError> {
        let Some(mut key) = self.keys().await?.into_iter().find(|key| key.id == id) else { return Ok(false) };
        if key.revoked_at.is_none() {
            key.revoked_at = Some(self.now().await?);
            self.put_key(&key).await?;
        }
        Ok(true)
    }
}

fn encode(key: &KeyRecord) -> String {
    json!({
        "id": key.id,
        "workspace": key.workspace,
        "scopes": key.scopes,
        "name": key.name,
        "created_at": key.created_at.unix_ms(),
        "revoked_at": key.revoked_at.map(Timestamp::unix_ms),
    })
    .to_string()
}

fn decode(hash: &str, stored: &str) -> Result<KeyRecord, StoreError> {
    let value: serde_json::Value = serde_json::from_str(stored).map_err(|_| corrupt("an API key's record"))?;
    let word = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let scopes = value["scopes"].as_array().into_iter().flatten().filter_map(|s| s.as_str().map(str::to_owned));
    Ok(KeyRecord {
        id: word("id"),
        hash: hash.to_owned(),
        workspace: word("workspace"),
        scopes: scopes.collect(),
        name: word("name"),
        created_at: Timestamp::from_unix_ms(value["created_at"].as_i64().unwrap_or_default()),
        revoked_at: value["revoked_at"].as_i64().map(Timestamp::from_unix_ms),
    })
}
